//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// adminCommand runs the real binary's command against a gateway and returns what it said and its exit code.
func adminCommand(t *testing.T, g *gateway, args ...string) (said string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, shared.binary, append(args, "--address", fmt.Sprintf("localhost:%d", g.admin))...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// TestDrainGateway takes a gateway out of service: it is not ready at once and serves on; the order can be taken back
// until it stops; then a call that runs ends whole, and the command returns when the process has gone.
func TestDrainGateway(t *testing.T) {
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	probes := fmt.Sprintf("http://127.0.0.1:%d", port)
	g := startGateway(t, config{sites: probes + " {\n\tedge_functions_health /healthz\n\tedge_functions_health /livez live\n}\n"})
	get := func(url string) string {
		t.Helper()
		res, err := http.Get(url)
		if err != nil {
			return "refused"
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return fmt.Sprintf("%d %s", res.StatusCode, body)
	}
	const ready, draining = `{"ready":true,"reasons":[]}`, `{"ready":false,"reasons":["draining"]}`
	expect := func(when, healthz, livez string) {
		t.Helper()
		if got := get(probes + "/healthz"); got != healthz {
			t.Errorf("%s: /healthz answers %s, want %s", when, got, healthz)
		}
		if got := get(probes + "/livez"); got != livez {
			t.Errorf("%s: /livez answers %s, want %s", when, got, livez)
		}
	}
	expect("in service", "200 "+ready, "200 "+ready)
	if said, code := adminCommand(t, g, "health"); code != 0 || said != "ready\n" {
		t.Errorf("health: exit code %d, %s", code, said)
	}

	type end struct {
		said string
		code int
	}
	drain := func(over string) <-chan end {
		ended := make(chan end, 1)
		go func() {
			said, code := adminCommand(t, g, "drain", "--gateway", "--over", over)
			ended <- end{said, code}
		}()
		eventually(t, "not ready", func() bool { return get(probes+"/healthz") == "503 "+draining })
		return ended
	}
	first := drain("1h")
	expect("draining", "503 "+draining, "200 "+draining)
	if got := get(g.url + "/functions/v1/public-echo"); !strings.HasPrefix(got, "200 ") {
		t.Errorf("a call while it drains: %s", got)
	}
	if said, code := adminCommand(t, g, "health", "--live"); code != 0 || said != "not ready: draining\n" {
		t.Errorf("health --live: exit code %d, %s", code, said)
	}
	if said, code := adminCommand(t, g, "health", "--ready"); code != 1 || said != "not ready: draining\n" {
		t.Errorf("health --ready: exit code %d, %s", code, said)
	}
	if said, code := adminCommand(t, g, "undrain", "--gateway"); code != 0 {
		t.Errorf("undrain: exit code %d, %s", code, said)
	}
	if e := <-first; e.code != 1 || !strings.Contains(e.said, "taken back") {
		t.Errorf("the first drain: exit code %d, %s", e.code, e.said)
	}
	expect("back in service", "200 "+ready, "200 "+ready)

	second := drain("1s")
	call := make(chan string, 1)
	go func() { call <- get(g.url + "/functions/v1/sse?events=8&every=500") }()
	if got := <-call; !strings.HasPrefix(got, "200 ") || !strings.Contains(got, `"done":true`) {
		t.Errorf("a call that ran when the gateway stopped: %s", got)
	}
	if e := <-second; e.code != 0 {
		t.Errorf("the second drain: exit code %d, %s", e.code, e.said)
	}
	if got := get(probes + "/livez"); got != "refused" {
		t.Errorf("after its drain it answers %s", got)
	}
}
