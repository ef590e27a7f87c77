package billing

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/usage"
)

// checkAgainst returns an UnknownError if no exporter can be asked for what the system
// of the query has.
func (q *ReconcileQuery) checkAgainst(sinks []usage.Sink) error {
	if q.Against == "" {
		return nil
	}
	var systems []string
	for _, sink := range sinks {
		if s, ok := sink.(usage.SumSource); ok {
			systems = append(systems, s.System())
		}
	}
	if slices.Contains(systems, q.Against) {
		return nil
	}
	return &UnknownError{
		What:    "against",
		Name:    q.Against,
		Problem: "no exporter can be asked what it has",
		Known:   systems,
	}
}

// exporters compares the line items with what was delivered to services, and that with
// what the services say they have, if the query asks for it.
func (c *reconciliation) exporters(ctx context.Context, sinks []usage.Sink) error {
	// Nothing is sent meanwhile: what is compared stays, and services have one user.
	c.opened.exports.mu.Lock()
	defer c.opened.exports.mu.Unlock()
	for _, sink := range sinks {
		service, ok := sink.(usage.Service)
		if !ok {
			continue
		}
		delivered, err := c.delivered(ctx, service)
		if err != nil {
			return err
		}
		if s, ok := sink.(usage.SumSource); ok && c.query.Against == s.System() {
			onTheWay := c.levels[len(c.levels)-1].Explained
			if err := c.neighbours(ctx, service, delivered); err != nil {
				return fmt.Errorf("exporter %s: %w", s.Name(), err)
			}
			if err := c.sums(ctx, s, delivered); err != nil {
				return err
			}
			if priced, ok := sink.(usage.PricedSource); ok && priced.PricedMeter() != "" {
				if err := c.amounts(ctx, priced, onTheWay); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// delivery is the value that was delivered to a service of an organization, on one of
// the service's meters, and the time from the first to the last item.
type delivery struct {
	value      int64
	start, end time.Time
}

// delivered compares the line items with what was delivered to a service, and returns
// that by organization and, as the Function of the key, meter.
func (c *reconciliation) delivered(ctx context.Context, s usage.Service) (map[TotalKey]*delivery, error) {
	expected, found, explained := make(Totals), make(Totals), true
	all := make(map[TotalKey]*delivery)
	want := func(organization, id string) bool { return c.askedByID(organization, id) }
	outbox, err := c.opened.exports.outbox(s)
	if err != nil {
		return nil, err
	}
	err = outbox.Compare(ctx, s, want, func(item *usage.Item, told int64, pending bool) {
		k := TotalKey{Organization: item.Account, Function: item.Meter}
		expected[k] += item.Value
		found[k] += told
		explained = explained && (told == item.Value || pending)
		if all[k] == nil {
			all[k] = &delivery{start: item.Start}
		}
		of := all[k]
		of.value += told
		if item.Start.Before(of.start) {
			of.start = item.Start
		}
		if item.End.After(of.end) {
			of.end = item.End
		}
	})
	if err != nil {
		return nil, fmt.Errorf("exporter %s: %w", s.Name(), err)
	}
	c.compare("R4", "lines of bills and what "+s.Name()+" was told", expected, found)
	last := &c.levels[len(c.levels)-1]
	last.Explained = explained && last.Difference != 0
	return all, nil
}

// neighbours adds what was delivered of periods that the query does not ask for, in the
// time of those that it asks for: where the cycle of an organization changed, two periods
// share an hour, and the sum of a service does not tell them apart.
func (c *reconciliation) neighbours(ctx context.Context, s usage.Service, all map[TotalKey]*delivery) error {
	outbox, err := c.opened.exports.outbox(s)
	if err != nil {
		return err
	}
	want := func(organization, id string) bool {
		p, _, known := c.cycles.Named(organization, id)
		if !known || c.askedByID(organization, id) {
			return false
		}
		end := p.End.AddDate(0, 0, 3) // the id may give a period too early an end, before its own lines
		for k, of := range all {
			if k.Organization == organization && p.Start.Before(of.end) && of.start.Before(end) {
				return true
			}
		}
		return false
	}
	return outbox.Compare(ctx, s, want, func(item *usage.Item, told int64, _ bool) {
		of := all[TotalKey{Organization: item.Account, Function: item.Meter}]
		if of != nil && !item.Start.Before(of.start) && item.Start.Before(of.end) {
			of.value += told
		}
	})
}

// sums compares what was delivered to a service with what it says it has.
func (c *reconciliation) sums(ctx context.Context, s usage.SumSource, delivered map[TotalKey]*delivery) error {
	expected, found := make(Totals), make(Totals)
	var strangers []string
	for k, of := range delivered {
		has, known, err := s.Sum(ctx, usage.SumQuery{
			Meter:        k.Function,
			Organization: k.Organization,
			Start:        of.start,
			End:          of.end,
		})
		if err != nil {
			return fmt.Errorf("exporter %s: %w", s.Name(), err)
		}
		if !known {
			strangers = append(strangers, k.Organization)
			continue
		}
		expected[k], found[k] = of.value, has
	}
	what := "what " + s.Name() + " was told and what it has"
	if len(strangers) > 0 { // an organization is there once for each of its meters
		slices.Sort(strangers)
		what += ", without " + strings.Join(slices.Compact(strangers), ", ")
	}
	c.compare("R4", what, expected, found)
	return nil
}

// owed is what an organization pays for a period, by its final lines.
type owed struct {
	amount     int64
	price      usage.Price // of lines that sell; its plan and what it includes do not matter
	several    bool        // prices
	shared     bool        // an hour is in another period, too
	start, end time.Time   // of the hours
}

// amounts compares the amounts of bills with what a service charges for the sums that it
// has, by currency. Two kinds of bills cannot be compared. Prices changed within the
// period: a service has one for all of it. Two periods of an organization share an hour,
// since its cycle changed: the sum of a service does not tell them apart.
func (c *reconciliation) amounts(ctx context.Context, s usage.PricedSource, onTheWay bool) error {
	bills, err := c.owed()
	if err != nil {
		return err
	}
	expected, found := make(map[string]Totals), make(map[string]Totals)
	several, shared := make(map[string][]string), make(map[string][]string)
	for k, of := range bills {
		currency := of.price.Currency
		if expected[currency] == nil {
			expected[currency], found[currency] = make(Totals), make(Totals)
		}
		name := k.Organization + " in " + k.Period
		if of.several {
			several[currency] = append(several[currency], name)
			continue
		}
		if of.shared {
			shared[currency] = append(shared[currency], name)
			continue
		}
		has, known, err := s.Sum(ctx, usage.SumQuery{
			Meter:        s.PricedMeter(),
			Organization: k.Organization,
			Start:        of.start,
			End:          of.end,
		})
		if err != nil {
			return fmt.Errorf("exporter %s: %w", s.Name(), err)
		}
		if !known {
			continue
		}
		price := of.price
		if price.Package == 0 { // what the service charges then is not known here; that it does is
			price.Package, price.Minor = 1, 1
		}
		expected[currency][k], found[currency][k] = of.amount, price.Charged(has)
	}
	for _, currency := range slices.Sorted(maps.Keys(expected)) {
		what := fmt.Sprintf("amounts of bills and of %s, in units of the last decimal of %s", s.Name(), currency)
		what += without("with several prices", several[currency]) + without("that share an hour with another period", shared[currency])
		c.compare("R4", what, expected[currency], found[currency])
		last := &c.levels[len(c.levels)-1]
		last.Explained = onTheWay && last.Difference != 0
	}
	return nil
}

// without names the bills that are not compared, and why.
func without(those string, bills []string) string {
	if len(bills) == 0 {
		return ""
	}
	slices.Sort(bills)
	return ", without those " + those + ": " + strings.Join(bills, ", ")
}

// owed returns what is owed by organization and period. Lines that are provisional are
// left out: no exporter was told of them. The periods that the query does not ask for are
// read, too: they may share an hour with one that it asks for.
func (c *reconciliation) owed() (map[TotalKey]*owed, error) {
	bills := make(map[TotalKey]*owed)
	of := func(organization, _ string) bool {
		return c.query.Organization == "" || c.query.Organization == organization
	}
	for charge, err := range c.opened.lines.Charges(of) {
		if err != nil {
			return nil, err
		}
		if charge.State == usage.Provisional || charge.AccountID == "" {
			continue
		}
		k := TotalKey{Organization: charge.AccountID, Period: charge.Period}
		of := bills[k]
		if of == nil {
			of = &owed{start: charge.WindowStart.Truncate(time.Hour)}
			if of.start.Before(charge.Billed.Start) {
				of.start = charge.Billed.Start
			}
			bills[k] = of
		}
		of.amount = usage.AddAmounts(of.amount, charge.AmountMinor)
		of.end = charge.WindowStart.Truncate(time.Hour).Add(time.Hour)
		// The id may give a period too early an end, before its own lines.
		if end := charge.Billed.End; of.end.After(end) && charge.WindowStart.Before(end) {
			of.end = end
		}
		price := usage.Price{Package: charge.Package, Minor: charge.Minor, Currency: charge.Currency}
		switch {
		case price.Package > 0 && of.price.Package > 0:
			of.several = of.several || price != of.price
		case price.Package > 0, of.price.Currency == "":
			of.price = price
		}
	}
	for k, of := range bills {
		for other, o := range bills {
			if other.Organization == k.Organization && other.Period != k.Period && of.start.Before(o.end) && o.start.Before(of.end) {
				of.shared = true
			}
		}
	}
	maps.DeleteFunc(bills, func(k TotalKey, _ *owed) bool { return !c.askedByID(k.Organization, k.Period) })
	return bills, nil
}
