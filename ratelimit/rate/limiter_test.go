package rate

import (
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
	"pgregory.net/rapid"
)

func prepared(t interface{ Fatalf(string, ...any) }, r Limit) *Limit {
	if !r.Prepare() {
		t.Fatalf("%+v is impossible", r)
	}
	return &r
}

func limiter(t *testing.T) *Limiter {
	l := NewLimiter()
	t.Cleanup(l.Close)
	return l
}

func TestRatePrepare(t *testing.T) {
	for _, wrong := range []Limit{
		{},
		{Count: 1},
		{Count: 0, Window: time.Second},
		{Count: 1, Window: time.Millisecond},
		{Count: 1, Window: time.Second, Burst: -1},
		{Count: 2e9, Window: time.Second},
		{Count: 1, Window: 24 * time.Hour, Burst: 1 << 50},
	} {
		if wrong.Prepare() {
			t.Errorf("%+v is possible", wrong)
		}
	}
	if r := prepared(t, Limit{Count: 3, Window: time.Second}); r.Burst != 3 || r.interval != 333333334 {
		t.Errorf("%+v", r)
	}
}

// Against a leaky bucket of big integers: the same answer to each request.
func TestRateAgainstReference(t *testing.T) {
	l := limiter(t)
	rapid.Check(t, func(t *rapid.T) {
		rate := prepared(t, Limit{
			Name: "x", Count: rapid.Int64Range(1, 5000).Draw(t, "count"), Window: time.Duration(rapid.Int64Range(1, 3600).Draw(t, "window")) * time.Second,
			Burst: rapid.Int64Range(0, 50).Draw(t, "burst"),
		})
		key := Key{Policy: fmt.Sprint(rapid.Int64().Draw(t, "policy"), time.Now().UnixNano())}
		level, last := new(big.Int), int64(0) // nanoseconds of debt
		now := int64(1)
		for range rapid.IntRange(1, 200).Draw(t, "requests") {
			now += rapid.Int64Range(0, 3*rate.interval).Draw(t, "gap")
			level.Sub(level, big.NewInt(now-last))
			if level.Sign() < 0 {
				level.SetInt64(0)
			}
			last = now
			full := new(big.Int).Add(level, big.NewInt(rate.interval))
			want := full.Cmp(big.NewInt(rate.capacity)) <= 0
			if want {
				level = full
			}
			var states [1]State
			got := l.takeAt(now, []*Limit{rate}, []Key{key}, states[:])
			if got != want {
				t.Fatalf("at %d: %t, want %t", now, got, want)
			}
			left := new(big.Int).Sub(big.NewInt(rate.capacity), level)
			if want := left.Div(left, big.NewInt(rate.interval)).Int64(); got && states[0].Remaining != want {
				t.Fatalf("%d remain, want %d", states[0].Remaining, want)
			}
			if !got {
				if l.takeAt(now+int64(states[0].Retry)-1, []*Limit{rate}, []Key{key}, make([]State, 1)) {
					t.Fatal("there was a token before it was said")
				}
			}
		}
	})
}

// In no window are there more than the burst and what comes in it.
func TestRateInEachWindow(t *testing.T) {
	l, rate := limiter(t), prepared(t, Limit{Name: "x", Count: 100, Window: time.Second, Burst: 20})
	var passed []int64
	for now := int64(0); now < int64(3*time.Second); now += 1_234_567 {
		if l.takeAt(now, []*Limit{rate}, []Key{{Policy: "x"}}, make([]State, 1)) {
			passed = append(passed, now)
		}
	}
	for i := range passed {
		n := 0
		for _, at := range passed[i:] {
			if at < passed[i]+int64(time.Second) {
				n++
			}
		}
		if n > 120 {
			t.Fatalf("%d in the second from %d", n, passed[i])
		}
	}
	if len(passed) != 320 && len(passed) != 319 {
		t.Errorf("%d in three seconds", len(passed))
	}
}

func TestRateByManyAtOnce(t *testing.T) {
	l := limiter(t)
	wide, narrow := prepared(t, Limit{Name: "wide", Count: 1, Window: time.Hour, Burst: 1000}), prepared(t, Limit{Name: "narrow", Count: 1, Window: time.Hour, Burst: 300})
	rates, keys := []*Limit{wide, narrow}, []Key{{Policy: "wide"}, {Policy: "narrow"}}
	var passed atomic.Int64
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			states := make([]State, 2)
			for range 500 {
				if l.Take(rates, keys, states) {
					passed.Add(1)
				}
			}
		})
	}
	running.Wait()
	if passed.Load() != 300 || l.Stats().Refused != 4000-300 {
		t.Errorf("%d passed, %+v", passed.Load(), l.Stats())
	}
	// What was refused took nothing.
	states := make([]State, 1)
	if !l.Take(rates[:1], keys[:1], states) || states[0].Remaining != 699 {
		t.Errorf("%+v", states)
	}
}

// A refusal says what is left, also of those that had a token, and nothing of those that were not asked.
func TestRateRefusalSaysWhatIsLeft(t *testing.T) {
	l := limiter(t)
	rates := []*Limit{
		prepared(t, Limit{Name: "wide", Count: 10, Window: time.Hour}), prepared(t, Limit{Name: "narrow", Count: 1, Window: time.Hour}),
		prepared(t, Limit{Name: "last", Count: 5, Window: time.Hour}),
	}
	keys, states := []Key{{Policy: "wide"}, {Policy: "narrow"}, {Policy: "last"}}, make([]State, 3)
	if !l.Take(rates, keys, states) || StateHeader(rates, states) != `"wide";r=9;t=360, "narrow";r=0;t=3600, "last";r=4;t=720` {
		t.Error(StateHeader(rates, states))
	}
	if l.Take(rates, keys, states) || !strings.HasPrefix(StateHeader(rates, states), `"wide";r=9;t=`) || strings.Contains(StateHeader(rates, states), "last") {
		t.Error(StateHeader(rates, states))
	}
}

// A refusal gives back all that was taken, also of the share of a limit that a gateway has while Redis is away.
func TestRateRefusalTakesNothingOfAShare(t *testing.T) {
	const gateways = 4
	l, tokens := limiter(t), NewSharedTokens(nil, func() int { return gateways })
	l.Share(tokens)
	tokens.awayUntil.Store(int64(time.Hour))
	rates := []*Limit{
		prepared(t, Limit{Name: "shared", Count: 1, Window: time.Hour, Burst: 10 * gateways, Mode: Shared}),
		prepared(t, Limit{Name: "narrow", Count: 1, Window: time.Hour}),
	}
	keys, states := []Key{{Policy: "shared"}, {Policy: "narrow"}}, make([]State, 2)
	for i := range 100 {
		if passes := l.takeAt(0, rates, keys, states); passes != (i == 0) {
			t.Fatalf("request %d: %t", i, passes)
		}
	}
	if !l.takeAt(0, rates[:1], keys[:1], states[:1]) || states[0].Remaining != 8 {
		t.Errorf("%+v, want 8 of 10 left", states[0])
	}
}

// While Redis is away one call of a bucket finds out whether it is back; the others do not wait for that.
func TestRateOneFindsOut(t *testing.T) {
	l, tokens := limiter(t), NewSharedTokens(nil, func() int { return 2 })
	l.Share(tokens)
	tokens.awayUntil.Store(1)
	if !tokens.mayCall(2) || tokens.mayCall(3) {
		t.Error("not one of them asks")
	}
	rate, keys := prepared(t, Limit{Name: "x", Count: 10, Window: time.Hour, Mode: Shared}), []Key{{Policy: "x"}}
	asking := new(batch)
	l.batches.Store(l.hasher.id(&keys[0]), asking)
	asking.mu.Lock()
	defer asking.mu.Unlock()
	if !l.Take([]*Limit{rate}, keys, make([]State, 1)) {
		t.Error("it was refused")
	}
}

func TestRateShadow(t *testing.T) {
	l, rate := limiter(t), prepared(t, Limit{Name: "x", Count: 1, Window: time.Hour, Shadow: true})
	for range 3 {
		if !l.Take([]*Limit{rate}, []Key{{Policy: "x"}}, make([]State, 1)) {
			t.Error("it was refused")
		}
	}
	if s := l.Stats(); s.Shadowed != 2 || s.Refused != 0 {
		t.Errorf("%+v", s)
	}
}

// Whoever comes with many keys fills the memory up to its bound, and resets nobody's limit.
func TestRateMemory(t *testing.T) {
	l, rate := limiter(t), prepared(t, Limit{Name: "x", Count: 1, Window: time.Hour, Burst: 2})
	l.Resize(1000 * bucketBytes)
	rates, states := []*Limit{rate}, make([]State, 1)
	of := func(i int) []Key {
		return []Key{{Policy: "x", Address: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})}}
	}
	l.takeAt(0, rates, of(0), states)
	l.takeAt(0, rates, of(0), states)
	for i := 1; i < 100_000; i++ {
		l.takeAt(0, rates, of(i), states)
	}
	if l.takeAt(1, rates, of(0), states) {
		t.Error("a limit was reset")
	}
	if n := l.buckets.Size(); n > 1000 {
		t.Errorf("%d buckets", n)
	}
	// When they are full again they are dropped.
	l.sweep(int64(3 * time.Hour))
	if n := l.buckets.Size(); n != 0 {
		t.Errorf("%d buckets", n)
	}
	if !l.takeAt(int64(3*time.Hour), rates, of(0), states) || states[0].Remaining != 1 {
		t.Errorf("%+v", states)
	}
}

// A sweep at the wrong moment gives nobody a token that is not there.
func TestRateSweepsAndTakes(t *testing.T) {
	l, rate := limiter(t), prepared(t, Limit{Name: "x", Count: 10000, Window: time.Second, Burst: 1})
	stop := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				l.sweep(l.now())
			}
		}
	})
	var passed atomic.Int64
	began := l.now()
	var takers sync.WaitGroup
	for range 4 {
		takers.Go(func() {
			states := make([]State, 1)
			for range 20000 {
				if l.Take([]*Limit{rate}, []Key{{Policy: "x"}}, states) {
					passed.Add(1)
				}
			}
		})
	}
	takers.Wait()
	if most := (l.now()-began)/rate.interval + 2; passed.Load() > most {
		t.Errorf("%d passed, at most %d may", passed.Load(), most)
	}
	close(stop)
	running.Wait()
}

func TestRateHeaders(t *testing.T) {
	rates := []*Limit{
		prepared(t, Limit{Name: "project", Count: 200, Window: time.Second, Burst: 400}),
		prepared(t, Limit{Name: "client_ip", Count: 5, Window: time.Minute}),
	}
	policy, err := PolicyHeader(rates)
	if err != nil || policy != `"project";q=200;w=1, "client_ip";q=5;w=60` {
		t.Errorf("%s, %v", policy, err)
	}
	state := StateHeader(rates, []State{{Remaining: 399, Reset: time.Millisecond}, {Retry: 61 * time.Second, Reset: 1500 * time.Millisecond}})
	if state != `"project";r=399;t=1, "client_ip";r=0;t=61` {
		t.Error(state)
	}
	list, err := httpsfv.UnmarshalList([]string{state})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := httpsfv.Marshal(list); err != nil || again != state {
		t.Errorf("%s is %s, %v", state, again, err)
	}
}

func BenchmarkRate(b *testing.B) {
	l := NewLimiter()
	defer l.Close()
	rates := []*Limit{prepared(b, Limit{Name: "project", Count: 1e9, Window: time.Second}), prepared(b, Limit{Name: "client_ip", Count: 1e9, Window: time.Second})}
	keys := []Key{{Policy: "project", Project: "abcdefghijklmnopqrst"}, {Policy: "client_ip", Project: "abcdefghijklmnopqrst", Address: netip.MustParseAddr("192.0.2.1")}}
	states := make([]State, 2)
	b.Run("take", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			l.Take(rates, keys, states)
		}
	})
	b.Run("header", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = StateHeader(rates, states)
		}
	})
}
