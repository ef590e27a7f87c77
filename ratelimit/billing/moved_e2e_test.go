//go:build e2e

package billing

import (
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// told is what a service, to which several gateways send, was told.
type told struct {
	service
	mu sync.Mutex // held by whoever sends
}

// total adds up what it was told.
func (s *told) total() (sum int64) {
	for _, m := range s.got {
		sum += m.Delta
	}
	return sum
}

// gateway is an engine of a test with real stores. It exports only when the test says so.
type gateway struct {
	*Engine
	t *testing.T
}

// usedBefore leaves a ledger as a gateway would that ran some hours ago.
func usedBefore(t *testing.T, dir string, ago time.Duration, calls int) {
	t.Helper()
	at := time.Now().Add(-ago)
	l, err := metering.Open(metering.Config{Dir: dir, Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	subject, err := l.Subject(metering.Subject{Organization: "acme", Project: "p", Function: "f"})
	if err != nil {
		t.Fatal(err)
	}
	region, err := l.Region("eu")
	if err != nil {
		t.Fatal(err)
	}
	for range calls {
		call := metering.Invocation{Subject: subject, Region: region, At: at}
		seq, err := l.Admit(call)
		if err == nil {
			err = l.Done(seq, call, metering.Ending{Status: 200})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// startIn starts a gateway on a directory; url "" is the embedded store.
func startIn(t *testing.T, dir, url string) *gateway {
	t.Helper()
	g := &gateway{NewEngine(dir), t}
	g.Use(&plan{accounts: []Account{account("acme", soft, pays)}})
	g.store(url)
	t.Cleanup(g.end)
	return g
}

// store puts a store into force.
func (g *gateway) store(url string) {
	g.t.Helper()
	s := Settings{Logger: slog.New(slog.DiscardHandler)}
	if url != "" {
		config, err := redisconn.Parse(url)
		if err != nil {
			g.t.Fatal(err)
		}
		s.Redis = &config
	}
	if err := g.Start(s); err != nil {
		g.t.Fatal(err)
	}
}

// end closes the gateway, once.
func (g *gateway) end() {
	if g.Engine == nil {
		return
	}
	if err := g.Close(); err != nil {
		g.t.Error(err)
	}
	g.Engine = nil
}

// knows waits until the gateway has so many invocations in final lines.
func (g *gateway) knows(want int64) {
	g.t.Helper()
	var has int64
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if _, err := g.Update(g.t.Context()); err != nil {
			continue
		}
		has = 0
		for l, err := range g.opened.Load().lines.Lines(func(string, string) bool { return true }) {
			if err == nil && l.State != usage.Provisional {
				has += l.Quantity
			}
		}
		if has == want {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	g.t.Fatalf("it knows of %d, want %d", has, want)
}

// export is a round, after which the gateway has told all or stands by.
func (g *gateway) export(s *told) exportState {
	g.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	x := g.opened.Load().exports
	x.once(g.t.Context(), s)
	return x.state(s.Name())
}

// tells waits until a round succeeded. A process that is being forked has the lock of the exports until it executes its program: the
// gateway stands by for a moment then, while another that sends would keep its turn for minutes.
func (g *gateway) tells(s *told) {
	g.t.Helper()
	var state exportState
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if state = g.export(s); state.err == nil {
			return
		}
		if !errors.Is(state.err, usage.ErrIncomplete) && !state.standby() {
			break
		}
		<-time.After(50 * time.Millisecond)
	}
	g.t.Fatalf("%v", state.err)
}

// What a service was told is known to every gateway that shares the store, whoever told it, and moves with the store.
func TestToldOnceInAnyStore(t *testing.T) {
	redis, other := redistest.Single(t), redistest.Single(t)
	one, two := t.TempDir(), t.TempDir()
	usedBefore(t, one, 3*time.Hour, 240)
	s := &told{service: service{sink: sink{name: "meter"}}}
	told := func(when string, want int64) {
		t.Helper()
		if got := s.total(); got != want {
			t.Errorf("%s: it was told %d, want %d", when, got, want)
		}
	}

	first := startIn(t, one, "")
	first.knows(240)
	first.tells(s)
	told("by the first alone", 240)

	first.store(redis.URL())
	first.knows(240)
	second := startIn(t, two, redis.URL())
	second.knows(240)
	second.tells(s)
	told("by the second, when they share a store", 240)

	second.end() // its turn is free at once
	first.tells(s)
	told("by the first again", 240)

	first.store("")
	first.tells(s)
	told("by the first in the embedded store", 240)
	first.store(redis.URL())
	first.store(other.URL())
	first.tells(s)
	told("in another Redis", 240)

	second = startIn(t, two, other.URL())
	second.knows(240)
	first.end()
	second.tells(s)
	told("by the second, in the other Redis", 240)
	second.end()
	second = startIn(t, two, "")
	second.tells(s)
	told("by the second alone", 240)
}

// What gateways told apart is corrected once all share a store again: the one that sends looks again at what it told as soon as another
// brought its part, although no line changed since.
func TestToldApartIsCorrectedWhenAllHaveJoined(t *testing.T) {
	redis := redistest.Single(t)
	one := t.TempDir()
	usedBefore(t, one, 3*time.Hour, 240)
	s := &told{service: service{sink: sink{name: "meter"}}}
	first, second := startIn(t, one, redis.URL()), startIn(t, t.TempDir(), redis.URL())
	first.knows(240)
	second.knows(240)
	first.store("")
	first.tells(s)
	second.tells(s)
	if got := s.total(); got != 480 {
		t.Fatalf("apart they told %d, want 480", got)
	}
	redis.Exec("FLUSHALL")
	first.store(redis.URL())
	first.knows(240)
	first.tells(s) // before the second has joined
	if state := second.export(s); !state.standby() {
		t.Fatalf("%+v", state)
	}
	for range 2 { // it looks again after the first of these rounds
		first.tells(s)
	}
	if got := s.total(); got != 240 {
		t.Errorf("the service was told %d, want 240", got)
	}
}
