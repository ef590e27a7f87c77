package billing

import (
	"math/rand/v2"
	"sync"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// Outcome says what became of a request that is no invocation.
type Outcome uint8

// The outcomes of requests.
const (
	OutcomeUnknown   Outcome = iota // the request ended without one, which is a fault of the caller
	OutcomePreflight                // answered 204
	OutcomeOptions                  // another OPTIONS, answered 204
	OutcomeRefused                  // answered by the gateway
	OutcomePassed                   // sent to a function without counting: a preflight
	OutcomeUnsent                   // the client was gone before anything was sent
	outcomes
)

// outcomeNames are the names of outcomes in a reconciliation.
var outcomeNames = [outcomes]string{
	OutcomePreflight: "preflights",
	OutcomeOptions:   "other OPTIONS",
	OutcomeRefused:   "refused",
	OutcomePassed:    "passed without counting",
	OutcomeUnsent:    "never sent",
}

// requestCounts counts the requests that came in, and what became of them. With
// the ledger, which counts what was sent, they must add up (level R5 of a
// reconciliation). The zero requestCounts is empty.
type requestCounts struct{ stripes [64]stripe }

// stripe counts a part of the requests, each from its start to its end, so that
// they do not all wait for one lock. A step of a request, the writing of its
// record included, is one under the lock: whoever has all locks sees no request
// between two steps.
type stripe struct {
	mu       sync.Mutex // guards the fields below
	received int64
	waiting  int64 // neither sent nor ended
	ended    [outcomes]int64
	_        [64]byte // stripes of two processors share no cache line
}

// enter counts a request that came in.
func (c *requestCounts) enter() *stripe {
	s := &c.stripes[rand.IntN(len(c.stripes))] //nolint:gosec // spreads load, guards nothing
	s.mu.Lock()
	s.received++
	s.waiting++
	s.mu.Unlock()
	return s
}

// leave counts the end of a request that was no invocation.
func (s *stripe) leave(as Outcome) {
	s.mu.Lock()
	s.waiting--
	s.ended[as]++
	s.mu.Unlock()
}

// requestTotals are the counts of one moment.
type requestTotals struct {
	received, waiting int64
	ended             [outcomes]int64
	at                metering.Position // of the ledger
}

// now returns the counts, and where the ledger was with them.
func (c *requestCounts) now(ledger *metering.Ledger) (n requestTotals) {
	for i := range c.stripes {
		c.stripes[i].mu.Lock()
		defer c.stripes[i].mu.Unlock()
	}
	n.at = ledger.Position()
	for i := range c.stripes {
		s := &c.stripes[i]
		n.received += s.received
		n.waiting += s.waiting
		for k, v := range s.ended {
			n.ended[k] += v
		}
	}
	return n
}

// UnderWay returns how many requests were neither sent nor ended.
func (e *Engine) UnderWay() (n int64) {
	for i := range e.requests.stripes {
		s := &e.requests.stripes[i]
		s.mu.Lock()
		n += s.waiting
		s.mu.Unlock()
	}
	return n
}

// Busy reports whether some request that was received has not finished.
func (e *Engine) Busy() bool {
	if e.UnderWay() > 0 { // asked first: a request that is sent is among the calls before it stops waiting
		return true
	}
	o := e.opened.Load()
	return o != nil && o.calls.Load() > 0
}

// level compares the requests that came in with what became of them; recorded is
// how many invocations of this process the ledger has, up to the moment.
func (n *requestTotals) level(recorded int64) ReconcileLevel {
	l := ReconcileLevel{Level: "R5", What: "requests received since the start and what became of them", Expected: n.received}
	add := func(name string, v int64) {
		l.Parts = append(l.Parts, ReconcilePart{What: name, Number: v})
		l.Found += v
	}
	for k := OutcomePreflight; k < outcomes; k++ {
		add(outcomeNames[k], n.ended[k])
	}
	add("invocations in the ledger", recorded)
	add("invocations to be recorded", int64(n.at.Deferred))
	add("under way", n.waiting)
	if l.Difference = max(l.Expected-l.Found, l.Found-l.Expected); l.Difference != 0 {
		l.First = "a request was sent without a record, or ended in a way that nobody counted"
	}
	return l
}
