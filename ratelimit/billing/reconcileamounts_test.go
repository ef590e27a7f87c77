package billing

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// priced is a service with a price for what is over.
type priced struct{ service }

func (*priced) PricedMeter() string { return "over" }

func (*priced) Items(lines []usage.Line) (items []usage.Item) {
	for _, l := range lines {
		items = append(items, usage.Item{ID: l.LineID, Meter: "over", Account: l.AccountID, Start: l.WindowStart, End: l.WindowEnd, Value: l.OverageQuantity})
	}
	return items
}

var _ usage.PricedSource = (*priced)(nil)

// amounts is the level that compares money.
func (f *fixture) amounts(s *priced) ReconcileLevel {
	f.t.Helper()
	f.sinks(s)
	answer, err := f.Reconcile(f.t.Context(), ReconcileQuery{Against: "meters"})
	if err != nil {
		f.t.Fatal(err)
	}
	i := slices.IndexFunc(answer.Levels, func(l ReconcileLevel) bool {
		return strings.HasPrefix(l.What, "amounts of bills and of meter, in units of the last decimal of USD")
	})
	if i < 0 {
		f.t.Fatalf("%+v", answer.Levels)
	}
	return answer.Levels[i]
}

// Contract 7.4: what a service charges is compared with the bill, in money, by organization and period.
func TestReconcileAmounts(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	s := &priced{service{sink: sink{name: "meter"}}}
	f.final(6)
	s.verdict = usage.Verdict{Held: "no customer"}
	f.export(s)
	if l := f.amounts(s); l.Expected != 200 || l.Found != 0 || !l.Explained {
		t.Errorf("not sent yet: %+v", l)
	}
	s.verdict = usage.Verdict{}
	f.export(s)
	if l := f.amounts(s); l.Expected != 200 || l.Found != 200 || l.Difference != 0 || l.Explained {
		t.Errorf("%+v", l)
	}
	f.call(3, called) // provisional: the service knows nothing of it
	if l := f.amounts(s); l.Expected != 200 || l.Difference != 0 {
		t.Errorf("%+v", l)
	}
	s.got[0].Delta += 2 // somebody else told it
	if l := f.amounts(s); l.Difference != 100 || l.First != "organization acme, 2026-11: 200, found 300" || l.Explained {
		t.Errorf("%+v", l)
	}
	s.stranger = "acme"
	if l := f.amounts(s); l.Expected != 0 || l.Difference != 0 {
		t.Errorf("%+v", l)
	}
	s.sumErr = errors.New("away")
	if _, err := f.Reconcile(t.Context(), ReconcileQuery{Against: "meters"}); !errors.Is(err, s.sumErr) {
		t.Error(err)
	}
}

// A service that charges for what is not sold is found, and several prices are no price.
func TestReconcileAmountsOfTerms(t *testing.T) {
	f := newFixture(t, account("acme", soft, capped))
	s := &priced{service{sink: sink{name: "meter"}}}
	f.final(6)
	f.export(s)
	// A build that counted what is not sold told it.
	s.got = []usage.Message{{Item: usage.Item{Meter: "over", Account: "acme", Start: begins.Truncate(time.Hour), End: begins.Truncate(time.Hour).Add(time.Hour)}, Delta: 3}}
	if l := f.amounts(s); l.Expected != 0 || l.Difference == 0 {
		t.Errorf("%+v", l)
	}
	s.got = nil
	dear := pays
	dear.Minor = 700
	for _, p := range []usage.Price{pays, dear} {
		f.costs(p)
		f.clock.forward(time.Hour)
		f.final(4)
	}
	f.export(s)
	if l := f.amounts(s); !strings.HasSuffix(l.What, ", without those with several prices: acme in 2026-11") || l.Difference != 0 {
		t.Errorf("%+v", l)
	}
}

// The sum that a service has of an hour in which the cycle changed is of two periods: neither bill is compared.
func TestReconcileAmountsOfASharedHour(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	s := &priced{service{sink: sink{name: "meter"}}}
	f.call(6, called)
	moved := called
	moved.Subject.Cycle = metering.Cycle{Anchor: time.Date(2026, 9, 20, 0, 0, 0, 0, time.UTC)}
	f.change(func(p *plan) {
		p.accounts = []Account{account("acme", quota.Allowance{Quota: -1, Cycle: moved.Subject.Cycle}, pays)}
	})
	f.call(2, moved)
	f.clock.forward(2 * time.Hour)
	f.lines()
	f.export(s)
	l := f.amounts(s)
	if !strings.HasSuffix(l.What, ", without those that share an hour with another period: acme in 2026-11, acme in 20261020+UTC") || l.Difference != 0 {
		t.Errorf("%+v", l)
	}
	for _, month := range []time.Month{time.October, time.November} { // a period each
		answer, err := f.Reconcile(t.Context(), ReconcileQuery{
			Query:   Query{Month: time.Date(2026, month, 1, 0, 0, 0, 0, time.UTC)},
			Against: "meters",
		})
		if err != nil || !answer.OK {
			t.Errorf("%s: %+v, %v", month, answer, err)
		}
	}
}
