package regions

import (
	"errors"
	"net/http"
	"time"
)

// HeaderRegion names the region an invocation runs in, to the backend and to
// the client (BEHAVIOUR.md 1.8, 2.7).
const HeaderRegion = "X-Sb-Edge-Region"

const (
	// roomWait is how long a request waits for room in a full region, and
	// roomLook how often it looks.
	roomWait = 100 * time.Millisecond
	roomLook = 5 * time.Millisecond
)

// Transport is the http.RoundTripper that carries out plans: it asks one
// candidate after the other until a backend answers, as far as its RetryPolicy
// allows. What a plan does not name is never asked.
type Transport struct {
	Network *Network
	Retry   RetryPolicy
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
		body = newRequestBody(x, req.Body, req.ContentLength, t.Retry.replayLimit())
	}
	x.start(body)
	x.Region, x.Reason = x.Plan.First(), x.Plan.Candidates[0].Reason
	if x.Plan.Unavailable {
		return nil, ErrUnavailable
	}
	if x.Plan.Full {
		if err := t.waitForRoom(x); err != nil {
			return nil, err
		}
	}
	t.Network.budget.request(time.Now())
	return t.run(x, req)
}

// waitForRoom waits until the first candidate has room for a request.
func (t *Transport) waitForRoom(x *Exchange) error {
	load := &t.Network.states[x.Plan.First()].load
	deadline := time.NewTimer(roomWait)
	defer deadline.Stop()
	look := time.NewTicker(roomLook)
	defer look.Stop()
	for {
		if factor, known := load.Factor(); !known || factor < 1 {
			return nil
		}
		select {
		case <-x.done:
			return ErrClientGone
		case <-deadline.C:
			return ErrOverloaded
		case <-look.C:
		}
	}
}

// run walks the candidates.
func (t *Transport) run(x *Exchange, req *http.Request) (*http.Response, error) {
	r := newRetries(t, x, req)
	var failed failure
	for i := range x.Plan.Candidates {
		c := &x.Plan.Candidates[i]
		x.Region, x.Reason = c.Region, c.Reason
		var res *http.Response
		res, failed = t.inRegion(x, req, r)
		if failed.err == nil {
			return res, nil
		}
		if !r.nextRegion(failed) {
			return nil, failed.err
		}
	}
	x.Region, x.Reason = x.Plan.First(), x.Plan.Candidates[0].Reason
	if !x.Plan.Strict {
		x.Reason = ReasonFailOpen
	}
	return nil, failed.err
}

// inRegion asks the backends of x.Region, each at most once. A region's only
// one is asked again where sending again is allowed: the connection broke, not
// necessarily what is behind it.
func (t *Transport) inRegion(x *Exchange, req *http.Request, r *retries) (*http.Response, failure) {
	failed := failure{err: ErrUnavailable, class: neverSent}
	upstreams := t.Network.choose(x.Region)
	for i := range upstreams {
		var res *http.Response
		if res, failed = t.attempt(x, req, upstreams[i], r); failed.err == nil {
			return res, failed
		}
		last := i == len(upstreams)-1
		if last && !(len(upstreams) == 1 && failed.class == sent) || !r.sameRegion(failed) {
			return nil, failed
		}
	}
	if len(upstreams) == 1 {
		return t.attempt(x, req, upstreams[0], r)
	}
	return nil, failed
}
