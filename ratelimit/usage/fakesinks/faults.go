// Package fakesinks stands in for services that cannot be had in tests: Stripe's
// billing meters, and OpenMeter or any other receiver of CloudEvents. They speak
// what those document, remember for as long as those do, by a clock that the test
// sets, and fail in all the ways that a service over a network can.
package fakesinks

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Fault is a failure of a call.
type Fault int

// The faults.
const (
	None        Fault = iota
	Lost              // the call does not arrive
	Unanswered        // it is done, and the answer does not arrive
	Broken            // 500, nothing was done
	BrokenAfter       // 500, and it was done
	Busy              // 429 with Retry-After
	Away              // 503
	Half              // part of a batch is done, then 500
	faults
)

// Faults decides which calls fail, and how. The zero value lets all succeed.
type Faults struct {
	mu     sync.Mutex // guards all below
	random *rand.Rand
	rate   float64
	now    time.Time
	calls  int
	failed int
}

// Schedule makes calls fail at random. The same seed gives the same faults.
func (f *Faults) Schedule(seed uint64, rate float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.random, f.rate = rand.New(rand.NewPCG(seed, 7)), rate //nolint:gosec // it guards nothing
}

// Heal ends all faults.
func (f *Faults) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rate = 0
}

// Set sets the clock.
func (f *Faults) Set(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = now
}

// Now returns the time of the fake's clock: the machine's time before Set.
func (f *Faults) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now.IsZero() {
		return time.Now()
	}
	return f.now
}

// Calls returns how many calls came and how many of them failed.
func (f *Faults) Calls() (calls, failed int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls, f.failed
}

func (f *Faults) next() Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.random == nil || f.random.Float64() >= f.rate {
		return None
	}
	f.failed++
	return 1 + Fault(f.random.IntN(int(faults)-1))
}

func (f *Faults) shuffle(n int, swap func(i, j int)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.random != nil {
		f.random.Shuffle(n, swap)
	}
}

// answer applies a fault around do, which does the work and answers.
func (f *Faults) answer(w http.ResponseWriter, fault Fault, do func(w http.ResponseWriter)) {
	switch fault {
	case Lost:
		panic(http.ErrAbortHandler)
	case Unanswered:
		do(discard{})
		panic(http.ErrAbortHandler)
	case Broken:
		w.WriteHeader(http.StatusInternalServerError)
	case BrokenAfter:
		do(discard{})
		w.WriteHeader(http.StatusInternalServerError)
	case Busy:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	case Away:
		w.WriteHeader(http.StatusServiceUnavailable)
	case None, Half, faults:
		do(w)
	}
}

// discard drops an answer.
type discard struct{}

func (discard) Header() http.Header         { return make(http.Header) }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}
