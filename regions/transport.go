package regions

import (
	"errors"
	"net/http"
	"time"
)

// HeaderRegion names the region an invocation runs in, to the backend and to
// the client (contract 1.8, 2.7).
const HeaderRegion = "X-Sb-Edge-Region"

// Transport is the http.RoundTripper that carries out plans: it asks one
// candidate after the other until a backend answers, as far as its RetryPolicy
// allows. Regions that the plan does not name are never asked.
type Transport struct {
	Network *Network
	Retry   RetryPolicy
	// Replay bounds the memory of kept request bodies. Nil is no bound.
	Replay *ReplayMemory
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
		body = newRequestBody(x, req.Body, req.ContentLength, t.Retry.replayLimit(), t.Replay)
		defer body.kept.settle()
	}
	x.start(body)
	x.Region, x.Reason = x.Plan.First(), x.Plan.Candidates[0].Reason
	if x.Plan.Unavailable {
		return nil, ErrUnavailable
	}
	return t.run(x, req)
}

// run tries the candidates in order. One without room is passed over for those
// with Spill set or, once an attempt failed, for any. If nobody else is left, it
// waits for room in the first full one.
func (t *Transport) run(x *Exchange, req *http.Request) (*http.Response, error) {
	r := newRetries(t, x, req)
	var failed failure
	var full *Candidate // the first without room
	for i := range x.Plan.Candidates {
		c := &x.Plan.Candidates[i]
		if full != nil && failed.err == nil && !c.Spill {
			continue
		}
		if why := t.enter(x, c.Region); why != "" {
			if full == nil {
				full = c
			}
			continue
		}
		x.Region, x.Reason = c.Region, c.Reason
		if full != nil && failed.err == nil && c.Reason == ReasonFailover {
			x.Reason = ReasonSpill
		}
		var res *http.Response
		res, failed = t.inRegion(x, req, r)
		if failed.err == nil {
			return res, nil
		}
		x.leave()
		if !r.nextRegion(failed) {
			return nil, failed.err
		}
	}
	if full != nil {
		return t.whenRoom(x, req, r, full)
	}
	if errors.Is(failed.err, ErrUnavailable) { // none was reached
		x.Region, x.Reason = x.Plan.First(), x.Plan.Candidates[0].Reason
		if !x.Plan.Strict {
			x.Reason = ReasonFailOpen
		}
	}
	return nil, failed.err
}

// whenRoom waits for room in a full region and asks it then.
func (t *Transport) whenRoom(x *Exchange, req *http.Request, r *retries, c *Candidate) (*http.Response, error) {
	x.Region, x.Reason = c.Region, c.Reason
	if err := t.waitForRoom(x); err != nil {
		return nil, err
	}
	res, failed := t.inRegion(x, req, r)
	if failed.err != nil {
		x.leave()
	}
	return res, failed.err
}

// inRegion asks the backends of x.Region, each at most once. If there is only one,
// it is asked a second time where sending again is allowed: its connection broke,
// but the backend may be well.
func (t *Transport) inRegion(x *Exchange, req *http.Request, r *retries) (*http.Response, failure) {
	list := t.Network.members[x.Region].list.Load()
	if r.upgrade {
		if list.upgrading != list && len(list.upgrading.all) == 0 {
			return nil, failure{err: ErrUpgradeUnsupported, class: neverSent}
		}
		list = list.upgrading
	}
	now := time.Now()
	next := list.first(now, x.Socket)
	if next == nil {
		return nil, failure{err: ErrUnavailable, class: neverSent}
	}
	res, failed := t.attempt(x, req, next, r)
	if failed.err == nil {
		return res, failed
	}
	if len(list.all) == 1 {
		if failed.class == sent && r.sameRegion(failed) {
			return t.attempt(x, req, next, r)
		}
		return nil, failed
	}
	for _, next = range list.others(now, next) {
		if !r.sameRegion(failed) {
			break
		}
		if res, failed = t.attempt(x, req, next, r); failed.err == nil {
			return res, failed
		}
	}
	return nil, failed
}
