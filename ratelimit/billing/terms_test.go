package billing

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/usage"
)

// capped is pays under a spend cap.
var capped = usage.Price{Plan: "team", Included: 3, Currency: "USD"}

// costs puts a price for acme into force and has the store learn of it.
func (f *fixture) costs(p usage.Price) {
	f.t.Helper()
	f.change(func(next *plan) { next.accounts = []Account{account("acme", soft, p)} })
	f.lines()
}

// until sets the clock to a time of the day.
func (f *fixture) until(hour, minute int) {
	f.t.Helper()
	at := time.Date(2026, 11, 18, hour, minute, 1, 0, time.UTC)
	if by := at.Sub(f.clock.now()); by > 0 {
		f.clock.forward(by)
		return
	}
	f.t.Fatalf("it is later than %s", at)
}

// table is the lines as text: when they start and end, their quantity, what is included, packages and amount.
func (f *fixture) table() string {
	var rows []string
	for _, l := range f.lines() {
		rows = append(rows, fmt.Sprintf("%s-%s %d/%d:%d=%d", l.WindowStart.Format("15:04"), l.WindowEnd.Format("15:04"), l.Quantity, l.Included, l.Packages, l.AmountMinor))
	}
	return strings.Join(rows, " ")
}

// Contract 7.9, with the worked examples of docs/billing.md. 3 invocations are included, 2 more are a package for 1.00.
func TestTermsWithinAnHour(t *testing.T) {
	raised, lowered, dear := pays, pays, pays
	raised.Included, lowered.Included, dear.Minor = 6, 1, 300
	for name, tt := range map[string]struct {
		begins usage.Price
		do     func(f *fixture)
		want   string
	}{
		// What runs while the cap is off is paid for; what ran under it is not, also later.
		"cap off and on": {capped, func(f *fixture) {
			f.call(5, called) // 2 of them unsold
			f.costs(pays)
			f.until(14, 40)
			f.call(4, called) // from 5 to 9: the package of 8 and 9
			f.costs(capped)
			f.until(14, 50)
			f.call(7, called)
		}, "14:00-14:32 5/3:0=0 14:32-14:42 4/3:2=200 14:42-15:00 7/3:0=0"},
		// What was sold before stays sold.
		"downgrade at x:59": {pays, func(f *fixture) {
			f.call(8, called)
			f.until(14, 59)
			f.costs(capped)
			f.until(15, 10)
			f.call(9, called)
		}, "14:00-15:00 8/3:3=300 15:01-16:00 9/3:0=0"},
		"quota raised and lowered": {pays, func(f *fixture) {
			f.call(4, called)
			f.costs(raised)
			f.until(14, 40)
			f.call(3, called) // from 4 to 7: one beyond 6
			f.costs(lowered)
			f.until(14, 50)
			f.call(3, called) // from 7 to 10: 6 beyond 1 were begun as 3 packages, 9 are 5
		}, "14:00-14:32 4/3:1=100 14:32-14:42 3/6:1=100 14:42-15:00 3/1:2=200"},
		"price changed": {pays, func(f *fixture) {
			f.call(6, called)
			f.costs(dear)
			f.until(14, 40)
			f.call(3, called)
		}, "14:00-14:32 6/3:2=200 14:32-15:00 3/3:1=300"},
		// Each lasts a minute.
		"two changes in a minute": {capped, func(f *fixture) {
			f.call(5, called)
			f.costs(pays)
			f.costs(capped)
			f.until(14, 32)
			f.call(2, called)
			f.until(14, 33)
			f.call(4, called)
		}, "14:00-14:32 5/3:0=0 14:32-14:33 2/3:1=100 14:33-15:00 4/3:0=0"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, account("acme", soft, tt.begins))
			f.lines()
			tt.do(f)
			if got := f.table(); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			want := f.lines()
			bill := f.bill(Query{})[0]
			var billed BillTerm
			for _, term := range bill.Terms {
				billed.Invocations += term.Invocations
				billed.Packages += term.Packages
				billed.AmountMinor += term.AmountMinor
			}
			if len(bill.Terms) < 2 || billed.Invocations != bill.Invocations || billed.Packages != bill.Packages || billed.AmountMinor != bill.AmountMinor {
				t.Errorf("%+v", bill)
			}
			// The same after a restart, from the checkpoint and from the records.
			f.end()
			again := reopen(t, f.dir, f.clock, account("acme", soft, f.plan.accounts[0].Price))
			if got := again.lines(); !slices.Equal(got, want) {
				t.Errorf("after a restart: %+v, want %+v", got, want)
			}
			answer, err := again.Reconcile(t.Context(), ReconcileQuery{})
			if err != nil || !answer.OK {
				t.Errorf("%+v, %v", answer, err)
			}
			for _, l := range want {
				proof, err := again.Proof(t.Context(), l.LineID)
				if err != nil || !proof.OK {
					t.Errorf("%+v, %v", proof, err)
				}
			}
		})
	}
}

// However often terms change, the lines of all hours are the price rule's over the terms.
func TestTermsAtRandom(t *testing.T) {
	prices := []usage.Price{pays, capped, pays, capped, {Plan: "team", Included: 9, Package: 2, Minor: 100, Currency: "USD"}, {Plan: "big", Included: 1, Package: 3, Minor: 250, Currency: "USD"}}
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 7))
		f := newFixture(t, account("acme", soft, prices[0]))
		f.lines()
		type use struct {
			at time.Time
			n  int
		}
		var used []use
		for range 25 {
			if r.IntN(3) == 0 {
				f.costs(prices[r.IntN(len(prices))])
			}
			f.clock.forward(time.Duration(r.IntN(12*60)) * time.Second)
			n := r.IntN(4)
			used = append(used, use{f.open.ledger.Now(), n})
			f.call(n, called)
		}
		terms := f.open.terms.All()["acme"]
		amount, unit := int64(0), int64(0)
		for _, u := range used {
			p, ok := terms.At(u.at)
			if !ok {
				p = prices[0]
			}
			for range u.n {
				unit++
				if beyond := unit - p.Included; p.Package > 0 && beyond > 0 && (beyond-1)%p.Package == 0 {
					amount += p.Minor
				}
			}
		}
		billed := int64(0)
		for _, l := range f.lines() {
			billed += l.AmountMinor
		}
		if billed != amount || len(terms) < 2 {
			t.Errorf("seed %d: the bill is %d, want %d: %+v, %s", seed, billed, amount, terms, f.table())
		}
		f.end()
	}
}
