package gateway

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

const (
	// billEvery is how often lines are brought up to date, billFirst how long after
	// the start for the first time.
	billEvery = time.Minute
	billFirst = 2 * time.Second
	// settleAfter is how long after its end an hour is over, for those that were
	// admitted in it and are recorded later.
	settleAfter = 5 * time.Minute
	// billHours is how far back sums are looked at: Redis has them for 72 hours.
	billHours = 73 * time.Hour
)

// billing keeps the lines of what was used.
type billing struct {
	book      *usage.LineStore
	exporting *exporting
	cancel    context.CancelFunc
	done      sync.WaitGroup
}

// startBilling begins to keep lines, and to export them, until close.
func (b *bookkeeping) startBilling() *billing {
	ctx, cancel := context.WithCancel(context.Background())
	bill := &billing{book: usage.NewLineStore(filepath.Join(b.dir, "billing.db"), ""), exporting: newExporting(b), cancel: cancel}
	bill.done.Go(func() { b.keepLines(ctx) })
	bill.done.Go(func() { bill.exporting.run(ctx) })
	return bill
}

// keepLines brings the lines up to date again and again.
func (b *bookkeeping) keepLines(ctx context.Context) {
	for wait := billFirst; ; wait = billEvery {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		round, cancel := context.WithTimeout(ctx, billEvery)
		if _, err := b.bill(round); err != nil && ctx.Err() == nil {
			b.logger.Load().Warn("the lines of usage are not up to date", zap.Error(err))
		}
		cancel()
	}
}

// close ends a round that is under way: the next process makes up for it.
func (b *billing) close() {
	b.cancel()
	b.done.Wait()
}

// errNoPrices says that plans are not known yet: an hour must not become final
// without them.
var errNoPrices = errors.New("the projects, and with them the plans, were not loaded yet")

// bill brings the lines up to date. It returns what they are of: what all
// gateways used in each period, of what they have at all in it.
func (b *bookkeeping) bill(ctx context.Context) (used accounts, err error) {
	b.billing.Lock()
	defer b.billing.Unlock()
	return b.billAlone(ctx)
}

// billAlone is bill for who has billing.
func (b *bookkeeping) billAlone(ctx context.Context) (used accounts, err error) {
	opened, app := b.open.Load(), b.app.Load()
	if opened == nil || app == nil {
		return nil, errNotOpen
	}
	if app.projectStatus().LoadedAt == nil {
		return nil, errNoPrices
	}
	now := opened.ledger.Now()
	own, err := opened.ledger.Usage()
	if err != nil {
		return nil, err
	}
	used = make(accounts)
	since, logs := now.Add(-billHours), 1+len(opened.ledger.Orphans())
	if logs != b.billedLogs { // some hours may be from before it stopped, days ago
		since = time.Time{}
	}
	sums := hourly(own, since, used)
	known := func(time.Time) bool { return true }
	id, err := metering.Identity(b.dir)
	if s := opened.shared.Load(); s != nil && err == nil {
		if id, err = s.mirror.Identity(ctx, b.dir); err != nil {
			return nil, fmt.Errorf("reading the id of the ledger from Redis: %w", err)
		}
		others, err := s.mirror.PeerSums(ctx, "")
		if err != nil {
			return nil, fmt.Errorf("reading what other gateways used: %w", err)
		}
		if sums, err = app.addOthers(sums, others, used); err != nil {
			return nil, err
		}
		seen, err := s.mirror.Peers(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading which gateways there are: %w", err)
		}
		known = func(at time.Time) bool {
			for _, p := range seen {
				if !p.Left && !p.Lost && p.At.Before(at) {
					return false
				}
			}
			return true
		}
	}
	if err != nil {
		return nil, err
	}
	opened.bill.book.SetLedger(id)
	opened.bill.book.SetPeriods(app.periods().named)
	prices := make(map[string]usage.Price)
	for _, o := range app.organizations() {
		if o != nil {
			prices[o.ID] = app.priceOf(o)
		}
	}
	_, err = opened.bill.book.Update(usage.UpdateInput{
		Now:  now,
		Sums: sums,
		Price: func(id string) (usage.Price, bool) {
			if t, ok := prices[id]; ok {
				return t, true
			}
			return usage.Price{Included: -1, Currency: app.currency()}, false
		},
		Complete: func(end time.Time) bool { return !now.Before(end.Add(settleAfter)) && known(end.Add(settleAfter)) },
	})
	if err == nil {
		b.billedLogs = logs
		b.billed.Store(true)
	}
	return used, err
}

// hourly are the sums of hours since a time, and of those that people adjusted,
// however long ago. What was used in periods is added to used.
func hourly(all []metering.Usage, since time.Time, used accounts) (sums []usage.Sum) {
	type part struct { // of a line
		key      usage.Key
		instance string
	}
	at := make(map[part]int)
	for i := range all {
		u := &all[i]
		if !u.Cycle.Known() {
			continue // its hours may be in another period than they seem
		}
		if u.Span == metering.Monthly {
			used.add(u.Subject, u.Cycle.At(u.Start), u.Region, u.Sums)
			continue
		}
		if u.Start.Before(since) && u.Added+u.Deducted == 0 {
			continue
		}
		hour, period := u.Hour()
		s := sumOf(u.Subject, u.Instance, u.Region, u.Sums, hour, period)
		// An organization whose cycle was changed has several sums of one line.
		if i, again := at[part{s.Key, u.Instance}]; again {
			sums[i].Sources[0].Add(s.Sources[0])
			continue
		}
		at[part{s.Key, u.Instance}] = len(sums)
		sums = append(sums, s)
	}
	return sums
}

// addOthers adds the sums of other gateways.
func (a *App) addOthers(sums []usage.Sum, others []metering.Entry, used accounts) ([]usage.Sum, error) {
	cycles := a.periods()
	for i := range others {
		e := &others[i]
		if e.Span == metering.Monthly {
			if u, p, ok := cycles.of(e); ok {
				used.add(u.Subject, p, u.Region, u.Sums)
			}
			continue
		}
		hour, period, err := e.Hour(cycles[e.Subject.Organization])
		if err != nil {
			return nil, err
		}
		sums = append(sums, sumOf(e.Subject, e.Instance, e.Region, e.Sums, hour, period))
	}
	return sums, nil
}

// add adds what was used in a period, whoever counted it.
func (a accounts) add(s metering.Subject, p metering.Period, region string, n metering.Sums) {
	if billed := n.Billed(); billed != 0 {
		a[account{organization: s.Organization, period: p.ID, project: s.Project, function: s.Function, region: region}] += billed
	}
}

func sumOf(s metering.Subject, instance, region string, n metering.Sums, hour, period metering.Period) usage.Sum {
	return usage.Sum{
		Key: usage.Key{
			Organization: s.Organization, Period: period.ID, Start: hour.Start, End: hour.End,
			Project: s.Project, Function: s.Function, Region: region,
		},
		Sources: []usage.Source{{
			Instance: instance, First: n.First, Invocations: int64(n.Invocations), Completed: int64(n.Completed), Voided: int64(n.Voided),
			Added: int64(n.Added), Deducted: int64(n.Deducted),
		}},
	}
}
