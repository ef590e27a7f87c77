package usage

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// ledger is a line store of several organizations for some months in which all happens: plans with a price and without, any number included,
// nobody to bill, periods that begin at any time, names of any letters, and what comes late, also after the bill.
type ledger struct {
	*LineStore
	t      *testing.T
	random *rand.Rand
	now    time.Time
	payers []focusPayer
	used   map[Key]int64
	late   map[Key]int64       // of which it is not heard yet
	heard  []Sum               // since the last update
	closed map[string]*big.Rat // bills, as they were when they first were final
}

type focusPayer struct {
	id    string
	cycle metering.Cycle
	price Price
	known bool
}

func newLedger(t *testing.T, seed uint64) *ledger {
	t.Helper()
	zone := func(name string) *time.Location {
		z, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	berlin, kolkata := zone("Europe/Berlin"), zone("Asia/Kolkata")
	l := &ledger{
		LineStore: NewLineStore(filepath.Join(t.TempDir(), "billing.db"), "ledger"), t: t, random: rand.New(rand.NewPCG(seed, 4)),
		now: time.Date(2026, 2, 20, 0, 0, 0, 0, time.UTC), used: make(map[Key]int64), late: make(map[Key]int64), closed: make(map[string]*big.Rat),
		payers: []focusPayer{
			{"acme", metering.Cycle{}, Price{Plan: "pro", Included: 200, Package: 100, Minor: 205, Currency: "USD"}, true},
			{"last, \"Inc.\"", metering.Cycle{Anchor: time.Date(2026, 1, 31, 2, 30, 0, 0, berlin), Zone: berlin}, Price{Plan: "any, \"all\"", Package: 7, Minor: 1, Currency: "EUR"}, true},
			{"half", metering.Cycle{Zone: kolkata}, Price{Plan: "single", Included: 3, Package: 1, Minor: 100, Currency: "USD"}, true},
			{"free", metering.Cycle{}, Price{Plan: "free", Included: 50, Currency: "USD"}, true},
			{"without", metering.Cycle{}, Price{Included: -1, Currency: "USD"}, true},
			{"unknown", metering.Cycle{}, Price{Included: -1, Currency: "USD"}, false},
			{"", metering.Cycle{}, Price{Included: -1, Currency: "USD"}, true}, // projects of no organization
		},
	}
	l.noSync = true
	l.SetPeriods(func(organization, id string) (metering.Period, metering.Cycle, bool) {
		cycle := l.payer(organization).cycle
		p, ok := cycle.Named(id)
		return p, cycle, ok
	})
	return l
}

func (l *ledger) payer(id string) *focusPayer {
	return &l.payers[slices.IndexFunc(l.payers, func(p focusPayer) bool { return p.id == id })]
}

// pass lets half a day pass.
func (l *ledger) pass() {
	l.t.Helper()
	for range 25 {
		p := &l.payers[l.random.IntN(len(l.payers))]
		at := l.now.Add(time.Duration(l.random.Int64N(int64(12 * time.Hour))))
		period := p.cycle.At(at)
		hour := at.Truncate(time.Hour)
		k := Key{
			Organization: p.id, Period: period.ID, Start: hour, End: hour.Add(time.Hour), Project: p.id + "-project",
			Function: []string{"f", "a,\"b\"\n", " ü; =1+1"}[l.random.IntN(3)], Region: []string{"eu", "us-east-1"}[l.random.IntN(2)],
		}
		if k.Start.Before(period.Start) {
			k.Start = period.Start
		}
		if k.End.After(period.End) {
			k.End = period.End
		}
		n := l.random.Int64N(60)
		if l.random.IntN(12) == 0 {
			l.late[k] += n
		} else {
			l.hear(k, n)
		}
	}
	l.now = l.now.Add(12 * time.Hour)
	if l.now.Day() == 10 {
		l.payers[0].price.Minor++ // the price goes up
	}
	for k, n := range l.late {
		if l.random.IntN(30) == 0 {
			l.hear(k, n)
			delete(l.late, k)
		}
	}
	l.update()
}

func (l *ledger) hear(k Key, n int64) {
	l.used[k] += n
	l.heard = append(l.heard, Sum{Key: k, Sources: []Source{{Instance: "one", First: 1, Invocations: l.used[k], Completed: l.used[k]}}})
}

func (l *ledger) update() {
	l.t.Helper()
	_, err := l.Update(UpdateInput{
		Now:  l.now,
		Sums: l.heard,
		Price: func(id string) (Price, bool) {
			p := l.payer(id)
			return p.price, p.known
		},
		Complete: func(end time.Time) bool { return !end.After(l.now) },
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.heard = nil
	if l.now.Day() > 2 && l.now.Day() < 28 {
		return // no period ends
	}
	for id, amount := range l.bills(func(c *Charge) bool { return !c.Billed.End.After(l.now) }) {
		if l.closed[id] == nil {
			l.closed[id] = amount
		}
	}
}

// bills are the amounts of invoices, by their ids.
func (l *ledger) bills(of func(*Charge) bool) map[string]*big.Rat {
	l.t.Helper()
	bills := make(map[string]*big.Rat)
	for c, err := range l.Charges(func(organization, _ string) bool { return organization != "" }) {
		if err != nil {
			l.t.Fatal(err)
		}
		if id := c.AccountID + "/" + c.Period; of(&c) {
			if bills[id] == nil {
				bills[id] = new(big.Rat)
			}
			bills[id].Add(bills[id], big.NewRat(c.AmountMinor, 100))
		}
	}
	return bills
}

func (l *ledger) export(o FOCUSOptions) focusFile {
	l.t.Helper()
	var out bytes.Buffer
	if _, err := WriteFOCUS(&out, o, l.Charges(func(string, string) bool { return true })); err != nil {
		l.t.Fatal(err)
	}
	return readFOCUS(l.t, out.Bytes())
}

func (l *ledger) clean(f focusFile, version string, bills map[string]*big.Rat) {
	l.t.Helper()
	for rule, example := range f.broken(version, bills) {
		l.t.Errorf("FOCUS %s: %s: %s", version, rule, example)
	}
}
