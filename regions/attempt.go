package regions

import (
	"context"
	"errors"
	"fmt"
	"io"
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
		// The one attempt when all are down (BEHAVIOUR.md 2.6) is made in spite of
		// the breaker, which learns by its own trials.
		done, ok = func(error) {}, true
	}
	if !ok {
		return nil, failure{fmt.Errorf("%w: region %s: held back after failures", ErrUnavailable, x.Region.Name), neverSent}
	}
	holds := x.hold(done)
	if x.Meter != nil {
		if err := x.Meter.Sending(x.Region); err != nil {
			holds.settle(errNobody)
			return nil, failure{fmt.Errorf("%w: %w", ErrUnmetered, err), final}
		}
	}
	x.Attempts++
	began := time.Now()
	var conn connection
	out := req.WithContext(attemptContext{req.Context(), conn.trace(x, &t.Network.budget)})
	// Kept bodies alone may be sent again.
	out.GetBody = nil
	out.URL = &url.URL{Scheme: u.Backend.Scheme, Host: u.Backend.Host, Opaque: req.URL.Opaque}
	out.Header.Set(HeaderRegion, x.Region.Name)
	if x.body != nil {
		out.Body = x.body.attempt()
		out.GetBody = x.body.again
	}
	holds.begin(u)
	res, err := u.transport.Load().RoundTrip(out)
	if err != nil {
		holds.end()
		if x.Meter != nil && !conn.got.Load() {
			x.Meter.Unsent()
		}
		failed := t.classify(x, req.Context(), began, &conn, err)
		if failed.class == neverSent || failed.class == neverSentSlow {
			u.faults.noteDial(err)
		}
		holds.settle(failed.blame())
		return nil, failed
	}
	holds.settle(nil)
	u.answered()
	if r.wantsOther(res.StatusCode) {
		_, _ = io.CopyN(io.Discard, res.Body, probeBody)
		_ = res.Body.Close()
		holds.end()
		return nil, failure{fmt.Errorf("%w: region %s: status %d", ErrBackend, x.Region.Name, res.StatusCode), unwanted}
	}
	res.Request = req
	t.watch(x, holds, res)
	return res, failure{}
}

// connection is what is seen of an attempt's connection.
type connection struct {
	got   atomic.Bool // there is one
	wrote atomic.Bool // the header of the request was written
	began atomic.Bool // the first byte of an answer came
}

// trace follows an attempt. An interim answer is a sign of life, though it is
// not passed on (BEHAVIOUR.md 6.1). net/http makes another by itself when a pooled
// connection turns out to be dead; what it sends again counts as a retry.
func (c *connection) trace(x *Exchange, b *budget) context.Context {
	return httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GetConn: func(string) {
			c.got.Store(false)
			if c.wrote.Swap(false) {
				b.spend(time.Now())
			}
		},
		GotConn:              func(httptrace.GotConnInfo) { c.got.Store(true) },
		WroteHeaders:         func() { c.wrote.Store(true) },
		GotFirstResponseByte: func() { c.began.Store(true) },
		Got1xxResponse: func(int, textproto.MIMEHeader) error {
			x.moved()
			return nil
		},
	})
}

// classify tells what a failed attempt means, and whose fault it was.
func (t *Transport) classify(x *Exchange, ctx context.Context, began time.Time, conn *connection, err error) failure {
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, context.Canceled) {
			return failure{ErrClientGone, final}
		}
		// Our own limits: a function may be silent for as long as they say, which
		// speaks against nobody.
		return failure{cause, final}
	}
	if x.body != nil {
		if fault := x.body.failure(); fault != nil {
			return failure{fault, final}
		}
	}
	if conn.got.Load() {
		class := sent
		if conn.began.Load() {
			class = answered
		}
		return failure{fmt.Errorf("%w: region %s: %w", ErrBackend, x.Region.Name, err), class}
	}
	class := neverSent
	if time.Since(began) > slowConnect {
		class = neverSentSlow
	}
	return failure{fmt.Errorf("%w: region %s: %w", ErrUnavailable, x.Region.Name, err), class}
}

// watch keeps the idle limit and the in-flight counts over the body of res.
func (t *Transport) watch(x *Exchange, holds *held, res *http.Response) {
	x.gotHeaders()
	holds.body = res.Body
	if conn, ok := res.Body.(io.ReadWriteCloser); ok && res.StatusCode == http.StatusSwitchingProtocols {
		res.Body = &upgradedBody{ReadWriteCloser: conn, x: x, held: holds}
		x.awaitByte()
		return
	}
	// From here on only reads of a response without a length are timed.
	res.Body = &responseBody{ReadCloser: res.Body, x: x, held: holds, timed: res.ContentLength < 0}
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
