package regions

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"sync/atomic"
	"time"
)

// attempt sends the request to one backend.
func (t *Transport) attempt(x *Exchange, req *http.Request, u *Upstream, r *retries) (*http.Response, failure) {
	done, ok := u.allow()
	if !ok && x.Reason == ReasonFailOpen {
		// When all regions are down, one attempt ignores the breaker (contract
		// 2.6). Its outcome is not reported: the breaker has its own trials.
		done, ok = func(error) {}, true
	}
	if !ok {
		return nil, failure{err: fmt.Errorf("%w: region %s: held back after failures", ErrUnavailable, x.Region.Name), class: neverSent}
	}
	holds := x.hold(done)
	if x.Meter != nil {
		if err := x.Meter.Sending(x.Region); err != nil {
			holds.settle(errNobody)
			return nil, failure{err: fmt.Errorf("%w: %w", ErrUnmetered, err)}
		}
	}
	x.Attempts++
	x.upstream = u
	began := time.Now()
	conn := connection{budget: &t.Network.budget, upgrade: r.upgrade}
	pool := t.pool(x, u, &conn, began)
	out := req.WithContext(conn.follow(req.Context(), x, u.multiplexes()))
	// net/http may resend the body only if all of it was kept.
	out.GetBody = nil
	out.URL = &url.URL{Scheme: u.Backend.Scheme, Host: u.Backend.Host, Opaque: req.URL.Opaque}
	out.Header.Set(HeaderRegion, x.Region.Name)
	if x.body != nil {
		out.Body = x.body.attempt()
		out.GetBody = x.body.again
	}
	if x.Tracer != nil {
		out.Header = out.Header.Clone() // net/http may still be writing that of the attempt before
		x.Tracer.Attempt(x.Region, &u.Backend, out.Header)
	}
	holds.begin(u, x.Socket)
	res, err := pool.RoundTrip(out)
	if err != nil {
		holds.end()
		failed := t.failed(x, u, holds, &conn, t.classify(x, req.Context(), began, &conn, err))
		x.traceAttempted(0, failed.err)
		return nil, failed
	}
	x.traceAttempted(res.StatusCode, nil)
	holds.settle(nil)
	u.answered()
	if r.wantsOther(res.StatusCode) {
		_, _ = io.CopyN(io.Discard, res.Body, probeBody)
		_ = res.Body.Close()
		holds.end()
		return nil, failure{err: fmt.Errorf("%w: region %s: status %d", ErrBackend, x.Region.Name, res.StatusCode), class: unwanted}
	}
	res.Request = req
	t.watch(x, holds, res)
	return res, failure{}
}

// traceAttempted tells the tracer, if there is one, how an attempt went.
func (x *Exchange) traceAttempted(status int, err error) {
	if x.Tracer != nil {
		x.Tracer.Attempted(status, err)
	}
}

// pool returns the connection pool that the request takes: the shared one, or the
// one with a connection per request for functions that broke shared ones.
func (t *Transport) pool(x *Exchange, u *Upstream, conn *connection, now time.Time) *http.Transport {
	pools := u.pools.Load()
	if x.apart && u.multiplexes() || u.suspects.has(now, x.Callee) {
		conn.apart = true
		return pools.apart
	}
	return pools.calls
}

// failed reports a failed attempt to the backend's breaker and to the meter.
func (t *Transport) failed(x *Exchange, u *Upstream, holds *attemptResources, conn *connection, f failure) failure {
	conn.release()
	if x.Meter != nil && f.unsent {
		x.Meter.Unsent()
	}
	switch f.blame {
	case unreachable:
		u.faults.noteDial(f.err)
		holds.settle(f.err)
	case broken:
		holds.settle(errNobody)
		now := time.Now()
		u.broke(now, x.Callee)
		if conn.multiplexed.Load() {
			x.apart = true
			u.suspects.add(now, x.Callee)
		}
	case nobody:
		holds.settle(errNobody)
	}
	return f
}

// connection records what happens on the connection of one attempt.
type connection struct {
	budget  *budget
	upgrade bool // the request asks for another protocol
	apart   bool // the connection is not shared
	cancel  context.CancelFunc

	got         atomic.Bool  // a connection was obtained
	reused      atomic.Bool  // it had carried another request
	multiplexed atomic.Bool  // it is HTTP/2: other requests may share it
	handshake   atomic.Bool  // its TLS handshake failed
	wrote       atomic.Bool  // the header of the request was written
	began       atomic.Bool  // the first byte of an answer came
	again       atomic.Int32 // how often net/http resent the request on its own
	stopped     atomic.Bool  // too many resends: the attempt was cancelled

	use atomic.Pointer[connUse] // the last connection that the request was sent on
}

// follow returns the context of an attempt, with a trace that fills in c. Over
// HTTP/2 the attempt can be cancelled: net/http resends a request there for as
// long as a backend resets it, without asking.
func (c *connection) follow(ctx context.Context, x *Exchange, multiplexed bool) context.Context {
	if multiplexed {
		ctx, c.cancel = context.WithCancel(ctx)
	}
	return attemptContext{ctx, httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GetConn: func(string) {
			c.got.Store(false)
			c.repeats()
		},
		GotConn: func(info httptrace.GotConnInfo) {
			c.got.Store(true)
			c.reused.Store(info.Reused)
			if w, ok := watched(info.Conn); ok {
				c.use.Store(w.use(time.Now(), x.Callee))
			}
			if multiplexed {
				c.multiplexed.Store(isHTTP2(info.Conn))
				c.repeats()
			}
		},
		PutIdleConn: func(err error) {
			if use := c.use.Load(); use != nil && err == nil {
				use.end(time.Now())
			}
		},
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			if err != nil {
				c.handshake.Store(true)
			}
		},
		WroteHeaders:         func() { c.wrote.Store(true) },
		GotFirstResponseByte: func() { c.began.Store(true) },
		// A 1xx answer moves the idle timer, but is not passed on (contract 6.1).
		Got1xxResponse: func(int, textproto.MIMEHeader) error {
			x.moved()
			return nil
		},
	})}
}

// repeats counts a resend by net/http itself, as happens when a pooled connection
// turns out to be dead. It spends a retry of the budget. Over HTTP/2 a second
// resend cancels the attempt: one is enough for a connection that its server
// closes in good order.
func (c *connection) repeats() {
	if !c.wrote.Swap(false) {
		return
	}
	c.budget.spend(time.Now())
	if c.again.Add(1) > 1 && c.multiplexed.Load() {
		c.stopped.Store(true)
		c.cancel()
	}
}

// release ends the attempt's context, which otherwise ends with the exchange.
func (c *connection) release() {
	if c.cancel != nil {
		c.cancel()
	}
}

// isHTTP2 reports whether requests share a connection. Without TLS the backend's
// address says so.
func isHTTP2(conn net.Conn) bool {
	if secured, ok := conn.(*tls.Conn); ok {
		return secured.ConnectionState().NegotiatedProtocol == "h2"
	}
	return true
}

// watch wraps the body of res so that reads move the idle timer and closing it
// ends the attempt.
func (t *Transport) watch(x *Exchange, holds *attemptResources, res *http.Response) {
	x.gotHeaders()
	holds.body = res.Body
	if conn, ok := res.Body.(io.ReadWriteCloser); ok && res.StatusCode == http.StatusSwitchingProtocols {
		res.Body = &upgradedBody{ReadWriteCloser: conn, x: x, held: holds}
		x.awaitByte()
		return
	}
	// From here on only reads of a response without a length are timed.
	res.Body = &responseBody{
		ReadCloser: res.Body,
		x:          x,
		held:       holds,
		timed:      res.ContentLength < 0,
	}
}

// attemptContext is the request's context with a client trace of the attempt's
// own. It hides the hook by which httputil.ReverseProxy passes 1xx answers on:
// a backend's early hints would reach the client without the header policy.
type attemptContext struct {
	context.Context
	trace context.Context
}

// Value implements context.Context.
func (c attemptContext) Value(key any) any {
	if v := c.trace.Value(key); v != nil {
		return v
	}
	return c.Context.Value(key)
}
