package regions

import (
	"net/http"
	"slices"
	"time"
)

const (
	// DefaultReplay is how many bytes of a request body are kept to be sent again.
	DefaultReplay = 64 << 10
	// MaxReplay is the largest RetryPolicy.Replay.
	MaxReplay = 1 << 20
	// slowConnect is the longest time a connection may take to fail and still count
	// as refused at once, which costs no retry.
	slowConnect = 500 * time.Millisecond
)

// RetryPolicy decides which requests may be sent again. A request of which nothing
// was sent always goes on to another backend. One that was sent without a byte of
// an answer goes on if it is a GET or an OPTIONS, or has an Idempotency-Key. After
// the first byte of an answer none does. That is the zero value.
type RetryPolicy struct {
	// Sent allows every method to be sent again, not only those above.
	Sent bool
	// Status lists statuses of answers that are dropped to ask another backend, for
	// the same requests. Default: none.
	Status []int
	// Replay is how many bytes of a request body are kept. Default DefaultReplay,
	// at most MaxReplay.
	Replay int64
}

func (p RetryPolicy) replayLimit() int64 {
	if p.Replay == 0 {
		return DefaultReplay
	}
	return min(p.Replay, MaxReplay)
}

// class tells how far an attempt came.
type class uint8

const (
	final         class = iota // another backend would not do better
	neverSent                  // no backend got a byte, and the failure was immediate
	neverSentSlow              // no backend got a byte, but the failure took a while
	sent                       // a backend may have processed it
	unwanted                   // an answer whose status is in RetryPolicy.Status
	answered                   // the answer began, and broke before its headers ended
)

// retries decides on further attempts of one request. At most one is made in the
// region and one in the next, within the gateway's retry budget; connections that
// were refused at once go on for as long as there are candidates.
type retries struct {
	x            *Exchange
	policy       RetryPolicy
	network      *Network
	budget       *budget
	repeatable   bool // may be sent again after it was sent
	upgrade      bool // the request asks for another protocol
	inRegion     bool // the retry in the region was made
	inNextRegion bool // the retry in the next region was made
}

func newRetries(t *Transport, x *Exchange, req *http.Request) *retries {
	r := &retries{
		x:       x,
		policy:  t.Retry,
		network: t.Network,
		budget:  &t.Network.budget,
	}
	keyed := hideIdempotencyKey(req.Header)
	r.repeatable = keyed || t.Retry.Sent || req.Method == http.MethodGet || req.Method == http.MethodOptions
	if req.Header.Get("Upgrade") != "" {
		r.repeatable, r.upgrade = false, true
	}
	return r
}

// hideIdempotencyKey reports whether the request has a key, and puts it in lower
// case: net/http would resend a request with the canonical header by itself, past
// the budget. To the backend the spelling makes no difference.
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

// wantsOther reports whether an answer is dropped to ask another backend. The
// answer of the last possible attempt is always kept.
func (r *retries) wantsOther(status int) bool {
	if len(r.policy.Status) == 0 || !slices.Contains(r.policy.Status, status) || status < http.StatusBadRequest {
		return false
	}
	again := failure{err: errNobody, class: unwanted}
	return r.possible(again) && !r.inNextRegion && r.hasOther() && r.budget.left(time.Now()) > 0
}

// hasOther reports whether there is another backend to ask.
func (r *retries) hasOther() bool {
	return r.x.Region != r.x.Plan.Candidates[len(r.x.Plan.Candidates)-1].Region || !r.inRegion && len(r.network.Upstreams(r.x.Region)) > 1
}
