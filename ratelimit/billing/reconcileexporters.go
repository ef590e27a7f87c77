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
	start, end time.Time   // of the hours
}

// amounts compares the amounts of bills with what a service charges for the sums that it
// has, by currency. Prices that changed within a period cannot be compared: a service
// has one for all of a period.
func (c *reconciliation) amounts(ctx context.Context, s usage.PricedSource, onTheWay bool) error {
	bills, err := c.owed()
	if err != nil {
		return err
	}
	expected, found, skipped := make(map[string]Totals), make(map[string]Totals), make(map[string][]string)
	for k, of := range bills {
		currency := of.price.Currency
		if expected[currency] == nil {
			expected[currency], found[currency] = make(Totals), make(Totals)
		}
		if of.several {
			skipped[currency] = append(skipped[currency], k.Organization+" in "+k.Period)
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
		if several := skipped[currency]; len(several) > 0 {
			slices.Sort(several)
			what += ", without those with several prices: " + strings.Join(several, ", ")
		}
		c.compare("R4", what, expected[currency], found[currency])
		last := &c.levels[len(c.levels)-1]
		last.Explained = onTheWay && last.Difference != 0
	}
	return nil
}

// owed returns what is owed by organization and period. Lines that are provisional are
// left out: no exporter was told of them.
func (c *reconciliation) owed() (map[TotalKey]*owed, error) {
	bills := make(map[TotalKey]*owed)
	for charge, err := range c.opened.lines.Charges(c.askedByID) {
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
		if !charge.Billed.End.IsZero() && of.end.After(charge.Billed.End) {
			of.end = charge.Billed.End
		}
		price := usage.Price{Package: charge.Package, Minor: charge.Minor, Currency: charge.Currency}
		switch {
		case price.Package > 0 && of.price.Package > 0:
			of.several = of.several || price != of.price
		case price.Package > 0, of.price.Currency == "":
			of.price = price
		}
	}
	return bills, nil
}
