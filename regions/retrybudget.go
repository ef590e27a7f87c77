package regions

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// A gateway's retries are at most a fifth of its requests of the last ten
	// seconds, plus three per second.
	budgetShare  = 0.2
	budgetSecond = 3
	budgetWindow = 10 // seconds
)

// budget is the gateway's retry budget: it bounds retries, so that a gateway does
// not multiply the load of a region that fails. It is safe for concurrent use.
type budget struct {
	requests [budgetWindow]tally

	mu      sync.Mutex // guards retries
	retries [budgetWindow]tally
}

// tally counts the events of one second.
type tally struct{ second, count atomic.Int64 }

func (c *tally) add(second int64) {
	if c.second.Load() != second {
		// Concurrent resets may lose a few requests, which makes the budget smaller.
		c.count.Store(0)
		c.second.Store(second)
	}
	c.count.Add(1)
}

func sum(all *[budgetWindow]tally, second int64) (total int64) {
	for i := range all {
		if at := all[i].second.Load(); at > second-budgetWindow && at <= second {
			total += all[i].count.Load()
		}
	}
	return total
}

// request counts a request.
func (b *budget) request(now time.Time) {
	second := now.Unix()
	b.requests[second%budgetWindow].add(second)
}

// left returns how many retries may be made now.
func (b *budget) left(now time.Time) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.remains(now.Unix())
}

// remains is left for a second. The caller holds mu.
func (b *budget) remains(second int64) int64 {
	most := int64(budgetShare*float64(sum(&b.requests, second))) + budgetSecond*budgetWindow
	return most - sum(&b.retries, second)
}

// take reports whether another retry may be made, and counts it.
func (b *budget) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	second := now.Unix()
	if b.remains(second) <= 0 {
		return false
	}
	b.retries[second%budgetWindow].add(second)
	return true
}

// spend counts a retry that net/http made by itself.
func (b *budget) spend(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	second := now.Unix()
	b.retries[second%budgetWindow].add(second)
}
