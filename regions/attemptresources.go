package regions

import (
	"io"
	"sync"
	"sync/atomic"
)

// attemptResources are the resources of one attempt: the breaker's permission, a
// place in the backend's in-flight count, and the body of the answer. Each is
// released once, at the latest by Exchange.End, so that neither a panic nor a
// caller that forgets to close a body leaks one (contract 5.29). The seat in the
// region belongs to the exchange, which may make several attempts there.
type attemptResources struct {
	settle func(error) // tells the breaker how the attempt went; only the first call counts

	counted atomic.Pointer[Upstream] // has the request in its count of those in flight
	socket  bool                     // which of its counts; set before counted

	body io.Closer // of the answer; nil until there is one
}

// hold starts the resources of an attempt with the breaker's permission; done
// comes from breaker.allow.
func (x *Exchange) hold(done func(error)) *attemptResources {
	var once sync.Once
	h := &attemptResources{settle: func(err error) { once.Do(func() { done(err) }) }}
	x.held = h
	return h
}

// begin counts the request in flight on the backend.
func (h *attemptResources) begin(u *Upstream, socket bool) {
	h.socket = socket
	h.counted.Store(u)
	u.running(socket).Add(1)
}

// end takes it off the backend's count. Calls after the first change nothing.
func (h *attemptResources) end() {
	if u := h.counted.Swap(nil); u != nil {
		u.ended(h.socket)
	}
}

// release releases what is still held, without blaming the backend.
func (h *attemptResources) release() {
	h.settle(errNobody)
	h.end()
	if h.body != nil {
		// The exchange is over: the rest of the body is not needed.
		_ = h.body.Close()
	}
}
