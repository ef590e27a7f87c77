package rate

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// counts is a reference for limits whose tokens do not come back during a test: what was taken of each bucket.
type counts map[Key]int64

// take takes a token of each of the limits for which asked is true, or of none.
func (c counts) take(limits []*Limit, keys []Key, asked func(*Limit) bool) bool {
	for i, l := range limits {
		if asked(l) && c[keys[i]] >= l.Burst {
			return false
		}
	}
	for i, l := range limits {
		if asked(l) {
			c[keys[i]]++
		}
	}
	return true
}

func binding(l *Limit) bool   { return !l.Shadow }
func shadowing(l *Limit) bool { return l.Shadow }

// drawLimits draws limits of a mode, and for each request which bucket of each it needs.
func drawLimits(t *rapid.T, mode Mode, shadow *rapid.Generator[bool]) (limits []*Limit, requests [][]Key) {
	run := fmt.Sprint(time.Now().UnixNano())
	for i := range rapid.IntRange(1, 5).Draw(t, "limits") {
		limits = append(limits, prepared(t, Limit{
			Name:   fmt.Sprint(run, i),
			Count:  1,
			Window: 10000 * time.Hour,
			Burst:  rapid.Int64Range(1, 12).Draw(t, "burst"),
			Shadow: shadow.Draw(t, "shadow"),
			Mode:   mode,
		}))
	}
	for range rapid.IntRange(1, 60).Draw(t, "requests") {
		var keys []Key
		for _, l := range limits {
			keys = append(keys, Key{Policy: l.Name, Name: fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "bucket"))})
		}
		requests = append(requests, keys)
	}
	return limits, requests
}

// A refused request uses nothing up, and limits with shadow count what they would refuse without it: random requests, against
// the reference.
func witnessAllOrNone(t *testing.T, mode Mode, l *Limiter) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		limits, requests := drawLimits(t, mode, rapid.Bool())
		reference, before := counts{}, l.Stats()
		var refused, shadowed uint64
		for n, keys := range requests {
			states := make([]State, len(limits))
			got := l.Take(limits, keys, states)
			want := reference.take(limits, keys, binding)
			if got != want {
				t.Fatalf("request %d: %t, want %t: %+v", n, got, want, states)
			}
			if !want {
				refused++
			} else if !reference.take(limits, keys, shadowing) {
				shadowed++
			}
			for i, s := range states {
				if left := limits[i].Burst - reference[keys[i]]; s.Remaining != Unasked && s.Remaining != left {
					t.Fatalf("request %d: %s has %d left, want %d", n, limits[i].Name, s.Remaining, left)
				}
			}
		}
		after := l.Stats()
		if r, s := after.Refused-before.Refused, after.Shadowed-before.Shadowed; r != refused || s != shadowed {
			t.Fatalf("%d refused and %d shadowed, want %d and %d", r, s, refused, shadowed)
		}
	})
}

// What shadow counts is what the same requests are refused without it.
func witnessForetells(t *testing.T, mode Mode, l *Limiter) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		limits, requests := drawLimits(t, mode, rapid.Just(false))
		var inShadow []*Limit
		for _, limit := range limits {
			copied := *limit
			copied.Shadow = true
			inShadow = append(inShadow, &copied)
		}
		for n, keys := range requests {
			states := make([]State, len(limits))
			before := l.Stats()
			refused := !l.Take(limits, keys, states)
			for i := range keys {
				keys[i].Project = "shadow" // buckets of its own
			}
			if !l.Take(inShadow, keys, states) {
				t.Fatalf("request %d: refused in shadow", n)
			}
			if foretold := l.Stats().Shadowed > before.Shadowed; foretold != refused {
				t.Fatalf("request %d: foretold %t, refused %t", n, foretold, refused)
			}
		}
	})
}

// slowRedis answers as rate.lua does for buckets whose tokens do not come back during a test.
func slowRedis(t *testing.T) *Limiter {
	var mu sync.Mutex // guards taken
	taken := map[string]int64{}
	server := redistest.Scripted(t, func(c []string) any {
		if c[3] == secretKey {
			return "a secret that all gateways know"
		}
		interval, _ := strconv.ParseFloat(c[4], 64)
		capacity, _ := strconv.ParseFloat(c[5], 64)
		want, _ := strconv.ParseInt(c[6], 10, 64)
		burst := int64(capacity/interval + 0.5)
		mu.Lock()
		defer mu.Unlock()
		given := min(want, burst-taken[c[3]])
		if given == 0 {
			return []any{0, 3_600_000_000, 3_600_000_000, 0}
		}
		taken[c[3]] = max(0, taken[c[3]]+given)
		return []any{int(given), 0, 3_600_000_000, int(burst - taken[c[3]])}
	})
	config, err := redisconn.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := redisconn.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	l := limiter(t)
	l.Share(NewSharedTokens(conn, func() int { return 2 }))
	return l
}

func TestAllOrNoneLocal(t *testing.T)  { witnessAllOrNone(t, Local, limiter(t)) }
func TestAllOrNoneShared(t *testing.T) { witnessAllOrNone(t, Shared, slowRedis(t)) }
func TestAllOrNoneStrict(t *testing.T) { witnessAllOrNone(t, Strict, slowRedis(t)) }

func TestShadowForetellsLocal(t *testing.T)  { witnessForetells(t, Local, limiter(t)) }
func TestShadowForetellsShared(t *testing.T) { witnessForetells(t, Shared, slowRedis(t)) }
func TestShadowForetellsStrict(t *testing.T) { witnessForetells(t, Strict, slowRedis(t)) }

// A token that Redis does not take back is lost: the limit has one too few then, never one too many.
func TestTokenThatRedisDoesNotTakeBack(t *testing.T) {
	f := startFleet(t, func(want string) any {
		if want == "-1" {
			return fmt.Errorf("ERR no")
		}
		return []any{1, 0, 1000, 4}
	})
	l, _ := f.join(t)
	limits := []*Limit{
		prepared(t, Limit{Name: "strict", Count: 1000, Window: time.Second, Mode: Strict}),
		prepared(t, Limit{Name: "narrow", Count: 1, Window: time.Hour}),
	}
	keys, states := []Key{{Policy: "strict"}, {Policy: "narrow"}}, make([]State, 2)
	for i := range 2 {
		if passes := l.Take(limits, keys, states); passes != (i == 0) {
			t.Fatalf("request %d: %t", i, passes)
		}
		if states[0].Remaining != 4 {
			t.Errorf("request %d: %+v", i, states[0])
		}
	}
}
