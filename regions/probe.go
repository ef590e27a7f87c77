package regions

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"time"
)

const (
	// probeEvery is how often each backend is asked, a tenth more or less. The
	// same answers tell its health and its distance.
	probeEvery = 2 * time.Second
	// probeTimeout is how long an answer may take beyond the round trip.
	probeTimeout = time.Second
	// probeBody is how much of an answer is read, in bytes, so that its
	// connection can be used again.
	probeBody = 64 << 10
	// DefaultHealthURI is what is asked for where none is configured. Stock
	// runtimes answer 404 or 500 there, so any answer is a pass.
	DefaultHealthURI = "/_internal/health"
)

// probe asks the backend until ctx is done.
func (u *Upstream) probe(ctx context.Context, r *Region, prior time.Duration) {
	for ctx.Err() == nil {
		// From one beginning to the next, or time-outs would delay the verdict.
		next := time.Now().Add(probeEvery*9/10 + rand.N(probeEvery/5)) // #nosec G404 -- spreads load, guards nothing
		u.probeOnce(ctx, r, prior)
		wait := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			wait.Stop()
		case <-wait.C:
		}
	}
}

// probeOnce asks once, and once more where the connection was new: only a warm
// one tells the round trip.
func (u *Upstream) probeOnce(ctx context.Context, r *Region, prior time.Duration) {
	passed, warm, rtt := u.ask(ctx, r, prior)
	if passed && !warm {
		_, warm, rtt = u.ask(ctx, r, prior)
	}
	if !warm {
		rtt = 0
	}
	if ctx.Err() == nil {
		u.checked(time.Now(), passed, rtt)
	}
}

// ask makes one request for the region's health URI.
func (u *Upstream) ask(ctx context.Context, r *Region, prior time.Duration) (passed, warm bool, rtt time.Duration) {
	u.mu.Lock()
	if d := u.distance.Distance(time.Now()); d.Measured {
		prior = d.RTT
	}
	u.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout+prior)
	defer cancel()
	var wrote, first time.Time
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:              func(info httptrace.GotConnInfo) { warm = info.Reused },
		WroteRequest:         func(httptrace.WroteRequestInfo) { wrote = time.Now() },
		GotFirstResponseByte: func() { first = time.Now() },
	})
	uri := r.HealthURI
	if uri == "" {
		uri = DefaultHealthURI
	}
	req := (&http.Request{
		Method: http.MethodGet,
		URL:    &url.URL{Scheme: u.Backend.Scheme, Host: u.Backend.Host, Opaque: uri},
		Host:   u.Backend.Host,
		Header: http.Header{"User-Agent": {"edgegate-health"}, HeaderRegion: {r.Name}},
	}).WithContext(ctx)
	res, err := u.transport.Load().RoundTrip(req)
	if err != nil {
		u.faults.noteProbe(err)
		return false, warm, 0
	}
	_, _ = io.CopyN(io.Discard, res.Body, probeBody)
	_ = res.Body.Close()
	if !wrote.IsZero() && first.After(wrote) {
		rtt = first.Sub(wrote)
	}
	if passed = r.HealthURI == "" || res.StatusCode/100 == 2; !passed {
		u.faults.noteProbe(statusError(res.StatusCode))
	}
	return passed, warm, rtt
}
