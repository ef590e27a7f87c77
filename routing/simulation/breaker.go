package simulation

import (
	"math/rand/v2"
	"time"
)

// The breaker of a backend, as package regions has it (docs/regions.md).
const (
	breakerRun      = 5  // failures in a row that open it
	breakerRequests = 20 // or this many requests in the window, half of them failed
	breakerHalfOpen = 3  // requests that try a backend out
	breakerOpen     = 5 * time.Second
	breakerOpenMost = time.Minute
	breakerJitter   = 0.1
)

// window counts two kinds of things over the last ten seconds.
type window struct {
	counts [10][2]int
	second int64 // of the newest count
}

func (w *window) add(now time.Duration, which int) {
	w.forget(now)
	w.counts[w.second%10][which]++
}

func (w *window) sums(now time.Duration) (first, second int) {
	w.forget(now)
	for i := range w.counts {
		first, second = first+w.counts[i][0], second+w.counts[i][1]
	}
	return first, second
}

func (w *window) forget(now time.Duration) {
	second := int64(now / time.Second)
	if second-w.second >= 10 {
		w.counts = [10][2]int{}
		w.second = second
	}
	for ; w.second < second; w.second++ {
		w.counts[(w.second+1)%10] = [2]int{}
	}
}

// breaker does the same as that of regions with gobreaker, which knows only the clock on
// the wall, in virtual time.
type breaker struct {
	outcomes window // passes, failures
	run      int    // failures in a row
	until    time.Duration
	open     bool
	wait     time.Duration // of the next opening
	trying   int           // half-open: requests under way
	passed   int           // half-open: requests that went well
}

// isOpen reports whether nothing may be sent.
func (b *breaker) isOpen(now time.Duration) bool { return b.open && now < b.until }

// admit reports whether a request may be sent, and counts it.
func (b *breaker) admit(now time.Duration) bool {
	if !b.open {
		return true
	}
	if now < b.until || b.trying+b.passed >= breakerHalfOpen {
		return false
	}
	b.trying++
	return true
}

// report takes in the outcome of a request that was admitted. It reports whether
// the breaker opened or closed.
func (b *breaker) report(now time.Duration, passed bool, random *rand.Rand) (changed bool) {
	if b.open {
		if now < b.until {
			return false // sent before it opened
		}
		b.trying = max(0, b.trying-1)
		if !passed {
			b.trip(now, random)
			return true
		}
		if b.passed++; b.passed >= breakerHalfOpen {
			*b = breaker{}
			return true
		}
		return false
	}
	if passed {
		b.outcomes.add(now, 0)
		b.run = 0
		return false
	}
	b.outcomes.add(now, 1)
	b.run++
	passes, failures := b.outcomes.sums(now)
	if b.run >= breakerRun || passes+failures >= breakerRequests && failures >= passes {
		b.trip(now, random)
		return true
	}
	return false
}

func (b *breaker) trip(now time.Duration, random *rand.Rand) {
	wait := max(b.wait, breakerOpen)
	jittered := float64(wait) * (1 - breakerJitter + 2*breakerJitter*random.Float64())
	*b = breaker{open: true, until: now + time.Duration(jittered), wait: min(2*wait, breakerOpenMost)}
}

// failureRate is the part of the requests of the last ten seconds that failed.
func (b *breaker) failureRate(now time.Duration) float64 {
	passes, failures := b.outcomes.sums(now)
	if failures == 0 {
		return 0
	}
	return float64(failures) / float64(passes+failures)
}
