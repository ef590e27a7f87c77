package regions

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Connections that break under requests to breaksFunctions functions of
	// breaksOwners owners within breaksWindow, without an answer between them,
	// make one failed probe enough to open the breaker (contract 9.2).
	breaksFunctions = 3
	breaksOwners    = 2
	breaksWindow    = 10 * time.Second
)

// Callee identifies the function that a request runs and its owner. Two requests
// run the same function if their callees are equal. None of its fields may be
// chosen by a client. The zero value is one function of an owner without a name.
type Callee struct {
	Owner    string // who pays for the project
	Project  string
	Function string
}

// brokenConns remembers the connections to one backend that broke before an
// answer, since the last answer or passed probe. The zero value has none. It is
// safe for concurrent use.
type brokenConns struct {
	some atomic.Bool // false: seen is empty; read without mu on every answer

	mu sync.Mutex // guards the fields below
	// seen has the last broken connection of each function, the oldest first, at
	// most breaksFunctions+1 of them.
	seen   []brokenConnection
	failed time.Time // the last failed probe
}

type brokenConnection struct {
	callee Callee
	at     time.Time
}

// add records a broken connection and reports whether the breaker must open now.
// If not, the outcome of the next probe decides.
func (b *brokenConns) add(now time.Time, callee Callee) (opens bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.some.Store(true)
	b.seen = slices.DeleteFunc(b.seen, func(old brokenConnection) bool {
		return now.Sub(old.at) > breaksWindow || old.callee == callee
	})
	if len(b.seen) >= breaksFunctions && !b.enough() {
		b.seen = b.seen[1:]
	}
	if len(b.seen) < breaksFunctions+1 {
		b.seen = append(b.seen, brokenConnection{callee, now})
	}
	return b.enough() && b.failed.After(b.seen[0].at)
}

// enough reports whether enough functions of enough owners were hit to blame the
// backend. The caller holds mu.
func (b *brokenConns) enough() bool {
	owners := 0
	for i, one := range b.seen {
		if !slices.ContainsFunc(b.seen[:i], func(before brokenConnection) bool { return before.callee.Owner == one.callee.Owner }) {
			owners++
		}
	}
	return len(b.seen) >= breaksFunctions && owners >= breaksOwners
}

// answered forgets all broken connections: the backend answers.
func (b *brokenConns) answered() {
	if b.some.Load() {
		b.mu.Lock()
		b.seen, b.failed = nil, time.Time{}
		b.some.Store(false)
		b.mu.Unlock()
	}
}

// probed records the outcome of a probe and reports whether the breaker must open
// now. A passed probe forgets the connections that broke before it began.
func (b *brokenConns) probed(began, now time.Time, passed bool) (opens bool) {
	if !b.some.Load() {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if passed {
		b.failed = time.Time{}
		b.seen = slices.DeleteFunc(b.seen, func(old brokenConnection) bool { return !old.at.After(began) })
		b.some.Store(len(b.seen) > 0)
		return false
	}
	b.failed = now
	b.seen = slices.DeleteFunc(b.seen, func(old brokenConnection) bool { return now.Sub(old.at) > breaksWindow })
	return b.enough()
}
