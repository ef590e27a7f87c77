//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// jsEvent is one line of reporter.mjs.
type jsEvent struct {
	Name    string `json:"name"`
	Nesting int    `json:"nesting"`
	Suite   bool   `json:"suite"`
	Passed  bool   `json:"passed"`
	Skipped bool   `json:"skipped"`
	Error   string `json:"error"`
}

// runJS runs one file of tests/ under `node --test` and turns each of its tests into a Go subtest. No test at all, a
// skipped or a todo test, and a run that fails outside its tests are failures.
func runJS(t *testing.T, file string, g *gateway, env ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "--no-warnings", "--test",
		"--test-reporter=./reporter.mjs", "--test-reporter-destination=stdout", filepath.Join("tests", file))
	cmd.Env = append(os.Environ(),
		"E2E_URL="+g.url,
		"E2E_DEAD_URL=http://"+deadAddress(t),
		"E2E_OWN_HOST="+ownHost,
		"E2E_REGIONS="+strings.Join(regionNames, ","),
		"E2E_JWT_SECRET="+jwtSecret,
		"E2E_ANON_JWT="+anonToken(),
		"E2E_PUBLISHABLE_KEY="+publishableKey,
		"E2E_SECRET_KEY="+secretKey,
	)
	cmd.Env = append(cmd.Env, env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, runErr := cmd.Output()
	ran, failed := 0, 0
	for line := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
		var e jsEvent
		if json.Unmarshal([]byte(line), &e) != nil || e.Suite {
			continue
		}
		if e.Nesting == 0 && strings.HasSuffix(e.Name, ".mjs") && e.Passed {
			continue // some Node versions report the file itself as a test too
		}
		ran++
		t.Run(e.Name, func(t *testing.T) {
			if e.Skipped {
				t.Errorf("skipped or todo: nothing may be skipped")
			}
			if !e.Passed {
				failed++
				t.Errorf("%s", e.Error)
			}
		})
	}
	if ran == 0 {
		t.Errorf("no test ran in %s: %v\n%s%s", file, runErr, out, stderr.String())
	} else if runErr != nil && failed == 0 {
		t.Errorf("%s: %v\n%s", file, runErr, stderr.String())
	}
}
