package regions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
)

// HeaderRegion names the region an invocation runs in, to the backend and to
// the client (BEHAVIOUR.md 1.8, 2.7).
const HeaderRegion = "X-Sb-Edge-Region"

// Transport is the http.RoundTripper that carries out plans: it asks one
// candidate after the other until a backend accepts the request. Only a
// request of which nothing was sent goes to another backend.
type Transport struct {
	Network *Network
}

// RoundTrip runs the plan of the request's Exchange (see Begin). req.URL needs
// only Opaque: the raw path and query. A returned error is one of this
// package's Err values, or wraps one.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	x, ok := req.Context().Value(exchangeKey{}).(*Exchange)
	if !ok {
		return nil, errors.New("request without an exchange")
	}
	var body *requestBody
	if req.Body != nil && req.Body != http.NoBody {
		body = newRequestBody(x, req.Body, req.ContentLength)
	}
	x.start(body)
	return t.run(x, req)
}

// run walks the candidates. Those that refused connections just now are asked
// only if no other one accepts (BEHAVIOUR.md 2.6).
func (t *Transport) run(x *Exchange, req *http.Request) (*http.Response, error) {
	var passedOver *Candidate
	err := ErrUnavailable
	for i := range x.Plan.Candidates {
		c := &x.Plan.Candidates[i]
		if len(x.Plan.Candidates) > 1 && t.Network.avoided(c.Region) {
			if passedOver == nil {
				passedOver = c
			}
			continue
		}
		x.Region, x.Reason = c.Region, t.reason(x.Plan, i)
		var res *http.Response
		if res, err = t.inRegion(x, req); !retryable(x, err) {
			return res, err
		}
	}
	if passedOver != nil {
		x.Region, x.Reason = passedOver.Region, passedOver.Reason
		if !x.Plan.Strict {
			x.Reason = ReasonFailOpen
		}
		var res *http.Response
		if res, err = t.inRegion(x, req); !retryable(x, err) {
			return res, err
		}
	}
	x.Region, x.Reason = x.Plan.First(), x.Plan.Candidates[0].Reason
	if !x.Plan.Strict {
		x.Reason = ReasonFailOpen
	}
	return nil, err
}

// retryable reports whether another backend may be asked after err: nothing
// was sent, and the whole body is still there to be sent.
func retryable(x *Exchange, err error) bool {
	return errors.Is(err, ErrUnavailable) && (x.body == nil || x.body.replayable())
}

// reason returns why candidate i runs the invocation when those before it were
// passed over or failed.
func (t *Transport) reason(p Plan, i int) Reason {
	reason := p.Candidates[i].Reason
	if i > 0 && reason != ReasonExplicitList {
		return ReasonFailover
	}
	return reason
}

// inRegion asks the backends of x.Region until one accepts.
func (t *Transport) inRegion(x *Exchange, req *http.Request) (*http.Response, error) {
	err := ErrUnavailable
	for _, u := range t.Network.choose(x.Region) {
		var res *http.Response
		if res, err = t.attempt(x, req, u); !retryable(x, err) {
			return res, err
		}
	}
	return nil, err
}

func (t *Transport) attempt(x *Exchange, req *http.Request, u *Upstream) (*http.Response, error) {
	x.Attempts++
	// GetConn starts every try of net/http's own, so that a request whose
	// pooled connection was dead counts as not sent until it has a new one.
	var connected atomic.Bool
	trace := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GetConn: func(string) { connected.Store(false) },
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	out := req.WithContext(attemptContext{req.Context(), trace})
	// Kept bodies alone may be sent again.
	out.GetBody = nil
	out.URL = &url.URL{Scheme: u.Backend.Scheme, Host: u.Backend.Host, Opaque: req.URL.Opaque}
	out.Header.Set(HeaderRegion, x.Region.Name)
	if x.body != nil {
		out.Body = x.body.attempt()
		if x.body.keep {
			out.GetBody = func() (io.ReadCloser, error) { return x.body.attempt(), nil }
		}
	}
	u.inFlight.Add(1)
	res, err := u.transport.RoundTrip(out)
	if err != nil {
		u.inFlight.Add(-1)
		return nil, t.classify(x, req.Context(), u, connected.Load(), err)
	}
	u.accepted(true)
	res.Request = req
	t.watch(x, u, res)
	return res, nil
}

// classify tells whose fault a failed attempt was. Only a backend that did not
// accept the connection is marked down.
func (t *Transport) classify(x *Exchange, ctx context.Context, u *Upstream, connected bool, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, context.Canceled) {
			return ErrClientGone
		}
		return cause
	}
	if x.body != nil {
		if fault := x.body.failure(); fault != nil {
			return fault
		}
	}
	if !connected {
		u.accepted(false)
		return fmt.Errorf("%w: region %s: %w", ErrUnavailable, x.Region.Name, err)
	}
	u.accepted(true)
	return fmt.Errorf("%w: region %s: %w", ErrBackend, x.Region.Name, err)
}

// watch keeps the idle limit and the in-flight count over the body of res.
func (t *Transport) watch(x *Exchange, u *Upstream, res *http.Response) {
	x.gotHeaders()
	if conn, ok := res.Body.(io.ReadWriteCloser); ok && res.StatusCode == http.StatusSwitchingProtocols {
		res.Body = &upgradedBody{ReadWriteCloser: conn, x: x, upstream: u}
		x.awaitByte()
		return
	}
	// From here on only reads of a response without a length are timed.
	res.Body = &responseBody{ReadCloser: res.Body, x: x, upstream: u, timed: res.ContentLength < 0}
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
