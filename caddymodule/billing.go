package caddymodule

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/routing/projects"
)

const (
	// billEvery is how often lines are brought up to date.
	billEvery = time.Minute
	// settleAfter is how long after its end an hour is over, for those that were
	// admitted in it and are recorded later.
	settleAfter = 5 * time.Minute
	// billHours is how far back sums are looked at: Redis has them for 72 hours.
	billHours = 73 * time.Hour
	// currency is that of all prices.
	currency = "USD"
)

// billing keeps the lines of what was used.
type billing struct {
	book *usage.Book
	stop chan struct{}
	done chan struct{}
}

// startBilling begins to keep lines, until Destruct.
func (b *bookkeeping) startBilling() *billing {
	bill := &billing{book: usage.NewBook(filepath.Join(b.dir, "billing.db"), ""), stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(bill.done)
		tick := time.NewTicker(billEvery)
		defer tick.Stop()
		for {
			select {
			case <-bill.stop:
				return
			case <-tick.C:
			}
			ctx, cancel := context.WithTimeout(context.Background(), billEvery)
			if err := b.bill(ctx); err != nil {
				b.logger.Load().Warn("the lines of usage are not up to date", zap.Error(err))
			}
			cancel()
		}
	}()
	return bill
}

func (b *billing) close() {
	close(b.stop)
	<-b.done
}

// bill brings the lines up to date.
func (b *bookkeeping) bill(ctx context.Context) error {
	opened, app := b.open.Load(), b.app.Load()
	if opened == nil || app == nil {
		return errNotOpen
	}
	now := opened.ledger.Now()
	sums, err := opened.hourly(now.Add(-billHours))
	if err != nil {
		return err
	}
	known := func(time.Time) bool { return true }
	id, err := metering.Identity(b.dir)
	if s := opened.shared.Load(); s != nil && err == nil {
		if id, err = s.mirror.Identity(ctx, b.dir); err != nil {
			return fmt.Errorf("reading the id of the ledger from Redis: %w", err)
		}
		others, err := s.mirror.Others(ctx, "")
		if err != nil {
			return fmt.Errorf("reading what other gateways used: %w", err)
		}
		if sums, err = app.addOthers(sums, others); err != nil {
			return err
		}
		seen, err := s.mirror.Seen(ctx)
		if err != nil {
			return fmt.Errorf("reading which gateways there are: %w", err)
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
		return err
	}
	opened.bill.book.SetLedger(id)
	prices := make(map[string]usage.Terms)
	for _, o := range app.organizations() {
		if o != nil {
			prices[o.ID] = priceOf(o)
		}
	}
	_, err = opened.bill.book.Update(sums, func(id string) (usage.Terms, bool) {
		t, ok := prices[id]
		return t, ok
	}, func(end time.Time) bool { return !now.Before(end.Add(settleAfter)) && known(end.Add(settleAfter)) })
	return err
}

// hourly are the sums of this machine's gateways since a time.
func (b *books) hourly(since time.Time) ([]usage.Sum, error) {
	all, err := b.ledger.Usage()
	if err != nil {
		return nil, err
	}
	var sums []usage.Sum
	for i := range all {
		u := &all[i]
		if u.Span != metering.Hourly || u.Start.Before(since) {
			continue
		}
		hour, period := u.Hour()
		sums = append(sums, sumOf(u.Subject, u.Instance, u.Region, u.Sums, hour, period))
	}
	return sums, nil
}

// addOthers adds the sums of other gateways.
func (a *App) addOthers(sums []usage.Sum, others []metering.Entry) ([]usage.Sum, error) {
	cycles := a.periods()
	for i := range others {
		e := &others[i]
		if e.Span != metering.Hourly {
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

func sumOf(s metering.Subject, instance, region string, n metering.Sums, hour, period metering.Period) usage.Sum {
	return usage.Sum{
		Key: usage.Key{
			Organization: s.Organization, Period: period.ID, Start: hour.Start, End: hour.End,
			Project: s.Project, Function: s.Function, Region: region,
		},
		Sources: []usage.Source{{
			Instance: instance, First: n.First, Invocations: int64(n.Invocations), Completed: int64(n.Completed), Voided: int64(n.Voided),
		}},
	}
}

// priceOf are the terms that an organization's invocations are billed by.
func priceOf(o *projects.Organization) usage.Terms {
	quota, hard := o.Allowance()
	t := usage.Terms{Included: max(-1, quota), Currency: currency}
	if o.Plan == nil {
		return t
	}
	t.Plan = o.Plan.Name
	if over := o.Plan.Overage; over != nil && !hard && quota >= 0 {
		t.Package, t.Minor = over.Package, minor(over.Price)
	}
	return t
}

// minor is a price in hundredths.
func minor(price string) int64 {
	whole, part, _ := strings.Cut(price, ".")
	n, _ := strconv.ParseInt(whole+(part + "00")[:2], 10, 64) // the configuration was checked
	return n
}
