package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

const (
	// updateEvery is the interval in which line items are brought up to date,
	// updateFirst the delay after the start.
	updateEvery = time.Minute
	updateFirst = 2 * time.Second
	// settleAfter is the time between the end of an hour and the moment when it may
	// become final: invocations that were admitted in it may be recorded later.
	settleAfter = 5 * time.Minute
	// updateHours bounds the age of the hours that an update looks at. Redis has them for
	// 72 hours.
	updateHours = 73 * time.Hour
)

// ErrNoPrices says that the plans are not known yet: an hour must not become final
// without them.
var ErrNoPrices = errors.New("the projects, and with them the plans, were not loaded yet")

// keepLines brings the line items up to date again and again.
func (e *Engine) keepLines(ctx context.Context) {
	for wait := updateFirst; ; wait = updateEvery {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		round, cancel := context.WithTimeout(ctx, updateEvery)
		if _, err := e.Update(round); err != nil && ctx.Err() == nil {
			level := slog.LevelWarn
			if state, _ := e.BillsState(); state == StateDegraded {
				level = slog.LevelError
			}
			e.log().Log(ctx, level, "updating line items failed", logError(err))
		}
		cancel()
	}
}

// Update brings the line items up to date. It returns the totals that they were
// made from: what all gateways counted in each billing period that is kept.
func (e *Engine) Update(ctx context.Context) (Totals, error) {
	e.updating.Lock()
	defer e.updating.Unlock()
	totals, err := e.update(ctx)
	if o := e.opened.Load(); o != nil {
		o.note(err)
	}
	return totals, err
}

// update is Update; e.updating is held.
func (e *Engine) update(ctx context.Context) (Totals, error) {
	o, catalogue, err := e.inForce()
	if err != nil {
		return nil, err
	}
	if !catalogue.Loaded() {
		return nil, ErrNoPrices
	}
	if err := o.ledger.InPlace(); err != nil {
		return nil, err // another billing.db may be there
	}
	if err := o.copied(); err != nil {
		return nil, err // the lines of this ledger are another's
	}
	// Before the sums are read: no line may end where terms begin that sums do not know.
	if err := e.syncTerms(ctx, o); err != nil {
		return nil, err
	}
	now := o.ledger.Now()
	own, err := o.ledger.Usage()
	if err != nil {
		return nil, err
	}
	id, err := o.lines.ID()
	if err != nil {
		return nil, err
	}
	since, logs := now.Add(-updateHours), 1+len(o.ledger.Orphans())
	if logs != e.updatedLogs || id != e.updatedID { // some hours may be from before it stopped, days ago
		since = time.Time{}
		e.logBehind(o, own, now)
	}
	totals, cycles := make(Totals), cyclesOf(catalogue)
	in := usage.UpdateInput{
		Now:      now,
		Sums:     hourlySums(own, since, totals),
		Price:    priceOf(catalogue, o.terms),
		Terms:    o.terms.All(),
		Complete: settledBy(now),
		Anew:     o.counted,
	}
	if s := o.shared.Load(); s != nil {
		if err := addPeers(ctx, s.peers, &in, cycles, totals); err != nil {
			return nil, err
		}
		if err := s.note(ctx); err != nil {
			return nil, err
		}
	}
	o.lines.SetPeriods(cycles.Named)
	if _, err := o.lines.Update(in); err != nil {
		return totals, err
	}
	e.updatedLogs, e.updatedID = logs, id
	e.updated.Store(true)
	return totals, nil
}

// settledBy returns a function that reports whether an hour with an end was over for
// long enough at a time to become final.
func settledBy(now time.Time) func(end time.Time) bool {
	return func(end time.Time) bool { return !now.Before(end.Add(settleAfter)) }
}

// addPeers adds what other gateways counted. An hour is not final then before all
// of them have sent what they counted in it; those that ended, or that an operator
// gave up, are not waited for. In a store that was emptied a moment ago none is: nobody
// knows yet who will send.
func addPeers(ctx context.Context, p peers, in *usage.UpdateInput, cycles Cycles, totals Totals) error {
	sums, err := p.PeerSums(ctx, "")
	if err != nil {
		return fmt.Errorf("reading what other gateways used: %w", err)
	}
	in.Anew = in.Anew || len(sums) > 0
	if in.Sums, err = addPeerSums(in.Sums, sums, cycles, totals); err != nil {
		return err
	}
	seen, err := p.Peers(ctx)
	if err != nil {
		return fmt.Errorf("reading which gateways there are: %w", err)
	}
	settled, young := in.Complete, p.Young()
	in.Complete = func(end time.Time) bool {
		if young {
			return false
		}
		for _, peer := range seen {
			if !peer.Left && !peer.Lost && peer.At.Before(end.Add(settleAfter)) {
				return false
			}
		}
		return settled(end)
	}
	return nil
}

// priceOf returns a function that returns the price of an organization, and whether
// it is in the catalogue; the default price otherwise. A change of the configuration
// counts once the store knows it.
func priceOf(c Catalogue, t *usage.TermBook) func(organization string) (usage.Price, bool) {
	prices, fallback := make(map[string]usage.Price), c.DefaultPrice()
	for a := range c.Accounts() {
		if a.ID != "" {
			prices[a.ID] = a.Price
			if p, known := t.Configured(a.ID); known {
				prices[a.ID] = p
			}
		}
	}
	return func(organization string) (usage.Price, bool) {
		if p, ok := prices[organization]; ok {
			return p, true
		}
		return fallback, false
	}
}

// hourlySums returns the sums of hours since a time, and of those that people
// adjusted, however long ago. The sums of billing periods are added to totals.
func hourlySums(all []metering.Usage, since time.Time, totals Totals) (sums []usage.Sum) {
	type source struct { // of a line item
		key      usage.Key // without the end
		instance string
	}
	at := make(map[source]int)
	for i := range all {
		u := &all[i]
		if !u.Cycle.Known() {
			continue // its hours may be in another period than they seem
		}
		if u.Span == metering.Monthly {
			totals.add(u.Subject, u.Cycle.At(u.Start), u.Region, u.Sums)
			continue
		}
		if u.Start.Before(since) && u.Added+u.Deducted == 0 {
			continue
		}
		hour, period := u.Hour()
		s := sumOf(u.Subject, u.Region, u.Sums, hour, period)
		s.Origin = u.Origin
		s.Sources[0].Instance, s.Sources[0].AsOf, s.Sources[0].Own = u.Instance, u.AsOf, true
		// An organization whose cycle was changed has several sums of one line where both
		// periods are called the same.
		of := source{s.Key, u.Instance}
		of.key.End = time.Time{}
		if i, again := at[of]; again {
			sums[i].Sources[0].Add(s.Sources[0])
			continue
		}
		at[of] = len(sums)
		sums = append(sums, s)
	}
	return sums
}

// addPeerSums adds the sums of other gateways.
func addPeerSums(sums []usage.Sum, others []metering.Entry, cycles Cycles, totals Totals) ([]usage.Sum, error) {
	for i := range others {
		e := &others[i]
		if e.Span == metering.Monthly {
			if u, p, ok := cycles.Monthly(e); ok {
				totals.add(u.Subject, p, u.Region, u.Sums)
			}
			continue
		}
		hour, period, err := e.Hour(cycles[e.Subject.Organization])
		if err != nil {
			return nil, err
		}
		s := sumOf(e.Subject, e.Region, e.Sums, hour, period)
		s.Origin = e.Origin
		s.Sources[0].Instance, s.Sources[0].AsOf = e.Instance, e.AsOf
		sums = append(sums, s)
	}
	return sums, nil
}

// sumOf returns what a gateway has of a line item.
func sumOf(s metering.Subject, region string, n metering.Sums, hour, period metering.Period) usage.Sum {
	return usage.Sum{
		Key: usage.Key{
			Organization: s.Organization,
			Period:       period.ID,
			Start:        hour.Start,
			End:          hour.End,
			Project:      s.Project,
			Function:     s.Function,
			Region:       region,
		},
		Sources: []usage.Source{{
			First:       n.First,
			Invocations: int64(n.Invocations),
			Completed:   int64(n.Completed),
			Voided:      int64(n.Voided),
			Added:       int64(n.Added),
			Deducted:    int64(n.Deducted),
		}},
	}
}
