//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/invocations"
)

// listed is what `edgegate logs` lists, by function and status.
func listed(t *testing.T, g *gateway, args ...string) map[string]int {
	t.Helper()
	out := g.command(t, append([]string{"logs", "-o", "json", "-n", "10000"}, args...)...)
	found := make(map[string]int)
	for line := range strings.SplitSeq(strings.TrimSpace(out), "\n") {
		if line != "" && line[0] == '{' {
			found[nameOf(t, line)]++
		}
	}
	return found
}

func nameOf(t *testing.T, line string) string {
	t.Helper()
	var i invocations.Invocation
	if err := json.Unmarshal([]byte(line), &i); err != nil || i.Function == nil {
		t.Fatalf("%v in %s", err, line)
	}
	if i.Status == nil {
		return *i.Function + " not ended"
	}
	return fmt.Sprintf("%s %d", *i.Function, *i.Status)
}

// An operator finds each call by its function and status, also after the gateway was killed, and the sums are those of
// what is listed.
func TestLedgerAsked(t *testing.T) {
	w := startWitness(t)
	slugs := []string{"ok", "missing", "failing", "cut", "reset", "slow"}
	c := config{backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public(slugs...)}
	g := startGateway(t, c)
	call := func(slug string) {
		res, err := http.Get(g.url + "/functions/v1/" + slug)
		if err == nil {
			res.Body.Close()
		}
	}
	for _, slug := range []string{"ok", "ok", "missing", "failing", "cut", "reset", "nope"} {
		call(slug)
	}
	want := map[string]int{"ok 200": 2, "missing 404": 1, "failing 500": 1, "cut 200": 1, "reset 502": 1, "nope 404": 1}
	waitUntil(t, "all calls are listed", func() bool { return fmt.Sprint(listed(t, g)) == fmt.Sprint(want) })
	if got := listed(t, g, "--status", "5xx", "--since", "1h"); got["failing 500"] != 1 || got["reset 502"] != 1 || len(got) != 2 {
		t.Errorf("failed: %v", got)
	}
	if code, said := g.fails(t, "logs", "--function", "faling"); code != 1 || !strings.Contains(said, `did you mean \"failing\"?`) {
		t.Errorf("%d, %s", code, said)
	}
	res, err := http.Get(g.url + "/functions/v1/slow")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	g.stop(syscall.SIGKILL, time.Second)
	g.start(t, c.caddyfile(g.port, g.admin))
	delete(want, "nope 404") // refused, and kept in memory alone
	want["slow not ended"] = 1
	if got := listed(t, g); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("after the kill: %v, want %v", got, want)
	}
	var top invocations.TopAnswer
	if err := json.Unmarshal([]byte(g.command(t, "top", "--each", "project", "-o", "json")), &top); err != nil {
		t.Fatal(err)
	}
	if all := top.All; all.Invocations != 7 || all.Errors != 2 || all.Cut != 1 || all.Unfinished != 1 || len(top.Findings) > 0 {
		t.Errorf("%+v, %+v", all, top.Findings)
	}
}

// A follower is told of each call once, under load and over reloads, and does not hold a stop up.
func TestLedgerFollowed(t *testing.T) {
	w := startWitness(t)
	c := config{backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok")}
	g := startGateway(t, c)
	follower := exec.CommandContext(t.Context(), shared.binary, "logs", "-f", "-o", "json", "--address", fmt.Sprintf("127.0.0.1:%d", g.admin))
	out, err := follower.StdoutPipe()
	if err == nil {
		err = follower.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var told atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			told.Add(1)
		}
	}()
	one := func() {
		res, err := http.Get(g.url + "/functions/v1/ok")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	one()
	waitUntil(t, "it follows", func() bool { return told.Load() == 1 })
	for i := range 5 {
		for range 200 {
			one()
		}
		c.options = fmt.Sprintf("\t\tidle_timeout %ds", 100+i)
		if status, body := load(t, g, c.caddyfile(g.port, g.admin)); status != http.StatusOK {
			t.Fatalf("reload %d: %d %s", i, status, body)
		}
	}
	waitUntil(t, "all are told", func() bool { return told.Load() == w.calls.Load() })
	begun := time.Now()
	g.stop(syscall.SIGTERM, time.Minute)
	<-ended
	_ = follower.Wait() // it fails: the gateway ended the answer
	if took := time.Since(begun); took > 9*time.Second {
		t.Errorf("the stop took %s", took)
	}
	if n := told.Load(); n != w.calls.Load() {
		t.Errorf("%d told, %d calls", n, w.calls.Load())
	}
	if said := g.output(); strings.Contains(said, "stopping admin server") {
		t.Errorf("a reload or the stop waited for the follower:\n%s", said)
	}
}
