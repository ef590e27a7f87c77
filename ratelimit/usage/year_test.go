//go:build !race

// The race detector makes a year several times slower, and has nothing to find: the step go-test runs it by itself.

package usage_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// payer is an organization that pays, by its own cycle.
type payer struct {
	id    string
	cycle metering.Cycle
	price usage.Price
}

// year is a simulated one.
type year struct {
	*rig
	payers []payer
	used   map[[2]string]int64 // by organization and period
	late   []usage.Sum
}

// day lets a day pass, in which everybody uses something in some hours. What the slow gateway counted is known later.
func (y *year) day(today time.Time) (sums []usage.Sum) {
	for _, o := range y.payers {
		for range 12 {
			at := today.Add(time.Duration(y.random.Int64N(int64(24 * time.Hour))))
			period := o.cycle.At(at)
			n := y.random.Int64N(200)
			gateway := []string{"one", "two", "slow"}[y.random.IntN(3)]
			s := usage.Sum{
				Key: usage.Key{
					Organization: o.id, Period: period.ID, Start: at.Truncate(time.Hour), End: at.Truncate(time.Hour).Add(time.Hour),
					Project: "p", Function: []string{"f", "g"}[y.random.IntN(2)], Region: at.Format("150405.000000"), // a line of its own
				},
				Sources: []usage.Source{{Instance: gateway, First: 1, Invocations: n, Completed: n, Voided: y.random.Int64N(2)}},
			}
			if y.random.IntN(20) == 0 { // somebody adjusts
				s.Sources[0].Added, s.Sources[0].Deducted = y.random.Int64N(50), y.random.Int64N(20)
			}
			y.used[[2]string{o.id, period.ID}] += n + s.Sources[0].Added - s.Sources[0].Deducted
			if gateway == "slow" {
				y.late = append(y.late, s)
			} else {
				sums = append(sums, s)
			}
		}
	}
	return sums
}

// close brings the lines up to date, when all that ended before a time is known.
func (y *year) close(at time.Time, sums []usage.Sum) {
	y.t.Helper()
	_, err := y.store.Update(usage.UpdateInput{
		Now:  at,
		Sums: sums,
		Price: func(id string) (usage.Price, bool) {
			for _, o := range y.payers {
				if o.id == id {
					return o.price, true
				}
			}
			return usage.Price{}, false
		},
		Complete: func(end time.Time) bool { return !end.After(at) },
	})
	if err != nil {
		y.t.Fatal(err)
	}
}

// A year with three gateways, of which one is heard of late, with plans that change, with adjustments, and with what was not sent after all: what is
// billed is what was used, in every period, and all sinks have the same.
func TestYear(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	free := usage.Price{Plan: "free", Included: 5000, Currency: "USD"}
	sold := usage.Price{Plan: "pro", Included: 20_000, Package: 1000, Minor: 200, Currency: "USD"}
	y := &year{rig: newRig(t, 2026), used: make(map[[2]string]int64), payers: []payer{
		{"acme", metering.Cycle{}, sold},
		{"globex", metering.Cycle{Anchor: time.Date(2026, 1, 31, 2, 0, 0, 0, berlin), Zone: berlin}, sold},
		{"grows", metering.Cycle{}, free}, // to pro in July
	}}
	sinks, files := servers(t, same, 1000), &usage.Files{Dir: filepath.Join(t.TempDir(), "out"), Format: usage.JSONL}
	start, days := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), 365
	if testing.Short() {
		days = 60
	}
	for day := range days {
		today := start.AddDate(0, 0, day)
		if today.Equal(time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)) {
			y.payers[2].price = sold
		}
		sums, closed, last := y.day(today), today, day == days-1 // the day before is over
		if day%9 == 0 || last {                                  // the slow one is heard of
			sums, y.late = append(sums, y.late...), nil
		}
		if last {
			closed = today.AddDate(0, 0, 2)
		}
		y.close(closed, sums)
		if day%7 != 0 && !last {
			continue
		}
		if _, err := y.store.Drain(t.Context(), files); err != nil {
			t.Fatal(err)
		}
		for _, s := range sinks {
			s.faults.Set(closed.Add(time.Minute))
			if _, err := y.outbox(s).Run(t.Context(), s.service); err != nil {
				t.Fatal(err)
			}
		}
	}
	y.check(sold, files)
	for _, s := range sinks {
		y.counted(s)
	}
}

// check compares the bills with what was used, and the files with the bills.
func (y *year) check(sold usage.Price, files *usage.Files) {
	y.t.Helper()
	written := written(y.t, files)
	got, amounts, corrections := make(map[[2]string]int64), make(map[[2]string]int64), 0
	for l, err := range y.store.Lines(func(string, string) bool { return true }) {
		if err != nil {
			y.t.Fatal(err)
		}
		k := [2]string{l.AccountID, l.Period}
		if l.CumBefore != got[k] || l.State == usage.Provisional || written[l.LineID] != l {
			y.t.Fatalf("after %d: %+v, the files have %+v", got[k], l, written[l.LineID])
		}
		if l.State == usage.Correction {
			corrections++
		}
		got[k] += l.Quantity
		amounts[k] += l.AmountMinor
		delete(written, l.LineID)
	}
	if len(written) > 0 || corrections == 0 || len(got) != len(y.used) {
		y.t.Errorf("the files have %d lines more, %d are corrections, %d periods of %d", len(written), corrections, len(got), len(y.used))
	}
	for k, n := range y.used {
		paid := sold.Amount(n)
		if k[0] == "grows" && k[1] < "2026-07" {
			paid = 0
		}
		if got[k] != n || amounts[k] != paid {
			y.t.Errorf("%v: %d are billed for %d, %d were used for %d", k, got[k], amounts[k], n, paid)
		}
	}
}

// counted sees that a service has what is billed.
func (y *year) counted(s *sink) {
	y.t.Helper()
	stripe := s.name == "stripe" || s.name == "stripehour"
	for _, o := range y.payers {
		if stripe && o.id == "grows" {
			continue // it is no customer of Stripe
		}
		if got, want := s.has(o.id), y.billed(o.id, stripe); got != want {
			y.t.Errorf("%s counted %d of %s, billed is %d", s.name, got, o.id, want)
		}
	}
	err := y.outbox(s).Compare(y.t.Context(), s.service, func(o, _ string) bool { return !stripe || o != "grows" }, func(item *usage.Item, told int64, _ bool) {
		if told != item.Value {
			y.t.Errorf("%s: %+v, told %d", s.name, item, told)
		}
	})
	if err != nil {
		y.t.Error(err)
	}
}
