package gateway

import (
	"math/rand/v2"
	"sync"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// outcome is what became of a request that is no invocation.
type outcome uint8

const (
	wasUnknown   outcome = iota // no way out of the handler said it, which is a fault of the handler
	wasPreflight                // answered 204
	wasOptions                  // other OPTIONS, answered 204
	wasRefused                  // answered by the gateway
	wasPassed                   // sent to a function without counting: a preflight
	wasUnsent                   // the client was gone before anything was sent
	outcomes
)

// outcomeNames are what reconcile calls them.
var outcomeNames = [outcomes]string{wasPreflight: "preflights", wasOptions: "other OPTIONS", wasRefused: "refused", wasPassed: "passed without counting", wasUnsent: "never sent"}

// arrivals counts the requests that came in, and what became of them. With the
// ledger, which counts what was sent, they must add up (METERING.md 3.13, R5). It
// outlives configurations. The zero arrivals is empty.
type arrivals struct{ desks [64]desk }

// desk counts a part of the requests, each from its start to its end, so that
// they do not all wait for one lock. What is one step of a request, also the
// writing of its record, is one under the lock: whoever has all locks sees no
// request between two of them.
type desk struct {
	mu       sync.Mutex // guards all below
	received int64
	waiting  int64 // neither sent nor ended
	became   [outcomes]int64
	_        [64]byte // desks of two processors share no cache line
}

// enter counts a request that came in.
func (a *arrivals) enter() *desk {
	d := &a.desks[rand.IntN(len(a.desks))] //nolint:gosec // spreads load, guards nothing
	d.mu.Lock()
	d.received++
	d.waiting++
	d.mu.Unlock()
	return d
}

// leave counts the end of a request that was no invocation.
func (d *desk) leave(as outcome) {
	d.mu.Lock()
	d.waiting--
	d.became[as]++
	d.mu.Unlock()
}

// arrived are the counts of one moment.
type arrived struct {
	received, waiting int64
	became            [outcomes]int64
	at                metering.Position // of the ledger
}

// now returns the counts, and where the ledger was with them.
func (a *arrivals) now(ledger *metering.Ledger) (n arrived) {
	for i := range a.desks {
		a.desks[i].mu.Lock()
		defer a.desks[i].mu.Unlock()
	}
	n.at = ledger.Position()
	for i := range a.desks {
		d := &a.desks[i]
		n.received += d.received
		n.waiting += d.waiting
		for k, v := range d.became {
			n.became[k] += v
		}
	}
	return n
}

// level compares what came in with what became of it; recorded is how many
// invocations the ledger has of this process, up to the moment.
func (n *arrived) level(recorded int64) reconcileLevel {
	l := reconcileLevel{Level: "R5", What: "requests received since the start and what became of them", Expected: n.received}
	add := func(name string, v int64) {
		l.Parts = append(l.Parts, reconcilePart{name, v})
		l.Found += v
	}
	for k := wasPreflight; k < outcomes; k++ {
		add(outcomeNames[k], n.became[k])
	}
	add("invocations in the ledger", recorded)
	add("invocations to be recorded", int64(n.at.Deferred))
	add("under way", n.waiting)
	if l.Difference = max(l.Expected-l.Found, l.Found-l.Expected); l.Difference != 0 {
		l.First = "a request was sent without a record, or ended in a way that nobody counted"
	}
	return l
}
