package gateway

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
	"github.com/edgegate/edgegate/ratelimit/rate"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing"
	"github.com/edgegate/edgegate/routing/projects"
)

// headerRemaining says how much is left of a hard quota (BEHAVIOUR.md 7.5).
const headerRemaining = "X-Sb-Quota-Remaining"

// The headers of rate limits (draft-ietf-httpapi-ratelimit-headers-11).
const (
	headerRatePolicy = "Ratelimit-Policy"
	headerRate       = "Ratelimit"
)

// announcedFrom is the part of a quota from which it is said what is left of
// it, as a divisor: a fifth is left at 80 %.
const announcedFrom = 5

// meter is the account of one call: it takes the unit, and writes down that the
// unit was used and how that ended.
type meter struct {
	call   *call
	desk   *desk
	books  *books // nil: the ledger is not open
	unit   quota.Unit
	taken  bool
	became outcome // as far as it is no invocation

	states [rate.MaxLimits]rate.State // of the app's rates
	under  bool                       // one of them at least was looked at

	inFlight [3]rate.InFlightID // under the caps of in_flight
	entered  int                // how many of them

	subject metering.SubjectID
	region  uint16
	seq     uint64 // of the record; 0: there is none, or it was taken back
	runs    bool   // it is among the calls of books
	later   string // the region of a record that is made later
	sent    bool   // by an attempt before the one that is made now

	status   int
	bytesOut uint64
	broke    error // of reading the answer's body, nil if it came whole
}

// Restricted implements routing.Usage.
func (m *meter) Restricted(o *projects.Organization) time.Duration {
	if m.books == nil {
		return 0
	}
	id, t := terms(o)
	return m.books.quotas.Restricted(id, &t)
}

// LimitClient implements routing.Usage.
func (m *meter) LimitClient(inv *routing.Invocation) time.Duration { return m.limit(inv, true) }

// Limit implements routing.Usage.
func (m *meter) Limit(inv *routing.Invocation) time.Duration { return m.limit(inv, false) }

// limit takes the tokens of the limits by the client's address, or of all others.
func (m *meter) limit(inv *routing.Invocation, byClient bool) (wait time.Duration) {
	var (
		limits = m.call.handler.app.limits
		rates  [rate.MaxLimits]*rate.Limit
		keys   [rate.MaxLimits]rate.Key
		states [rate.MaxLimits]rate.State
		places [rate.MaxLimits]int
		n      int
	)
	for i := range limits {
		if (limits[i].scope == scopeClient) != byClient {
			continue
		}
		if key, ok := limits[i].key(m, inv); ok {
			rates[n], keys[n], places[n] = limits[i].rate, key, i
			n++
		}
	}
	if n == 0 {
		return 0
	}
	if !m.under {
		m.under = true
		for i := range limits {
			m.states[i].Remaining = rate.Unasked
		}
	}
	passes := m.call.handler.app.lease.limiter.Take(rates[:n], keys[:n], states[:n])
	for i := range n {
		m.states[places[i]] = states[i]
		if !passes && !rates[i].Shadow {
			wait = max(wait, states[i].Retry)
		}
	}
	return wait
}

// Take implements routing.Usage.
func (m *meter) Take(o *projects.Organization) (err error) {
	if m.books == nil {
		return errNotOpen
	}
	id, t := terms(o)
	m.unit, err = m.books.quotas.Take(m.call.r.Context(), id, &t)
	m.taken = err == nil
	if errors.Is(err, quota.ErrExhausted) {
		return routing.ErrRestricted
	}
	if err != nil && m.call.r.Context().Err() == nil {
		m.books.ungranted.note(err)
	}
	return err
}

// Sending implements regions.Meter: what counts is written down before it is
// sent. A retry is no other invocation (BEHAVIOUR.md 7.2).
func (m *meter) Sending(region *regions.Region) error {
	switch {
	case m.counts():
		m.sent = true // or Unsent would have taken it back
		return nil
	case !m.taken:
		m.became = wasPassed
		return nil
	}
	open := unmetered(m.call.inv.Project.Organization)
	if err := m.record(region.Name, open); err != nil || m.seq == 0 {
		if err != nil {
			m.books.unrecorded.note(err)
		}
		return err
	}
	err := m.books.ledger.Await(m.seq)
	if err != nil && !open {
		m.books.unrecorded.note(err)
		m.Unsent()
		return err
	}
	return nil
}

// counts reports whether the call is an invocation by now.
func (m *meter) counts() bool { return m.seq != 0 || m.later != "" }

// counted is who called what.
func (m *meter) counted() metering.Subject {
	inv := &m.call.inv
	return subject(inv.Project, m.books.counted(inv.Project, inv.Function, inv.Slug))
}

func subject(p *projects.Project, function string) metering.Subject {
	s := metering.Subject{Project: p.Ref, Function: function}
	if o := p.Organization; o != nil {
		s.Organization, s.Cycle = o.ID, cycle(o)
	}
	return s
}

// record makes an invocation of the call: one that is recorded later, if it
// cannot be now and may be open.
func (m *meter) record(region string, open bool) (err error) {
	if m.subject, err = m.books.ledger.Subject(m.counted()); err == nil {
		m.region, err = m.books.ledger.Region(region)
	}
	if !m.runs {
		m.runs = true
		m.books.calls.Add(1)
	}
	m.desk.mu.Lock()
	defer m.desk.mu.Unlock()
	if err == nil {
		m.seq, err = m.books.ledger.Begin(m.invocation())
	}
	if err != nil && open {
		m.later, err = region, nil
		m.books.ledger.Defer(m.deferral(), 1)
	}
	if err == nil {
		m.desk.waiting--
	}
	return err
}

// invocation is the call as the ledger records it.
func (m *meter) invocation() metering.Invocation {
	return metering.Invocation{Subject: m.subject, Region: m.region, At: m.unit.At}
}

// deferral is the call as the ledger records it once it can write again.
func (m *meter) deferral() metering.Deferral {
	return metering.Deferral{Subject: m.counted(), Region: m.later, At: m.unit.At}
}

// gone is for a client that went away before an answer.
func (m *meter) gone() {
	if m.became == wasUnknown {
		m.became = wasUnsent
	}
}

// refused counts a request that was answered before it became an invocation.
func (m *meter) refused() {
	if m.became == wasUnknown {
		m.became = wasRefused
	}
	if m.books == nil || m.counts() {
		return
	}
	var s metering.Subject
	if p := m.call.inv.Project; p != nil {
		s = subject(p, "")
	}
	m.books.ledger.Refused(s, m.status)
}

// Unsent implements regions.Meter.
func (m *meter) Unsent() {
	if m.sent {
		return
	}
	m.became = wasUnknown
	if err := m.takeBack(); err != nil {
		m.lost(err)
	}
}

// takeBack makes no invocation of the call.
func (m *meter) takeBack() error {
	m.desk.mu.Lock()
	defer m.desk.mu.Unlock()
	switch {
	case m.later != "":
		m.books.ledger.Defer(m.deferral(), -1)
		m.later = ""
	case m.seq != 0:
		if err := m.books.ledger.Void(m.seq, m.invocation()); err != nil {
			return err
		}
		m.seq = 0
	default:
		return nil
	}
	m.desk.waiting++
	return nil
}

// finish ends the account, however the call ended.
func (m *meter) finish() {
	defer m.leave()
	if !m.counts() {
		m.desk.leave(m.became)
	}
	if m.runs {
		defer m.books.calls.Add(-1)
	}
	switch {
	case !m.taken, m.later != "":
	case m.seq == 0:
		m.unit.Return()
	default:
		ending := metering.Ending{
			Status: m.status, Cut: m.call.record.cut, Duration: m.books.ledger.Now().Sub(m.unit.At),
			BytesIn: uint64(m.call.record.bytesIn), BytesOut: m.bytesOut,
		}
		if x := m.call.exchange; x != nil {
			ending.Attempts = x.Attempts
		}
		if err := m.books.ledger.Done(m.seq, m.invocation(), ending); err != nil {
			m.lost(err)
		}
	}
}

// lost is for what cannot be written down after the fact: the invocation counts.
func (m *meter) lost(err error) {
	m.call.handler.logger.Error("the end of an invocation is not in the ledger",
		zap.String("sb_request_id", m.call.inv.ID), zap.Uint64("record", m.seq), zap.Error(err))
}

// announce says what is left of a quota that comes to its end.
func (m *meter) announce(header http.Header) {
	if m.taken && m.unit.Remaining >= 0 && m.unit.Remaining*announcedFrom <= m.unit.Limit {
		header.Set(headerRemaining, strconv.FormatInt(m.unit.Remaining, 10))
	} else {
		header.Del(headerRemaining)
	}
	if m.under {
		rates := m.call.handler.app.rates
		header.Add(headerRatePolicy, m.call.handler.app.ratePolicy)
		header.Add(headerRate, rate.StateHeader(rates, m.states[:len(rates)]))
	}
}

// countedBody counts what goes to the client.
type countedBody struct {
	io.ReadCloser
	meter *meter
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.meter.bytesOut += uint64(n)
	switch {
	case errors.Is(err, io.EOF):
		b.meter.call.head.bodyEnded()
	case err != nil:
		b.meter.broke = err
	}
	return n, err
}
