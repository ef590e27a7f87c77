//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// What operators are told of states and of calls that nobody answered is what happened: one line for each change of a
// state, with why and since when; repetitions are summed; `status` and `audit` see what calls see.

// transition is a line of a change of state.
type transition struct {
	Level, Logger, Msg, What, Name, From, To, Why string
	Since                                         any
	Lasted                                        any
}

// transitionsOf reads the lines of one kind from what a gateway wrote.
func transitionsOf(t *testing.T, g *gateway, what string) (all []transition) {
	t.Helper()
	for line := range strings.Lines(g.output()) {
		var said transition
		if json.Unmarshal([]byte(line), &said) == nil && said.Msg == "state changed" && said.What == what {
			all = append(all, said)
		}
	}
	return all
}

// expectTransitions waits for lines "from to" of one thing, in this order and no others, each with all that a line must have.
func expectTransitions(t *testing.T, g *gateway, what string, want ...string) []transition {
	t.Helper()
	var got []transition
	var steps []string
	eventually(t, fmt.Sprintf("the lines of %s: %q", what, want), func() bool {
		got, steps = transitionsOf(t, g, what), nil
		for _, line := range got {
			steps = append(steps, line.From+" "+line.To)
		}
		return len(steps) >= len(want)
	})
	if strings.Join(steps, ", ") != strings.Join(want, ", ") {
		t.Errorf("%s: lines %q, want %q", what, steps, want)
	}
	for _, line := range got {
		if line.Name == "" || line.Since == nil || line.Lasted == nil || line.Logger != "edge_functions" {
			t.Errorf("%s: a line lacks something: %+v", what, line)
		}
		if (line.To == "down" || line.To == "stale" || line.To == "open") && line.Why == "" {
			t.Errorf("%s: a line does not say why: %+v", what, line)
		}
	}
	return got
}

// restartable is a backend that can die, and come back at the same address. Whoever starts it closes its server.
type restartable struct {
	address string
	server  *http.Server
}

func (r *restartable) start(t *testing.T) {
	t.Helper()
	var listener net.Listener
	eventually(t, "the address of the backend is free", func() (ok bool) {
		var err error
		listener, err = net.Listen("tcp", r.address)
		return err == nil
	})
	r.address = listener.Addr().String()
	r.server = &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	go r.server.Serve(listener)
}

func TestStatesAreLogged(t *testing.T) {
	backendA := &restartable{address: "127.0.0.1:0"}
	backendA.start(t)
	t.Cleanup(func() { backendA.server.Close() }) // the last one: it is restarted
	redis := redistest.Single(t)
	var failing atomic.Bool
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if failing.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = w.Write([]byte(`{"keys":[]}`))
	}))
	t.Cleanup(keys.Close)
	g := startGateway(t, config{
		options:  "\t\tstore redis " + redis.URL(),
		backends: []backend{{region: "eu-central-1", address: backendA.address}},
		project:  "\t\t\tjwks " + keys.URL + "/jwks", functions: public("hello"),
	})
	waitUntil(t, "the region is usable", func() bool { return regionState(t, g) != "unknown" })

	t.Run("a backend and its region go down and come back", func(t *testing.T) {
		_ = backendA.server.Close()
		waitUntil(t, "the region is down", func() bool { return regionState(t, g) == "down" })
		expectTransitions(t, g, "backend", "unknown up", "up down")
		backendA.start(t)
		waitUntil(t, "the region is back", func() bool { return regionState(t, g) != "down" })
		for _, line := range expectTransitions(t, g, "backend", "unknown up", "up down", "down up") {
			if line.To == "down" && (!strings.Contains(line.Why, "refused") || line.Level != "error") {
				t.Errorf("%+v", line)
			}
		}
		// On a busy machine a region may be degraded meanwhile, which a backend never is.
		went, came := 0, 0
		for _, line := range transitionsOf(t, g, "region") {
			if line.To == "down" {
				went++
				if !strings.Contains(line.Why, "refused") {
					t.Errorf("%+v", line)
				}
			}
			if line.From == "down" {
				came++
			}
		}
		if went != 1 || came != 1 {
			t.Errorf("%d lines say that the region went down, %d that it came back", went, came)
		}
	})
	t.Run("the store goes down and comes back", func(t *testing.T) {
		waitUntil(t, "the store is up", func() bool { return storeState(t, g) == "up" })
		before := len(transitionsOf(t, g, "store"))
		redis.Pause()
		waitUntil(t, "the store is down", func() bool { return storeState(t, g) == "down" })
		waitUntil(t, "a line", func() bool { return len(transitionsOf(t, g, "store")) > before }) // states are compared four times a second
		redis.Resume()
		waitUntil(t, "the store is up again", func() bool { return storeState(t, g) == "up" })
		waitUntil(t, "two lines", func() bool { return len(transitionsOf(t, g, "store")) >= before+2 })
		lines := transitionsOf(t, g, "store")[before:]
		if lines[0].To != "down" || lines[0].Why == "" || lines[1].To != "up" {
			t.Errorf("%+v", lines)
		}
	})
	t.Run("a store that refuses writes is down, and audit says why", func(t *testing.T) {
		redis.Exec("CONFIG", "SET", "min-replicas-to-write", "3")
		waitUntil(t, "the store is down", func() bool { return storeState(t, g) == "down" })
		if findings := auditChecks(t, g); !strings.Contains(findings["store_away"], "NOREPLICAS") {
			t.Errorf("audit: %q", findings)
		}
		redis.Exec("CONFIG", "SET", "min-replicas-to-write", "0")
		waitUntil(t, "the store is up again", func() bool { return storeState(t, g) == "up" })
	})
	t.Run("a reload is no change", func(t *testing.T) {
		before := len(transitionsOf(t, g, "backend"))
		if status, body := load(t, g, config{
			options:  "\t\tstore redis " + redis.URL() + "\n\t\tidle_timeout 30s",
			backends: []backend{{region: "eu-central-1", address: backendA.address}},
			project:  "\t\t\tjwks " + keys.URL + "/jwks", functions: public("hello"),
		}.caddyfile(g.port, g.admin)); status != http.StatusOK {
			t.Fatalf("reloading: %d %s", status, body)
		}
		waitUntil(t, "the region is usable", func() bool { return regionState(t, g) != "unknown" })
		if after := transitionsOf(t, g, "backend"); len(after) != before {
			t.Errorf("lines after a reload: %+v", after[before:])
		}
	})
	for line := range strings.Lines(g.output()) {
		if !json.Valid([]byte(line)) && strings.HasPrefix(strings.TrimSpace(line), "redis:") {
			t.Errorf("a line that is no JSON: %s", line)
		}
	}
}

func TestProjectsAndKeySetsAreLogged(t *testing.T) {
	w := startWitness(t)
	path := filepath.Join(t.TempDir(), "projects.json")
	replaceFile(t, path, document(projectOf(firstRef, jwtSecret)))
	g := startGateway(t, config{
		backends: []backend{{region: "eu-central-1", address: w.address()}}, source: "projects file " + path,
	})
	if err := os.WriteFile(path, []byte(`{"projects":[{"ref":"short"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	expectTransitions(t, g, "projects", "unknown up", "up stale")
	replaceFile(t, path, document(projectOf(firstRef, jwtSecret)))
	expectTransitions(t, g, "projects", "unknown up", "up stale", "stale up")

	missing := startGateway(t, config{
		backends: []backend{{region: "eu-central-1", address: w.address()}},
		project:  "\t\t\tjwks http://" + deadAddress(t) + "/keys", functions: public("hello"),
	})
	expectTransitions(t, missing, "key_set", "unknown down")
}

// A region that is down: as many calls as were refused are in the log, in a line or two a second.
func TestRepeatedCausesAreSummed(t *testing.T) {
	g := startGateway(t, config{
		backends: []backend{{region: "eu-central-1", address: deadAddress(t)}}, functions: public("hello", "other"),
	})
	const calls = 400
	var wrong atomic.Int64
	var workers sync.WaitGroup
	began := time.Now()
	for i := range 8 {
		workers.Go(func() {
			for range calls / 8 {
				request, _ := http.NewRequest(http.MethodPost, g.url+"/functions/v1/"+[]string{"hello", "other"}[i%2], nil)
				request.Header.Set("X-Region", "eu-central-1")
				res, err := http.DefaultClient.Do(request)
				if err != nil {
					wrong.Add(1)
					continue
				}
				res.Body.Close()
				if res.StatusCode != http.StatusServiceUnavailable {
					wrong.Add(1)
				}
			}
		})
	}
	workers.Wait()
	if wrong.Load() != 0 {
		t.Fatalf("%d calls were not answered 503", wrong.Load())
	}
	most := 8 * (2 + int(time.Since(began)/time.Second)) // a few causes: refused, held back after failures, known to be down
	lines, sum := 0, 0
	waitUntil(t, "a line for each call", func() bool {
		lines, sum = notAnswered(t, g, "")
		return sum >= calls
	})
	if sum != calls || lines > most {
		t.Errorf("%d lines say %d calls, want %d calls in at most %d lines", lines, sum, calls, most)
	}
}

// notAnswered counts the lines about calls that were not answered for a cause, and the calls that they stand for.
func notAnswered(t *testing.T, g *gateway, cause string) (lines, calls int) {
	t.Helper()
	for line := range strings.Lines(g.output()) {
		var said struct {
			Msg, Cause, Code string
			Count            int
			RequestID        string `json:"sb_request_id"`
		}
		if json.Unmarshal([]byte(line), &said) != nil || said.Msg != "invocation not answered by a backend" && said.Msg != "invocation refused: it cannot be recorded" || !strings.Contains(said.Cause, cause) {
			continue
		}
		if said.Count < 1 || said.RequestID == "" || said.Cause == "" || said.Code == "" {
			t.Errorf("a line lacks something: %s", line)
		}
		lines++
		calls += said.Count
	}
	return lines, calls
}

// regionState is how status has the only region.
func regionState(t *testing.T, g *gateway) string {
	t.Helper()
	var said struct{ Regions []struct{ State string } }
	adminGet(t, g, "/edge_functions/status", &said)
	return said.Regions[0].State
}

func storeState(t *testing.T, g *gateway) string {
	t.Helper()
	var said struct{ Store struct{ State string } }
	adminGet(t, g, "/edge_functions/status", &said)
	return said.Store.State
}

func ledgerState(t *testing.T, g *gateway) (state, why string) {
	t.Helper()
	var said struct{ Ledger struct{ State, Error string } }
	adminGet(t, g, "/edge_functions/status", &said)
	return said.Ledger.State, said.Ledger.Error
}

// auditChecks are the messages of audit's findings by check.
func auditChecks(t *testing.T, g *gateway) map[string]string {
	t.Helper()
	var said struct {
		Findings []struct{ Check, Message string }
	}
	adminGet(t, g, "/edge_functions/audit", &said)
	found := make(map[string]string)
	for _, f := range said.Findings {
		found[f.Check] = f.Message
	}
	return found
}
