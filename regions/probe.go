package regions

import (
	"context"
	cryptorand "crypto/rand"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"time"
)

const (
	// probeEvery is the interval between probes of a backend, give or take a tenth.
	// A probe measures health and round trip together.
	probeEvery = 2 * time.Second
	// probeSoon is the least interval between probes that were asked for.
	probeSoon = 200 * time.Millisecond
	// probeTimeout bounds the wait for an answer, beyond the known round trip.
	probeTimeout = time.Second
	// probeBody is how many bytes of an answer are read at most, so that its
	// connection can be reused.
	probeBody = 64 << 10
	// DefaultHealthURI is probed where none is configured. Stock runtimes answer
	// 404 or 500 there, so any answer is a pass.
	DefaultHealthURI = "/_internal/health"
)

// headerProbe is in every probe, with a value that only this process and its backends
// know. This process answers such a request with another value, so that a gateway that
// gets its own probe recognizes its address, and a backend that sends headers back is
// not taken for it.
const headerProbe = "Edgegate-Probe"

var probeValue, probeAnswer = cryptorand.Text(), cryptorand.Text()

// AnswerOwnProbe answers a request that is a probe of this process with 508, and reports
// whether it is: then a list of backends has this gateway's own address, and calls would
// come back.
func AnswerOwnProbe(w http.ResponseWriter, r *http.Request) bool {
	if !carries(r.Header, probeValue) {
		return false
	}
	w.Header().Set(headerProbe, probeAnswer)
	w.WriteHeader(http.StatusLoopDetected)
	return true
}

func carries(header http.Header, value string) bool {
	got := header[headerProbe]
	return len(got) == 1 && got[0] == value
}

// probe probes the backend until ctx is done: at intervals, and at once when a
// connection broke (contract 9.2). If such an extra probe fails, others follow
// until one passes or the backend is down. Extra probes, and all probes while the
// backend is down, open a new connection each.
func (u *Upstream) probe(ctx context.Context, r *Region, prior time.Duration) {
	wait := time.NewTimer(0)
	defer wait.Stop()
	soon := false
	for ctx.Err() == nil {
		// Counted from the beginning of a probe, or time-outs would delay the next.
		began := time.Now()
		next := began.Add(probeEvery*9/10 + rand.N(probeEvery/5)) // #nosec G404 -- spreads load, guards nothing
		if soon || u.isDown() {
			// By a new connection: a pooled one may be the last that still works, and
			// net/http retries by itself on connections that were used before.
			u.pools.Load().probes.CloseIdleConnections()
		}
		if soon = !u.probeOnce(ctx, r, prior) && soon; soon {
			next = began.Add(probeSoon)
		}
		wait.Reset(time.Until(next))
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
			continue
		case <-u.asked:
			soon = true
		}
		wait.Reset(time.Until(began.Add(probeSoon)))
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
	}
}

// probeOnce probes once, and again if the connection was new: only a warm one
// measures the round trip. settled is false after a failure that has not set the
// backend down yet: more probes are needed.
func (u *Upstream) probeOnce(ctx context.Context, r *Region, prior time.Duration) (settled bool) {
	began := time.Now()
	got := u.ask(ctx, r, prior)
	if got.passed && !got.warm {
		again := u.ask(ctx, r, prior)
		got.warm, got.rtt = again.warm, again.rtt
	}
	if !got.warm {
		got.rtt = 0
	}
	if ctx.Err() != nil || got.void {
		return true
	}
	return u.checked(began, time.Now(), got.passed, got.rtt) == StateDown || got.passed
}

// probed is the outcome of a probe.
type probed struct {
	passed, warm bool
	rtt          time.Duration
	void         bool // no outcome: this machine could not send the probe
}

// ask makes one request for the region's health URI.
func (u *Upstream) ask(ctx context.Context, r *Region, prior time.Duration) (got probed) {
	u.mu.Lock()
	if d := u.distance.Distance(time.Now()); d.Measured {
		prior = d.RTT
	}
	u.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout+prior)
	defer cancel()
	var wrote, first time.Time
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:              func(info httptrace.GotConnInfo) { got.warm = info.Reused },
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
		Header: http.Header{"User-Agent": {"edgegate-health"}, HeaderRegion: {r.Name}, headerProbe: {probeValue}},
	}).WithContext(ctx)
	res, err := u.pools.Load().probes.RoundTrip(req)
	if err != nil {
		u.faults.noteProbe(err)
		got.void = isShortage(err)
		return got
	}
	// After a switch of protocols the body is the connection itself, which no
	// deadline of the request ends.
	if res.StatusCode != http.StatusSwitchingProtocols {
		_, _ = io.CopyN(io.Discard, res.Body, probeBody)
	}
	_ = res.Body.Close()
	if !wrote.IsZero() && first.After(wrote) {
		got.rtt = first.Sub(wrote)
	}
	if u.setOwn(carries(res.Header, probeAnswer)) {
		return got
	}
	if got.passed = r.HealthURI == "" || res.StatusCode/100 == 2; !got.passed {
		u.faults.noteProbe(statusError(res.StatusCode))
	}
	return got
}
