package rate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// fleet is a Redis that answers as rate.lua and secret.lua would, as a test says.
type fleet struct {
	*redistest.ScriptedServer
	secret atomic.Pointer[string] // nil: there is none, and that of the caller becomes it
	bucket atomic.Pointer[func(want string) any]
}

func startFleet(t *testing.T, bucket func(want string) any) *fleet {
	t.Helper()
	f := new(fleet)
	f.bucket.Store(&bucket)
	f.ScriptedServer = redistest.Scripted(t, func(c []string) any {
		if c[0] != "EVALSHA" {
			return errors.New("ERR only scripts are run here")
		}
		if c[3] == secretKey {
			if f.secret.Load() == nil {
				f.secret.Store(&c[4])
			}
			return *f.secret.Load()
		}
		return (*f.bucket.Load())(c[6])
	})
	return f
}

// join returns a limiter that shares its limits with another gateway.
func (f *fleet) join(t *testing.T) (*Limiter, *SharedTokens) {
	t.Helper()
	config, err := redisconn.Parse(f.URL())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := redisconn.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	l, tokens := NewLimiter(), NewSharedTokens(conn, func() int { return 2 })
	l.Close() // a test sweeps by itself, or not
	l.Share(tokens)
	return l, tokens
}

// fetches are the requests for tokens: the interval and the capacity in microseconds, and how many.
func (f *fleet) fetches() (list []string) {
	for _, c := range f.Commands() {
		if c[3] != secretKey {
			list = append(list, strings.Join(c[4:], " "))
		}
	}
	return list
}

// A gateway fetches its share of the tokens of a twentieth of a second, one token of a strict limit, and hands out what it got.
func TestRateFetchesTokens(t *testing.T) {
	for _, tt := range []struct {
		mode   Mode
		asked  string
		given  int
		passes int // without another fetch
	}{
		{Shared, "1000 100000 25 2", 25, 25}, // 1,000 a second by two gateways
		{Shared, "1000 100000 25 2", 3, 3},
		{Strict, "1000 100000 1 2", 1, 1},
	} {
		f := startFleet(t, func(string) any { return []any{tt.given, 0, 2000, 40} })
		l, tokens := f.join(t)
		limit := prepared(t, Limit{Name: "x", Count: 1000, Window: time.Second, Burst: 100, Mode: tt.mode})
		states := make([]State, 1)
		now := l.now()
		for i := range tt.passes {
			if !l.takeAt(now, []*Limit{limit}, []Key{{Policy: "x"}}, states) {
				t.Fatalf("%+v: request %d is refused", tt, i)
			}
			if left := int64(tt.given - i - 1 + 40); states[0].Remaining != left || states[0].Reset <= 0 {
				t.Errorf("%+v: request %d: %+v, want %d left", tt, i, states[0], left)
			}
		}
		if got := f.fetches(); !slices.Equal(got, []string{tt.asked}) {
			t.Errorf("%+v: asked %q", tt, got)
		}
		// What is older than a twentieth of a second is handed out no more.
		late := l.now() + int64(tokenLife) + 1
		l.takeAt(late, []*Limit{limit}, []Key{{Policy: "x"}}, states)
		if len(f.fetches()) != 2 {
			t.Errorf("%+v: asked %q", tt, f.fetches())
		}
		if n := tokens.Calls(); n != 3 {
			t.Errorf("%d calls, want those for the secret and two batches", n)
		}
	}
}

// An empty bucket is not asked again before it has a token; until then refusals tell how long that takes.
func TestRateOfAnEmptyBucket(t *testing.T) {
	f := startFleet(t, func(string) any { return []any{0, 700_000, 900_000, 0} })
	l, _ := f.join(t)
	limits, keys, states := []*Limit{prepared(t, Limit{Name: "x", Count: 1, Window: time.Second, Mode: Strict})}, []Key{{Policy: "x"}}, make([]State, 1)
	began := l.now()
	for range 5 {
		if l.takeAt(began, limits, keys, states) {
			t.Fatal("a request passes")
		}
		if retry := states[0].Retry; retry < 700*time.Millisecond || retry > 700*time.Millisecond+time.Duration(l.now()-began) {
			t.Errorf("%+v, want 0.7 s", states[0])
		}
	}
	if n := len(f.fetches()); n != 1 {
		t.Errorf("%d fetches", n)
	}
	full := func(string) any { return []any{1, 0, 1000, 0} }
	f.bucket.Store(&full)
	if !l.takeAt(l.now()+int64(time.Second), limits, keys, states) {
		t.Error("it does not pass when the bucket has a token")
	}
}

// A token goes back to its batch when another limit refuses.
func TestRateGivesBackASharedToken(t *testing.T) {
	f := startFleet(t, func(string) any { return []any{5, 0, 1000, 0} })
	l, _ := f.join(t)
	limits := []*Limit{
		prepared(t, Limit{Name: "shared", Count: 1000, Window: time.Second, Mode: Shared}),
		prepared(t, Limit{Name: "narrow", Count: 1, Window: time.Hour}),
	}
	keys, states, now := []Key{{Policy: "shared"}, {Policy: "narrow"}}, make([]State, 2), l.now()
	for i := range 20 {
		if passes := l.takeAt(now, limits, keys, states); passes != (i == 0) {
			t.Fatalf("request %d: %t", i, passes)
		}
		if states[0].Remaining != 4 {
			t.Errorf("request %d: %+v", i, states[0])
		}
	}
	if n := len(f.fetches()); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

// A Redis that gives strange answers, or none, is away: each gateway has its share, and one request in a second asks again.
func TestRateWhileRedisIsAway(t *testing.T) {
	for name, answer := range map[string]any{
		"an error":  errors.New("OOM command not allowed"),
		"no list":   "OK",
		"too short": []any{1, 0},
		"hung up":   redistest.HangUp{},
	} {
		t.Run(name, func(t *testing.T) {
			f := startFleet(t, func(string) any { return answer })
			l, tokens := f.join(t)
			limit := prepared(t, Limit{Name: "x", Count: 10, Window: time.Hour, Burst: 4, Mode: Shared})
			passed, now := 0, l.now()
			for range 20 {
				if l.takeAt(now, []*Limit{limit}, []Key{{Policy: "x"}}, make([]State, 1)) {
					passed++
				}
			}
			if n := len(f.fetches()); n != 1 || passed != 2 {
				t.Errorf("%d fetches, %d passed of a burst of 4 for two", n, passed)
			}
			back := func(string) any { return []any{1, 0, 1000, 0} }
			f.bucket.Store(&back)
			tokens.maintainSecret(l.now())
			if tokens.Calls() != 2 {
				t.Errorf("%d calls, the secret is asked for while Redis is away", tokens.Calls())
			}
			later := l.now() + int64(2*awayFor)
			if !l.takeAt(later, []*Limit{limit}, []Key{{Policy: "x"}}, make([]State, 1)) || tokens.awayUntil.Load() != 0 {
				t.Error("Redis stays away though it answers")
			}
		})
	}
}

// Without memory for another batch a gateway has its share.
func TestRateWithoutMemoryForABatch(t *testing.T) {
	f := startFleet(t, func(string) any { return []any{1, 0, 1000, 0} })
	l, _ := f.join(t)
	l.Resize(1)
	limit := prepared(t, Limit{Name: "x", Count: 10, Window: time.Hour, Burst: 4, Mode: Strict})
	passed, now := 0, l.now()
	for range 20 {
		if l.takeAt(now, []*Limit{limit}, []Key{{Policy: "x"}}, make([]State, 1)) {
			passed++
		}
	}
	if passed != 2 || len(f.fetches()) != 0 {
		t.Errorf("%d passed of a burst of 4 for two, after %d fetches", passed, len(f.fetches()))
	}
}

// The first gateway's secret names the buckets of all (contract 9.7); after it was lost one puts it back, and all adopt that.
func TestRateSecret(t *testing.T) {
	f := startFleet(t, func(string) any { return []any{1, 0, 1000, 0} })
	limits, keys := []*Limit{prepared(t, Limit{Name: "x", Count: 10, Window: time.Hour, Mode: Strict})}, []Key{{Policy: "x", Name: "ann"}}
	a, ta := f.join(t)
	b, tb := f.join(t)
	tb.maintainSecret(b.now())
	if tb.Calls() != 0 {
		t.Error("a secret is asked for before a limit is shared")
	}
	a.Take(limits, keys, make([]State, 1))
	b.Take(limits, keys, make([]State, 1))
	name := ta.names.Load().name(&keys[0])
	if tb.names.Load().name(&keys[0]) != name || strings.Contains(name, "ann") || !strings.HasPrefix(name, "gw:{q:") {
		t.Errorf("%s and %s", name, tb.names.Load().name(&keys[0]))
	}
	f.secret.Store(nil)
	tb.maintainSecret(b.now())
	ta.maintainSecret(a.now())
	if ta.names.Load().name(&keys[0]) != name || *f.secret.Load() != ta.names.Load().secret {
		t.Error("the lost secret is not put back")
	}
	other := "another gateway's"
	f.secret.Store(&other)
	ta.maintainSecret(a.now())
	tb.maintainSecret(b.now())
	if s := ta.names.Load().secret; s != other || tb.names.Load().secret != other {
		t.Errorf("%q, want the one that is there", s)
	}
	empty := ""
	f.secret.Store(&empty)
	if err := ta.adoptSecret(t.Context(), "mine"); !errors.Is(err, errAway) {
		t.Errorf("no secret is adopted: %v", err)
	}
	f.Stop()
	if err := ta.adoptSecret(t.Context(), "mine"); !errors.Is(err, errAway) || ta.names.Load().secret != other {
		t.Errorf("without a server: %v", err)
	}
}

// Batches without tokens, whose bucket has some again, are dropped.
func TestRateSweepsBatches(t *testing.T) {
	f := startFleet(t, func(string) any { return []any{1, 0, 1000, 0} })
	l, _ := f.join(t)
	limit := prepared(t, Limit{Name: "x", Count: 1000, Window: time.Second, Mode: Shared})
	for i := range 10 {
		l.Take([]*Limit{limit}, []Key{{Policy: "x", Name: fmt.Sprint(i)}}, make([]State, 1))
	}
	l.sweepShared(l.now())
	if l.batches.Size() != 10 {
		t.Errorf("%d batches of 10", l.batches.Size())
	}
	l.sweepShared(l.now() + int64(2*sweepEvery))
	if l.batches.Size() != 0 {
		t.Errorf("%d batches after two seconds", l.batches.Size())
	}
}
