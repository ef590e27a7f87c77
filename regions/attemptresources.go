package regions

import (
	"io"
	"sync"
	"sync/atomic"
)

// attemptResources is what one attempt holds until it is over: the breaker's permission, a
// place on the backend, and the body of the answer. Each is given back once, at
// the latest by Exchange.End, so that a panic or a caller that forgets a body
// keeps nothing (contract 5.29). The seat in the region is the
// exchange's, which may make several attempts there.
type attemptResources struct {
	settle func(error) // tells the breaker how the attempt went; only the first call counts

	upstream *Upstream
	running  atomic.Bool

	body io.Closer // of the answer; nil until there is one
}

// hold notes the breaker's permission; done is what breaker.allow returned.
func (x *Exchange) hold(done func(error)) *attemptResources {
	var once sync.Once
	h := &attemptResources{settle: func(err error) { once.Do(func() { done(err) }) }}
	x.held = h
	return h
}

// begin takes a place on the backend.
func (h *attemptResources) begin(u *Upstream) {
	h.upstream = u
	h.running.Store(true)
	u.begin()
}

// end gives the place back. Calls after the first change nothing.
func (h *attemptResources) end() {
	if h.running.CompareAndSwap(true, false) {
		h.upstream.end()
	}
}

// release gives back what is still held, and speaks against nobody.
func (h *attemptResources) release() {
	h.settle(errNobody)
	h.end()
	if h.body != nil {
		// The exchange is over: what is left in the body interests nobody.
		_ = h.body.Close()
	}
}
