package regions

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

const (
	// A breaker opens after breakerRun failures in a row, or when of at least
	// breakerLeast requests in breakerWindow half have failed.
	breakerRun    = 5
	breakerLeast  = 20
	breakerWindow = 10 * time.Second
	// breakerTrip bounds how many failures trip reports: successes that come in
	// between start the run of failures over.
	breakerTrip = 4 * breakerRun
	// breakerTrials is how many requests are let through as trials while the
	// breaker is half open.
	breakerTrials = 3
	// breakerOpen is how long the breaker stays open the first time; the time
	// doubles with each opening that follows within breakerMost, up to breakerMost.
	breakerOpen = 5 * time.Second
	breakerMost = time.Minute
)

// errNobody is the outcome of a request that says nothing about the backend.
var errNobody = errors.New("nobody's fault")

// errTripped is the outcome that trip reports to the breaker.
var errTripped = errors.New("connections of several owners broke, and a probe failed")

// breaker is the circuit breaker of one backend: while it is open no request is
// sent there. Only a connection that could not be made counts as a failure
// (contract 9.1). An HTTP answer, whatever its status, is a success, and a request
// that ends later counts as neither.
type breaker struct {
	circuit *gobreaker.TwoStepCircuitBreaker[struct{}]
	changed func() // called after every change of state; must not block
	// until is when the next request may pass, in nanoseconds since 1970, 0
	// while the breaker is closed. gobreaker's own time-out is fixed, so it is
	// kept out of the way.
	until atomic.Int64
	// The fields below are used by change only, which gobreaker serializes.
	openings int
	closed   time.Time
}

func newBreaker(changed func()) *breaker {
	b := &breaker{changed: changed}
	b.circuit = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:  breakerTrials,
		Interval:     breakerWindow,
		BucketPeriod: time.Second,
		Timeout:      time.Nanosecond,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.ConsecutiveFailures >= breakerRun ||
				c.Requests >= breakerLeast && 2*c.TotalFailures >= c.Requests
		},
		IsExcluded:    func(err error) bool { return errors.Is(err, errNobody) },
		OnStateChange: b.change,
	})
	return b
}

// change runs under gobreaker's lock and must not call the circuit.
func (b *breaker) change(_ string, _, to gobreaker.State) {
	switch to {
	case gobreaker.StateOpen:
		now := time.Now()
		if b.openings > 0 && !b.closed.IsZero() && now.Sub(b.closed) > breakerMost {
			b.openings = 0
		}
		wait := min(breakerMost, breakerOpen<<min(b.openings, 10))
		b.openings++
		b.closed = time.Time{}
		// Up to a tenth more by chance, so that gateways don't all come back at once.
		wait += rand.N(wait / 10) // #nosec G404 -- spreads load, guards nothing
		b.until.Store(now.Add(wait).UnixNano())
		b.changed()
	case gobreaker.StateClosed:
		b.closed = time.Now()
		b.until.Store(0)
		b.changed()
	case gobreaker.StateHalfOpen:
	}
}

// allow reports whether a request may be sent. If so, done must be called once:
// with nil at response headers, with errNobody if the backend is not to blame for
// their absence, else with the error.
func (b *breaker) allow() (done func(error), ok bool) {
	if b.open(time.Now()) {
		return nil, false
	}
	done, err := b.circuit.Allow()
	return done, err == nil
}

// retry half-opens the breaker now: three requests at a time are let through as
// trials, and close it if they succeed.
func (b *breaker) retry() { b.until.Store(0) }

// trip opens the breaker by reporting failures to it.
func (b *breaker) trip() {
	for range breakerTrip {
		if b.open(time.Now()) {
			return
		}
		done, err := b.circuit.Allow()
		if err != nil {
			return
		}
		done(errTripped)
	}
}

// open reports whether the breaker is open.
func (b *breaker) open(now time.Time) bool { return now.UnixNano() < b.until.Load() }

// failureRate returns which part of the requests of the last ten seconds
// failed.
func (b *breaker) failureRate() float64 {
	c := b.circuit.Counts()
	if c.Requests < breakerLeast {
		return 0
	}
	return float64(c.TotalFailures) / float64(c.Requests)
}
