package rate

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// burst sends n requests at once, spread over limiters, and returns how many passed. It fails if a refusal says that
// something is left, if r is none that the bucket can have, or if a limit with shadow refuses.
func burst(t *testing.T, limit *Limit, key Key, n int, limiters ...*Limiter) (passed int) {
	t.Helper()
	states, passes := make([]State, n), make([]bool, n)
	start, running := make(chan struct{}), sync.WaitGroup{}
	for i := range n {
		running.Go(func() {
			<-start
			passes[i] = limiters[i%len(limiters)].Take([]*Limit{limit}, []Key{key}, states[i:i+1])
		})
	}
	close(start)
	running.Wait()
	for i, s := range states {
		if passes[i] && s.Retry == 0 {
			passed++
		}
		if s.Retry > 0 && s.Remaining != 0 {
			t.Errorf("%s: one of %d requests was refused with r=%d", limit.Name, n, s.Remaining)
		}
		if s.Remaining < 0 || s.Remaining >= limit.Burst {
			t.Errorf("%s: r=%d of a burst of %d", limit.Name, s.Remaining, limit.Burst)
		}
		if !passes[i] && limit.Shadow {
			t.Errorf("%s: a limit with shadow refused a request", limit.Name)
		}
	}
	return passed
}

// witnessBursts takes bursts of each size of fresh buckets: what a bucket has, it gives, however many ask at once.
func witnessBursts(t *testing.T, mode Mode, limiters ...*Limiter) {
	t.Helper()
	for _, shadow := range []bool{false, true} {
		for _, pace := range []struct {
			count  int64
			window time.Duration
			steady bool // nothing comes back meanwhile
		}{{1, time.Hour, true}, {20, time.Second, false}, {500, time.Second, false}, {20000, time.Second, false}} {
			const most = 24
			name := fmt.Sprintf("mode %d, shadow %t, %d in %v", mode, shadow, pace.count, pace.window)
			limit := prepared(t, Limit{
				Name:   name,
				Count:  pace.count,
				Window: pace.window,
				Burst:  most,
				Shadow: shadow,
				Mode:   mode,
			})
			for n := 1; n <= most; n++ {
				key := Key{Policy: name, Name: fmt.Sprint(n)}
				if got := burst(t, limit, key, n, limiters...); got != n {
					t.Errorf("%s: %d of %d requests at once passed a full bucket of %d", name, got, n, most)
				}
				if !pace.steady {
					continue
				}
				if got := burst(t, limit, key, 2*most, limiters...); got != most-n {
					t.Errorf("%s: %d passed with %d left", name, got, most-n)
				}
			}
		}
	}
}

func TestBurstsLocal(t *testing.T) { witnessBursts(t, Local, limiter(t)) }
