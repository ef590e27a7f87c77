package billing

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// An hour is final five minutes after its end, at the price that held by then.
func TestHoursBecomeFinal(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.call(6, called)
	for _, step := range []struct {
		forward time.Duration
		want    usage.State
	}{
		{0, usage.Provisional},
		{34 * time.Minute, usage.Provisional},
		{2 * time.Minute, usage.Final},
	} {
		f.clock.forward(step.forward)
		lines := f.lines()
		if len(lines) != 1 || lines[0].State != step.want {
			t.Fatalf("at %s: %+v, want one that is %s", f.clock.now(), lines, step.want)
		}
	}
	l := f.lines()[0]
	if l.AccountID != "acme" || l.Quantity != 6 || l.OverageQuantity != 3 || l.Packages != 2 || l.AmountMinor != 200 || l.Plan != "team" {
		t.Errorf("%+v", l)
	}
	// What it costs later changes nothing.
	f.change(func(p *plan) {
		p.accounts = []Account{account("acme", soft, usage.Price{Plan: "other", Included: 0, Package: 1, Minor: 900, Currency: "EUR"})}
	})
	if again := f.lines(); len(again) != 1 || again[0] != l {
		t.Errorf("%+v, want %+v", again, l)
	}
}

// Whoever is not in the catalogue pays the default price, projects without an organization among them.
func TestDefaultPrice(t *testing.T) {
	f := newFixture(t, account("", soft, pays), account("acme", soft, pays))
	nobody, gone := called, called
	nobody.Subject.Organization, gone.Subject.Organization = "", "gone"
	f.call(9, nobody)
	f.call(9, gone)
	f.clock.forward(time.Hour)
	lines := f.lines()
	if len(lines) != 2 {
		t.Fatalf("%+v", lines)
	}
	for _, l := range lines {
		if l.AmountMinor != 0 || l.Included != -1 || l.Plan != "" || l.Quantity != 9 {
			t.Errorf("%+v", l)
		}
	}
}

// No hour becomes final before the plans are known, or it would cost nothing for ever.
func TestNothingIsBilledWithoutPlans(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.change(func(p *plan) { p.missing = true })
	if _, err := f.Update(t.Context()); !errors.Is(err, ErrNoPrices) {
		t.Error(err)
	}
	if f.updated.Load() {
		t.Error("exports would begin")
	}
}

// entry is a sum that another gateway has in the store.
func entry(span metering.Span, id string, n uint64) metering.Entry {
	return metering.Entry{Instance: "other", Span: span, ID: id, Subject: called.Subject, Region: "us", Origin: metering.Origin{Ledger: "shared", Form: metering.FormHour}, Sums: metering.Sums{Invocations: n, First: 1}}
}

// An hour is final when all gateways that share the store have sent what they counted in it.
func TestFinalWhenAllHaveSent(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	m := &mirror{
		sums: []metering.Entry{
			entry(metering.Monthly, "2026-11", 4), entry(metering.Hourly, "2026111814", 4),
			entry(metering.Monthly, "2026-10", 0), // nothing was used
		},
		seen: map[string]metering.Presence{"gone": {Left: true}, "dead": {Lost: true}, "other": {At: begins}},
	}
	f.with(m)
	f.call(2, called)
	f.clock.forward(time.Hour)
	totals, err := f.Update(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := totals.Billed("acme", "2026-11"); n != 6 {
		t.Errorf("%d are billed", n)
	}
	regions := totals.Regions()
	slices.Sort(regions)
	if !slices.Equal(regions, []string{"eu", "us"}) {
		t.Errorf("used were %v", regions)
	}
	states := func() (states []usage.State) {
		for _, l := range f.lines() {
			states = append(states, l.State)
			if want := map[string]string{"eu": f.Ledger().Origin().Ledger, "us": "shared"}[l.Region]; l.LedgerID != want {
				t.Errorf("the ledger is %s", l.LedgerID)
			}
		}
		return states
	}
	if got := states(); !slices.Equal(got, []usage.State{usage.Provisional, usage.Provisional}) {
		t.Errorf("while one has sent nothing: %v", got)
	}
	m.seen["other"] = metering.Presence{At: f.clock.now()}
	m.young = true
	if got := states(); !slices.Equal(got, []usage.State{usage.Provisional, usage.Provisional}) {
		t.Errorf("while the store was emptied a moment ago: %v", got)
	}
	if bill, err := f.Bill(t.Context(), Query{}); err != nil || len(bill.Organizations) != 1 || bill.Organizations[0].State != usage.Provisional {
		t.Errorf("the bill meanwhile: %+v, %v", bill, err)
	}
	m.young = false
	if got := states(); !slices.Equal(got, []usage.State{usage.Final, usage.Final}) {
		t.Errorf("when it has: %v", got)
	}
	for name := range map[string]bool{"PeerSums": true, "Peers": true} {
		failure := errors.New(name)
		m.fails = map[string]error{name: failure}
		if _, err := f.Update(t.Context()); !errors.Is(err, failure) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m.fails = nil
	m.sums = []metering.Entry{entry(metering.Hourly, "14 o'clock", 1)}
	if _, err := f.Update(t.Context()); err == nil {
		t.Error("an hour that is none was taken")
	}
}

// A period that an organization had under another cycle is found by its name.
func TestCyclesByName(t *testing.T) {
	anchored := metering.Cycle{Anchor: time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)}
	cycles := Cycles{"acme": anchored}
	for id, want := range map[string]metering.Cycle{"20261105+UTC": anchored, "2026-10": {}} {
		p, cycle, ok := cycles.Named("acme", id)
		if !ok || p.ID != id || !cycle.Equal(want) {
			t.Errorf("%s: %+v of %+v, %v", id, p, cycle, ok)
		}
	}
	if _, _, ok := cycles.Named("acme", "today"); ok {
		t.Error("today is a period")
	}
	if _, _, ok := cycles.Monthly(&metering.Entry{Span: metering.Hourly, Sums: metering.Sums{Invocations: 1}}); ok {
		t.Error("an hour is a month")
	}
}

// Line items are brought up to date by themselves, and it is logged while that fails.
func TestLinesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, account("acme", soft, pays))
		f.change(func(p *plan) { p.missing = true })
		time.Sleep(updateFirst + time.Second)
		synctest.Wait()
		if n := f.logs.count(`"level":"WARN"`, "updating line items failed"); n != 1 {
			t.Errorf("logged %d times", n)
		}
		f.change(func(p *plan) { p.missing = false })
		f.call(1, called)
		time.Sleep(updateEvery)
		synctest.Wait()
		if !f.updated.Load() {
			t.Error("not up to date")
		}
		f.end()
	})
}
