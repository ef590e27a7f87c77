//go:build e2e

package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A disk that is full: status, audit, exit codes, transitions and the cause of each refusal say so, and that it is over.
func TestDiskFull(t *testing.T) {
	w := startWitness(t)
	g := prepareGateway(t)
	disk := filepath.Join(g.dir, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	// A disk of its own, which goes with the process.
	g.in = []string{"unshare", "--mount", "sh", "-c", `mount -t tmpfs -o size=64m ledger "$0" && exec "$@"`, disk}
	g.start(t, config{
		options:  "\t\tstore embedded " + disk,
		backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"),
	}.caddyfile(g.port, g.admin))
	if state, _ := ledgerState(t, g); state != "up" || storeState(t, g) != "up" {
		t.Fatalf("at first: ledger %s, store %s", state, storeState(t, g))
	}

	inside := func(command ...string) {
		t.Helper()
		in := []string{"-t", strconv.Itoa(g.cmd.Process.Pid), "-m"}
		if out, err := exec.Command("nsenter", append(in, command...)...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", command, err, out)
		}
	}
	inside("fallocate", "-l", "60M", filepath.Join(disk, "filler"))
	t.Run("no room for the next file, before a call needs it", func(t *testing.T) {
		waitUntil(t, "the ledger is degraded", func() bool {
			state, _ := ledgerState(t, g)
			return state == "degraded" && storeState(t, g) == "degraded"
		})
		if findings := auditChecks(t, g); !strings.Contains(findings["ledger_degraded"], "MiB left, its next file needs") {
			t.Errorf("findings: %q", findings)
		}
	})
	refused := callUntilRefused(t, g)
	t.Run("status", func(t *testing.T) {
		if state, why := ledgerState(t, g); state != "down" || !strings.Contains(why, "the disk of the ledger is full") {
			t.Errorf("ledger: %s, %s", state, why)
		}
		if state := storeState(t, g); state != "down" {
			t.Errorf("store: %s", state)
		}
	})
	t.Run("audit", func(t *testing.T) {
		if findings := auditChecks(t, g); !strings.Contains(findings["ledger_down"], "the disk of the ledger is full") {
			t.Errorf("findings: %q", findings)
		}
	})
	t.Run("log", func(t *testing.T) {
		lines := expectTransitions(t, g, "ledger", "up degraded", "degraded down")
		if !strings.Contains(lines[1].Why, "the disk of the ledger is full") {
			t.Errorf("%+v", lines[1])
		}
		waitUntil(t, "a line for each call", func() bool {
			_, calls := notAnswered(t, g, "the disk of the ledger is full")
			return calls == refused
		})
	})
	t.Run("it is over", func(t *testing.T) {
		inside("rm", filepath.Join(disk, "filler"))
		waitUntil(t, "calls are answered again", func() bool { return callStatus(t, g) == http.StatusOK })
		waitUntil(t, "the ledger is up", func() bool {
			state, _ := ledgerState(t, g)
			return state == "up" && storeState(t, g) == "up"
		})
		expectTransitions(t, g, "ledger", "up degraded", "degraded down", "down up")
		if findings := auditChecks(t, g); findings["ledger_down"] != "" || findings["ledger_degraded"] != "" {
			t.Errorf("findings: %q", findings)
		}
	})
}

// callUntilRefused fills the ledger by calls, and returns how many of a hundred and more were answered 503.
func callUntilRefused(t *testing.T, g *gateway) int {
	t.Helper()
	var refused, calls atomic.Int64
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for refused.Load() < 100 && calls.Add(1) < 100_000 {
				res, err := client.Get(g.url + "/functions/v1/ok")
				if err != nil {
					t.Error(err)
					return
				}
				res.Body.Close()
				switch {
				case res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("sb-error-code") == "METERING_UNAVAILABLE":
					refused.Add(1)
				case res.StatusCode != http.StatusOK:
					t.Errorf("answered %d", res.StatusCode)
				}
			}
		})
	}
	workers.Wait()
	if refused.Load() < 100 {
		t.Fatalf("%d of %d calls were refused", refused.Load(), calls.Load())
	}
	return int(refused.Load())
}

func callStatus(t *testing.T, g *gateway) int {
	t.Helper()
	res, err := http.Get(g.url + "/functions/v1/ok")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}
