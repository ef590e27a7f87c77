//go:build e2e

package rate

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// Gateways share a limit. With tokens for a twentieth of a second no window has more than its part beyond
// the limit, strict ones have none; where Redis is away each has its part.
func TestRedisRateIsShared(t *testing.T) {
	s := redistest.Single(t)
	const gateways = 4
	var limiters []*Limiter
	for range gateways {
		l, _ := joinRedis(t, s, gateways)
		limiters = append(limiters, l)
	}
	// passed takes until so many passed, and some were refused after that.
	passed := func(rate Limit, least int64) (n int64, in time.Duration) {
		r := prepared(t, rate)
		var passed, refused atomic.Int64
		var running sync.WaitGroup
		start := time.Now()
		ctx, stop := context.WithCancel(t.Context())
		for _, l := range limiters {
			for range 2 {
				running.Go(func() {
					states := make([]State, 1)
					for ctx.Err() == nil {
						if l.Take([]*Limit{r}, []Key{{Policy: r.Name}}, states) {
							passed.Add(1)
							continue
						}
						refused.Add(1)
						if states[0].Retry <= 0 {
							t.Error("refused without saying for how long")
						}
						<-time.After(100 * time.Microsecond)
					}
				})
			}
		}
		if !becomes(time.Minute, func() bool { return passed.Load() >= least }) {
			t.Errorf("%s: %d passed in a minute", rate.Name, passed.Load())
		}
		before := refused.Load()
		becomes(time.Second, func() bool { return refused.Load() > before+50 })
		stop()
		running.Wait()
		return passed.Load(), time.Since(start)
	}
	for _, tt := range []struct {
		rate  Limit
		least int64
		more  int64 // than the burst and what comes in the time
	}{
		{Limit{Name: "shared", Count: 1000, Window: time.Second, Burst: 100, Mode: Shared}, 1900, 50 + 20},
		{Limit{Name: "strict", Count: 500, Window: time.Second, Burst: 50, Mode: Strict}, 1000, 10},
		{Limit{Name: "slow", Count: 10, Window: time.Hour, Burst: 10, Mode: Shared}, 10, 0},
		{Limit{Name: "away", Count: 400, Window: time.Second, Burst: 1, Mode: Shared}, 600, 4 * gateways},
	} {
		if tt.rate.Name == "away" {
			s.Stop()
		}
		n, in := passed(tt.rate, tt.least)
		if most := tt.rate.Burst + int64(in)*tt.rate.Count/int64(tt.rate.Window) + tt.more; n > most {
			t.Errorf("%s: %d passed in %s, want at most %d", tt.rate.Name, n, in, most)
		}
	}
}

// Contract 9.7: gateways that share a Redis name a subject's bucket by the same secret, which lies there; one that was lost is
// put back, and where two had put one there they agree again.
func TestRedisRateNames(t *testing.T) {
	s := redistest.Single(t)
	key := []Key{{Policy: "subject", Project: "p", Name: strings.Repeat("x", 8<<10)}}
	join := func() (*Limiter, *SharedTokens) { return joinRedis(t, s, 2) }
	// passed takes from one after the other.
	passed := func(rate *Limit, limiters ...*Limiter) (n int) {
		for i := range 20 {
			if limiters[i%len(limiters)].Take([]*Limit{rate}, key, make([]State, 1)) {
				n++
			}
		}
		return n
	}
	strict := func(name string) *Limit {
		key[0].Policy = name
		return prepared(t, Limit{Name: name, Count: 1, Window: time.Hour, Burst: 7, Mode: Strict})
	}
	a, ta := join()
	b, tb := join()
	if n := passed(strict("first"), a, b); n != 7 {
		t.Errorf("%d passed, want 7", n)
	}
	names, _ := s.Exec("KEYS", "gw:*:r:*").([]any)
	if len(names) != 1 || len(fmt.Sprint(names[0])) > 60 || fmt.Sprint(names[0]) != ta.names.Load().name(&key[0]) {
		t.Errorf("buckets %v", names)
	}
	first := ta.names.Load().secret
	if text := s.Exec("GET", secretKey); text != first || len(first) < 20 {
		t.Errorf("secret %q, %v in Redis", first, text)
	}
	s.Exec("FLUSHALL")
	c, tc := join() // comes while there is none
	passed(strict("second"), c)
	agree := func() bool {
		name := tc.names.Load().name(&key[0])
		return ta.names.Load().name(&key[0]) == name && tb.names.Load().name(&key[0]) == name && s.Exec("GET", secretKey) == tc.names.Load().secret
	}
	if !becomes(20*time.Second, agree) {
		t.Fatal("they do not agree")
	}
	if n := passed(strict("third"), a, b, c); n != 7 {
		t.Errorf("after the loss %d passed, want 7", n)
	}
	// Nobody new: it is put back as it was.
	before := ta.names.Load().secret
	s.Exec("DEL", secretKey)
	if !becomes(20*time.Second, func() bool { return s.Exec("EXISTS", secretKey) == int64(1) }) || !agree() || ta.names.Load().secret != before {
		t.Error("the secret is not put back")
	}
}

// becomes reports whether something becomes true within a time.
func becomes(within time.Duration, ask func() bool) bool {
	deadline, tick := time.After(within), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !ask() {
		select {
		case <-deadline:
			return false
		case <-tick.C:
		}
	}
	return true
}

// What a shared bucket has, it gives, however many requests come at once, to one gateway or to two. A request that waited
// while another fetched tokens is judged by the time after its wait.
func TestRedisBursts(t *testing.T) {
	s := redistest.Single(t)
	join := func(gateways int) *Limiter {
		l, _ := joinRedis(t, s, gateways)
		return l
	}
	for _, mode := range []Mode{Shared, Strict} {
		t.Run(fmt.Sprintf("mode %d, one gateway", mode), func(t *testing.T) { witnessBursts(t, mode, join(1)) })
		s.Exec("FLUSHALL")
		t.Run(fmt.Sprintf("mode %d, two gateways", mode), func(t *testing.T) { witnessBursts(t, mode, join(2), join(2)) })
		s.Exec("FLUSHALL")
	}
}

// joinRedis returns the limiter of one of the gateways that share their limits in a Redis.
func joinRedis(t *testing.T, s *redistest.Server, gateways int) (*Limiter, *SharedTokens) {
	t.Helper()
	config, err := redisconn.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := redisconn.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	l, tokens := limiter(t), NewSharedTokens(conn, func() int { return gateways })
	l.Share(tokens)
	return l, tokens
}

// The script gives back what a refused request took: with a real Redis as in the reference.
func TestRedisAllOrNone(t *testing.T) {
	s := redistest.Single(t)
	for _, mode := range []Mode{Shared, Strict} {
		l, _ := joinRedis(t, s, 2)
		witnessAllOrNone(t, mode, l)
		witnessForetells(t, mode, l)
	}
}
