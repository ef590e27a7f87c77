package regions

import (
	"net/http"
	"slices"
	"time"
)

const (
	// DefaultReplay is how much of a request body is kept, in bytes, to be sent
	// again.
	DefaultReplay = 64 << 10
	// MaxReplay is how much of it can be kept.
	MaxReplay = 1 << 20
	// slowConnect is how long a failed connection may have taken to count as
	// refused at once: it has cost nobody anything.
	slowConnect = 500 * time.Millisecond
)

// RetryPolicy says what may be sent again. Requests of which nothing was sent
// always go on to another backend. What was sent without a byte of an answer
// goes on if it is a GET or an OPTIONS, or has an Idempotency-Key; nothing does
// after the first byte of an answer. The zero value is that.
type RetryPolicy struct {
	// Sent has every method sent again, not only those above.
	Sent bool
	// Status are answers that are given up for another backend's, for the same
	// requests. Default: none.
	Status []int
	// Replay is how much of a request body is kept, in bytes. Default
	// DefaultReplay, at most MaxReplay.
	Replay int64
}

func (p RetryPolicy) replayLimit() int64 {
	if p.Replay == 0 {
		return DefaultReplay
	}
	return min(p.Replay, MaxReplay)
}

// class is how far an attempt came.
type class uint8

const (
	final         class = iota // whatever it was, another backend would not do better
	neverSent                  // no backend got anything, and that was clear at once
	neverSentSlow              // no backend got anything, after a while
	sent                       // a backend may have processed it
	unwanted                   // an answer of a status that is given up
	answered                   // the answer began, and broke before its headers ended
)

// retries decides over one request's further attempts. At most one is made in
// the region and one in the next, within the gateway's budget; what was refused
// at once goes on for as long as there are candidates.
type retries struct {
	x            *Exchange
	policy       RetryPolicy
	budget       *budget
	repeatable   bool // may be sent although it was sent
	upgrade      bool // asks for another protocol
	inRegion     bool // one was made in the region
	inNextRegion bool
}

func newRetries(t *Transport, x *Exchange, req *http.Request) *retries {
	r := &retries{x: x, policy: t.Retry, budget: &t.Network.budget}
	keyed := hideIdempotencyKey(req.Header)
	r.repeatable = keyed || t.Retry.Sent || req.Method == http.MethodGet || req.Method == http.MethodOptions
	if req.Header.Get("Upgrade") != "" {
		r.repeatable, r.upgrade = false, true
	}
	return r
}

// hideIdempotencyKey reports whether the request has a key. net/http knows the
// headers by their canonical names, and would send such a request again by
// itself, past the budget; spelled like this they arrive all the same.
func hideIdempotencyKey(header http.Header) bool {
	keyed := hide(header, "Idempotency-Key", "idempotency-key")
	hide(header, "X-Idempotency-Key", "x-idempotency-key")
	return keyed
}

func hide(header http.Header, canonical, plain string) bool {
	values, ok := header[canonical]
	if ok {
		delete(header, canonical)
		header[plain] = values
	}
	return ok
}

// possible reports whether the request may be sent again after f at all.
func (r *retries) possible(f failure) bool {
	if f.class == final || f.class == answered || (f.class == sent || f.class == unwanted) && !r.repeatable {
		return false
	}
	return r.x.body == nil || r.x.body.replayable()
}

// sameRegion reports whether another backend of the region may be asked.
func (r *retries) sameRegion(f failure) bool {
	if !r.possible(f) {
		return false
	}
	if f.class == neverSent {
		return true
	}
	if r.inRegion || r.inNextRegion {
		return false
	}
	r.inRegion = r.budget.take(time.Now())
	return r.inRegion
}

// nextRegion reports whether another region may be asked.
func (r *retries) nextRegion(f failure) bool {
	if !r.possible(f) {
		return false
	}
	if f.class == neverSent {
		return true
	}
	if r.inNextRegion {
		return false
	}
	r.inNextRegion = r.budget.take(time.Now())
	return r.inNextRegion
}

// wantsOther reports whether an answer is given up. The last one that may be
// asked for is kept, whatever it is.
func (r *retries) wantsOther(status int) bool {
	if len(r.policy.Status) == 0 || !slices.Contains(r.policy.Status, status) || status < http.StatusBadRequest {
		return false
	}
	again := failure{err: errNobody, class: unwanted}
	return r.possible(again) && !r.inNextRegion && r.hasOther() && r.budget.left(time.Now()) > 0
}

// hasOther reports whether there is another backend to ask.
func (r *retries) hasOther() bool {
	return r.x.Region != r.x.Plan.Candidates[len(r.x.Plan.Candidates)-1].Region || !r.inRegion && len(r.x.Region.Backends) > 1
}
