package gateway

import (
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
	"github.com/edgegate/edgegate/ratelimit/rate"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing"
	"github.com/edgegate/edgegate/routing/projects"
)

// headerRemaining has the remaining invocations of a hard quota (contract 7.5).
const headerRemaining = "X-Sb-Quota-Remaining"

// The headers of rate limits (draft-ietf-httpapi-ratelimit-headers-11).
const (
	headerRatePolicy = "Ratelimit-Policy"
	headerRate       = "Ratelimit"
)

// announcedFraction is the divisor of a quota below which its remainder is announced to
// clients: one fifth is left at 80 %.
const announcedFraction = 5

// callMeter applies rate limits, caps and quotas to one call, and records it in the
// ledger. It is the routing.Usage and the regions.Meter of the call.
type callMeter struct {
	call    *call
	request billing.Request

	states      [rate.MaxLimits]rate.State // by the index of callLimits.scoped
	rateCounted bool                       // at least one rate limit applied
	foretold    bool                       // a limit in shadow would have refused the call

	inFlight [3 + len(networkSteps)]rate.InFlightID // the caps that the call counts under
	entered  int                                    // number of those

	status   int
	bytesOut uint64
	readErr  error // error of reading the answer's body; nil if it was complete
}

// Restricted implements routing.Usage.
func (m *callMeter) Restricted(o *projects.Organization) time.Duration {
	id, allowance := allowanceOf(o)
	return m.request.Restricted(id, &allowance)
}

// LimitClient implements routing.Usage.
func (m *callMeter) LimitClient(inv *routing.Invocation) time.Duration { return m.limit(inv, true) }

// Limit implements routing.Usage.
func (m *callMeter) Limit(inv *routing.Invocation) time.Duration { return m.limit(inv, false) }

// limit takes tokens from the rate limits of client addresses, or from all other rate
// limits. It returns how long the client must wait, 0 if the call may go on.
func (m *callMeter) limit(inv *routing.Invocation, byClient bool) time.Duration {
	var asked askedLimits
	limits := m.call.handler.app.limits.scoped
	for i := range limits {
		if (limits[i].scope == scopeClient) != byClient {
			continue
		}
		if m.foretold && limits[i].rate.Shadow {
			continue // the limit that would have refused the call before would have kept it from this one
		}
		if key, ok := limits[i].key(m, inv); ok {
			asked.add(limits[i].rate, key, i)
		}
	}
	if asked.n == 0 {
		return 0
	}
	if byClient {
		asked.addNetworks(limits)
	}
	if !m.rateCounted {
		m.rateCounted = true
		for i := range limits {
			m.states[i].Remaining = rate.Unasked
		}
	}
	return m.ask(&asked)
}

// askedLimits are the buckets that one Limiter.Take asks, the first n places of each
// list.
type askedLimits struct {
	rates  [rate.MaxBuckets]*rate.Limit
	keys   [rate.MaxBuckets]rate.Key
	states [rate.MaxBuckets]rate.State
	places [rate.MaxBuckets]int // the index in callLimits.scoped
	n      int
}

func (a *askedLimits) add(limit *rate.Limit, key rate.Key, place int) {
	a.rates[a.n], a.keys[a.n], a.places[a.n] = limit, key, place
	a.n++
}

// addNetworks adds the buckets of the wider networks of an IPv6 client, the narrow ones
// first. The client's own buckets stand before them, so those of its neighbours are not
// touched while its own are empty.
func (a *askedLimits) addNetworks(limits []scopedLimit) {
	own := a.n
	if !a.keys[0].Address.Is6() {
		return
	}
	for step := range networkSteps {
		network, err := a.keys[0].Address.Prefix(networkSteps[step].bits)
		if err != nil {
			return // every IPv6 address has these
		}
		for _, place := range a.places[:own] {
			if wide := limits[place].wider[step]; wide != nil {
				a.add(wide, rate.Key{Policy: wide.Name, Project: a.keys[0].Project, Address: network.Addr()}, place)
			}
		}
	}
}

// ask takes a token of each of the buckets or of none, and keeps what clients are told:
// of several buckets of one limit, what the emptiest has left. It returns how long the
// client must wait, 0 if the call may go on.
func (m *callMeter) ask(a *askedLimits) (wait time.Duration) {
	m.call.handler.app.shared.limiter.Take(a.rates[:a.n], a.keys[:a.n], a.states[:a.n])
	for i := range a.n {
		m.states[a.places[i]] = rate.Tighter(m.states[a.places[i]], a.states[i])
		switch {
		case a.states[i].Retry == 0:
		case a.rates[i].Shadow:
			m.foretold = true
		default:
			wait = max(wait, a.states[i].Retry)
		}
	}
	return wait
}

// Take implements routing.Usage.
func (m *callMeter) Take(o *projects.Organization) error {
	id, allowance := allowanceOf(o)
	err := m.request.Take(m.call.r.Context(), id, &allowance)
	if errors.Is(err, quota.ErrExhausted) {
		return routing.ErrRestricted
	}
	return err
}

// Enter implements routing.Usage.
func (m *callMeter) Enter(inv *routing.Invocation) string {
	app := m.call.handler.app
	for i := range app.limits.caps {
		scope := &app.limits.caps[i]
		key, _ := scope.key(m, inv) // every call has a key of these scopes
		if !m.enter(&key, scope.calls) || scope.scope == scopeClient && !m.enterNetworks(key, scope.calls) {
			m.leave()
			app.shared.inFlight.refused[slices.Index(inFlightScopes, scope.scope)].Add(1)
			return scope.scope
		}
	}
	return ""
}

// enter counts the call under one key, unless calls of it run already.
func (m *callMeter) enter(key *rate.Key, calls int64) bool {
	id, ok := m.call.handler.app.shared.inFlight.Enter(key, calls)
	if ok {
		m.inFlight[m.entered] = id
		m.entered++
	}
	return ok
}

// enterNetworks counts the call under the wider networks of an IPv6 client.
func (m *callMeter) enterNetworks(key rate.Key, calls int64) bool {
	if !key.Address.Is6() {
		return true
	}
	policy := key.Policy
	for _, step := range networkSteps {
		network, err := key.Address.Prefix(step.bits)
		if err != nil {
			return true // every IPv6 address has these
		}
		key.Policy, key.Address = policy+step.name, network.Addr()
		if !m.enter(&key, min(calls, math.MaxInt64/step.times)*step.times) {
			return false
		}
	}
	return true
}

// leave ends the counting that Enter began. It may be called several times.
func (m *callMeter) leave() {
	for _, id := range m.inFlight[:m.entered] {
		m.call.handler.app.shared.inFlight.Leave(id)
	}
	m.entered = 0
}

// Sending implements regions.Meter: an invocation is recorded before it is sent.
func (m *callMeter) Sending(region *regions.Region) error {
	if m.call.record.sent.IsZero() {
		m.call.record.sent = time.Now()
	}
	inv := &m.call.inv
	err := m.request.Send(&billing.Dispatch{
		Subject: subjectOf(inv.Project, inv.Function.Slug),
		Slug:    inv.Slug,
		Region:  region.Name,
		Open:    isUnmetered(inv.Project.Organization),
	})
	if err != nil && m.request.Counts() {
		m.logUnrecorded(err)
	}
	return err
}

// Unsent implements regions.Meter.
func (m *callMeter) Unsent() {
	if err := m.request.Unsent(); err != nil {
		m.logUnrecorded(err)
	}
}

// recordRefusal counts a request that was refused before it became an invocation.
func (m *callMeter) recordRefusal() {
	var s metering.Subject
	if p := m.call.inv.Project; p != nil {
		s = subjectOf(p, "")
	}
	m.request.Refused(s, m.status)
	if inv := &m.call.inv; m.status == http.StatusUnauthorized && inv.Project.CountUnauthorized {
		// By the name of the function that the project has: * does not count one by one the
		// names that a stranger chose.
		m.request.RefusedBilled(subjectOf(inv.Project, inv.Function.Slug))
	}
}

// finish records the end of the call.
func (m *callMeter) finish() {
	defer m.leave()
	ending := metering.Ending{
		Status:   m.status,
		Cut:      m.call.record.cut,
		BytesIn:  uint64(m.call.record.bytesIn),
		BytesOut: m.bytesOut,
	}
	if x := m.call.exchange; x != nil {
		ending.Attempts = x.Attempts
	}
	if err := m.request.Finish(ending); err != nil {
		m.logUnrecorded(err)
	}
}

// logUnrecorded logs that the end of an invocation could not be recorded. It counts as
// an invocation all the same.
func (m *callMeter) logUnrecorded(err error) {
	m.call.handler.logger.Error("end of invocation not recorded in the ledger; the invocation counts",
		zap.String("sb_request_id", m.call.inv.ID), zap.Uint64("record", m.request.Record()), zap.Error(err))
}

// setLimitHeaders sets the headers of rate limits, and of a quota that is nearly used
// up.
func (m *callMeter) setLimitHeaders(header http.Header) {
	if unit, ok := m.request.Unit(); ok && unit.Remaining >= 0 && unit.Remaining*announcedFraction <= unit.Limit {
		header.Set(headerRemaining, strconv.FormatInt(unit.Remaining, 10))
	} else {
		header.Del(headerRemaining)
	}
	if m.rateCounted {
		rates := m.call.handler.app.limits.rates
		header.Add(headerRatePolicy, m.call.handler.app.limits.policy)
		header.Add(headerRate, rate.StateHeader(rates, m.states[:len(rates)]))
	}
}

// countedBody counts the bytes of an answer's body.
type countedBody struct {
	io.ReadCloser
	meter *callMeter
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.meter.bytesOut += uint64(n)
	switch {
	case errors.Is(err, io.EOF):
		b.meter.call.head.BodyEnded()
	case err != nil:
		b.meter.readErr = err
	}
	return n, err
}
