package usage

import (
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// yearOrganization is one that pays, by its own cycle.
type yearOrganization struct {
	id    string
	cycle metering.Cycle
	terms Terms
}

// A year with three gateways, of which one is heard of late, with plans that change, and with what was not sent after all:
// what is billed is what was used, in every period, and a sink that was there all the time has the same.
func TestYear(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	free := Terms{Plan: "free", Included: 5000, Currency: "USD"}
	sold := Terms{Plan: "pro", Included: 20_000, Package: 1000, Minor: 200, Currency: "USD"}
	organizations := []yearOrganization{
		{"steady", metering.Cycle{}, sold},
		{"berlin", metering.Cycle{Anchor: time.Date(2026, 1, 31, 2, 30, 0, 0, berlin), Zone: berlin}, sold},
		{"grows", metering.Cycle{}, free}, // to pro in July
	}
	random := rand.New(rand.NewPCG(2026, 1))
	b := NewBook(filepath.Join(t.TempDir(), "billing.db"), "ledger")
	sink := &Files{Dir: filepath.Join(t.TempDir(), "out"), Format: JSONL}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	want := make(map[[2]string]int64) // by organization and period
	var late []Sum
	year := 365
	if testing.Short() {
		year = 60
	}
	for day := range year {
		today := start.AddDate(0, 0, day)
		if today.Equal(time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)) {
			organizations[2].terms = sold
		}
		var sums []Sum
		for _, o := range organizations {
			for range 12 {
				at := today.Add(time.Duration(random.Int64N(int64(24 * time.Hour))))
				period := o.cycle.At(at)
				hour := at.Truncate(time.Hour)
				end := hour.Add(time.Hour)
				if hour.Before(period.Start) {
					hour = period.Start
				}
				if end.After(period.End) {
					end = period.End
				}
				n := random.Int64N(200)
				gateway := []string{"one", "two", "slow"}[random.IntN(3)]
				s := Sum{
					Key: Key{
						Organization: o.id, Period: period.ID, Start: hour, End: end,
						Project: "p", Function: []string{"f", "g"}[random.IntN(2)], Region: at.Format("150405.000000"), // a line of its own
					},
					Sources: []Source{{Instance: gateway, First: uint64(day + 1), Invocations: n, Completed: n, Voided: random.Int64N(2)}},
				}
				want[[2]string{o.id, period.ID}] += n
				if gateway == "slow" {
					late = append(late, s)
				} else {
					sums = append(sums, s)
				}
			}
		}
		if day%9 == 0 || day == year-1 { // the slow one is heard of
			sums, late = append(sums, late...), nil
		}
		closed := today // the day before is over
		if day == year-1 {
			closed = today.AddDate(0, 0, 2)
		}
		_, err := b.Update(closed, sums, func(id string) (Terms, bool) {
			for _, o := range organizations {
				if o.id == id {
					return o.terms, true
				}
			}
			return Terms{}, false
		}, func(end time.Time) bool { return !end.After(closed) })
		if err != nil {
			t.Fatal(err)
		}
		if day%7 == 0 || day == year-1 {
			if _, err := b.Drain(t.Context(), sink); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, amounts := make(map[[2]string]int64), make(map[[2]string]int64)
	corrections := 0
	sunk := delivered(t, sink.Dir, JSONL)
	for l, err := range b.Lines(func(string, string) bool { return true }) {
		if err != nil {
			t.Fatal(err)
		}
		k := [2]string{l.AccountID, l.Period}
		if l.CumBefore != got[k] || l.State == Provisional || sunk[l.LineID] != l {
			t.Fatalf("after %d: %+v, the sink has %+v", got[k], l, sunk[l.LineID])
		}
		if l.State == Correction {
			corrections++
		}
		got[k] += l.Quantity
		amounts[k] += l.AmountMinor
		delete(sunk, l.LineID)
	}
	if len(sunk) > 0 || corrections == 0 {
		t.Errorf("the sink has %d lines more, %d are corrections", len(sunk), corrections)
	}
	for k, n := range want {
		if got[k] != n {
			t.Errorf("%v: %d are billed, %d were used", k, got[k], n)
		}
		switch paid := sold.Amount(n); {
		case k[0] != "grows" && amounts[k] != paid:
			t.Errorf("%v: %d cost %d, want %d", k, n, amounts[k], paid)
		case k[0] == "grows" && k[1] < "2026-07" && amounts[k] != 0:
			t.Errorf("%v: the free plan costs %d", k, amounts[k])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d periods are billed, %d were used", len(got), len(want))
	}
}
