package rate

import (
	"math"
	"time"
)

// Limit is a limit over a short window, by the generic cell rate algorithm (ITU-T
// I.371): a bucket that holds Burst tokens and gets Count in each Window, evenly.
// Fill the exported fields and call Prepare.
type Limit struct {
	Name   string        // of the policy; clients see it
	Count  int64         // requests in a Window, at least 1
	Window time.Duration // at least a second
	Burst  int64         // requests at once; default: Count
	Shadow bool          // nothing is refused; what would be is counted
	Mode   Mode          // default: Local

	interval int64 // between two tokens, in nanoseconds
	capacity int64 // Burst intervals, in nanoseconds
}

// Mode is how gateways share a limit.
type Mode uint8

// The modes. Shared and Strict work like Local until Limiter.Share.
const (
	Local  Mode = iota // each gateway has the limit for itself
	Shared             // all have it together; each fetches tokens for 50 ms at a time
	Strict             // all have it together; each token is fetched by itself
)

// Prepare computes the bucket of the limit. It must be called once before the Limit
// is used. It reports whether the fields are in their ranges; a bucket of more than
// 73 years, and more requests than nanoseconds in a Window, are not possible either.
func (l *Limit) Prepare() bool {
	if l.Burst == 0 {
		l.Burst = l.Count
	}
	if l.Count < 1 || l.Window < time.Second || l.Burst < 1 || l.Count > int64(l.Window) {
		return false
	}
	// Rounded up: never more than Count.
	l.interval = (int64(l.Window) + l.Count - 1) / l.Count
	if l.Burst > math.MaxInt64/4/l.interval {
		return false
	}
	l.capacity = l.interval * l.Burst
	return true
}

// State is the state of a bucket after a request.
type State struct {
	Remaining int64         // tokens left; Unasked if nobody looked
	Reset     time.Duration // until the bucket is full
	Retry     time.Duration // until it has a token; 0: it had one
}

// Tighter returns the state of two buckets together, where a request needs a token of
// each: the lesser Remaining and the longer times. A bucket that is Unasked adds nothing.
func Tighter(a, b State) State {
	if a.Remaining == Unasked {
		return b
	}
	if b.Remaining != Unasked {
		a.Remaining = min(a.Remaining, b.Remaining)
	}
	a.Reset, a.Retry = max(a.Reset, b.Reset), max(a.Retry, b.Retry)
	return a
}

// Unasked is the Remaining of a bucket that Take did not come to, because a limit
// before it had refused.
const Unasked = -1

// MaxLimits is how many limits a gateway can have.
const MaxLimits = 8

// MaxBuckets is how many buckets one Take can ask: a limit can have several for one
// request.
const MaxBuckets = 3 * MaxLimits
