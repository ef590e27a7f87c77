//go:build e2e

package billing

import (
	"flag"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/ratelimit/usage/fakesinks"
)

// Whatever happens to cycles, zones, prices, caps, currencies, quotas, gateways, their disks and Redis while sinks fail: all
// gateways bill the same, which is what the price rule says of what a witness saw, and sinks are told the same, in events and in
// money.
func TestHistories(t *testing.T) {
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		if err := flag.Set("rapid.checks", strconv.Itoa(histories)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = flag.Set("rapid.checks", checks.DefValue) })
	}
	server := redistest.Single(t)
	clocked := newClockedRedis(t, server.Address)
	redis, err := redisconn.Parse(clocked.URL())
	if err != nil {
		t.Fatal(err)
	}
	root, n, met := t.TempDir(), 0, make(map[string]int)
	meters := func(window, prefix string) *fakesinks.Stripe {
		return &fakesinks.Stripe{
			Key:       "key",
			Window:    window,
			Meters:    []string{prefix + "calls", prefix + "over"},
			Customers: map[string]bool{payers[0]: true, payers[1]: true},
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		n++
		server.Exec("FLUSHALL")
		server.Exec("SCRIPT", "FLUSH")
		h := &history{
			t:       rt,
			ctx:     t.Context(),
			redis:   redis,
			server:  server,
			met:     met,
			stripe:  meters("", ""),
			hourly:  meters("hour", "h"),
			web:     &fakesinks.Receiver{Path: "/"},
			granted: make(map[string]int64),
		}
		clocked.follow(h.now)
		h.pass(0)
		for i, handler := range []http.Handler{h.stripe, h.hourly, h.web} {
			s := httptest.NewServer(handler)
			defer s.Close()
			h.urls[i] = s.URL
		}
		first := config{make(map[string]usage.Price), make(map[string]metering.Cycle), 8}
		h.highest = first.limit
		for _, id := range payers {
			first.prices[id], first.cycles[id] = pays, metering.Cycle{}
		}
		h.configs = []config{first}
		defer func() {
			var closing sync.WaitGroup
			for _, m := range h.running() {
				closing.Go(func() { _ = m.Close() })
			}
			closing.Wait()
			_ = os.RemoveAll(filepath.Join(root, strconv.Itoa(n)))
		}()
		for i := range 3 {
			at := filepath.Join(root, strconv.Itoa(n), strconv.Itoa(i))
			m := &member{dir: at, out: at + "-files"}
			h.members = append(h.members, m)
			h.open(m)
		}
		var actions []int // by weight
		for i, a := range h.actions() {
			actions = append(actions, slices.Repeat([]int{i}, a.weight)...)
		}
		for _, n := range rapid.SliceOfN(rapid.Uint32(), 8, 35).Draw(rt, "actions") {
			a := h.actions()[actions[scatter(n)%len(actions)]]
			rt.Log(a.name)
			h.did(a.name)
			a.do()
		}
		h.settle()
		h.check()
		for _, f := range h.services() {
			_, failed := f.Calls()
			met["failed calls of services"] += failed
		}
	})
	for _, what := range slices.Sorted(maps.Keys(met)) {
		t.Logf("%6d %s", met[what], what)
	}
	if n < 1000 { // chance may leave one out
		return
	}
	for _, what := range kinds() {
		if met[what] == 0 {
			t.Errorf("%s was never met", what)
		}
	}
}

// kinds are the names of all that has to be met.
func kinds() []string {
	names := []string{
		"refused", "deducted", "bills: an older copy", "bills: begun anew", "emptied", "restored", "failed calls of services",
		"hourly meters compared", "a bill that Stripe cannot make", "an hour of two periods",
	}
	for _, kind := range diskFaults {
		names = append(names, "disk: "+kind)
	}
	for _, a := range new(history).actions() {
		names = append(names, a.name)
	}
	return names
}
