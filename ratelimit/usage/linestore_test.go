package usage

import (
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"
)

var month = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// used is the sum of one gateway in one hour of November.
func used(instance, function string, hour int, n int64) Sum {
	start := month.Add(time.Duration(hour) * time.Hour)
	return Sum{
		Key: Key{
			Organization: "acme", Period: "2026-11", Start: start, End: start.Add(time.Hour), Project: "p", Function: function, Region: "eu",
		},
		Sources: []Source{{Instance: instance, First: uint64(hour + 1), Invocations: n, Completed: n}},
	}
}

type storeTest struct {
	*LineStore
	t     *testing.T
	price Price
	over  int // hours that are
}

func newStore(t *testing.T) *storeTest {
	t.Helper()
	b := &storeTest{LineStore: NewLineStore(filepath.Join(t.TempDir(), "billing.db"), "ledger"), t: t, price: pro()}
	b.noSync = true // the machine does not end meanwhile
	return b
}

func (b *storeTest) update(sums ...Sum) (changed int) {
	b.t.Helper()
	changed, err := b.Update(UpdateInput{
		Now:   month.Add(time.Duration(b.over) * time.Hour),
		Sums:  sums,
		Price: func(string) (Price, bool) { return b.price, true },
		Complete: func(end time.Time) bool {
			return !end.After(month.Add(time.Duration(b.over) * time.Hour))
		},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return changed
}

// lines returns all lines and checks that they are a bill: each goes on where the one before ended.
func (b *storeTest) lines() (all []Line) {
	b.t.Helper()
	cumulated, amount, ids := int64(0), int64(0), make(map[string]bool)
	for l, err := range b.Lines(func(string, string) bool { return true }) {
		if err != nil {
			b.t.Fatal(err)
		}
		if l.CumBefore != cumulated || l.CumAfter != cumulated+l.Quantity || ids[l.LineID] || !l.Intact() {
			b.t.Errorf("after %d: %+v", cumulated, l)
		}
		cumulated, ids[l.LineID] = l.CumAfter, true
		amount += l.AmountMinor
		all = append(all, l)
	}
	if want := b.price.Amount(cumulated); amount != want {
		b.t.Errorf("the lines cost %d, %d invocations cost %d", amount, cumulated, want)
	}
	return all
}

func TestBookClosesHours(t *testing.T) {
	b := newStore(t)
	if n := len(b.lines()); n != 0 {
		t.Errorf("an empty line store has %d lines", n)
	}
	b.update(used("one", "f", 0, 1_900_000), used("two", "f", 0, 50_000), used("one", "g", 0, 100_000))
	lines := b.lines()
	if len(lines) != 2 || lines[0].State != Provisional || lines[0].Revision != 0 || lines[0].Quantity != 1_950_000 ||
		lines[0].SourceInstances != "one two" || lines[1].OverageQuantity != 50_000 || lines[1].Packages != 1 || lines[1].AmountMinor != 200 {
		t.Errorf("%+v", lines)
	}
	id := lines[0].LineID
	b.over = 1
	if n := b.update(); n != 2 {
		t.Errorf("%d lines became final", n)
	}
	if n := b.update(used("one", "f", 0, 1_900_000)); n != 0 {
		t.Errorf("%d lines changed by what was known", n)
	}
	// The plan changes: hours that are over cost what they cost.
	b.price.Minor = 300
	b.update(used("one", "f", 1, 900_000))
	lines = nil
	for l, err := range b.Lines(func(organization, period string) bool { return organization == "acme" && period == "2026-11" }) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	if len(lines) != 3 || lines[0].State != Final || lines[0].Revision != 1 || lines[0].LineID != id || lines[1].AmountMinor != 200 || lines[2].State != Provisional {
		t.Errorf("%+v", lines)
	}
	b.price.Minor = 200
	// Something comes late: a correction, also of what was counted after it.
	b.update(used("three", "a", 0, 7))
	lines = b.lines()
	if len(lines) != 4 || lines[0].Revision != 1 || lines[0].State != Final || lines[1].Revision != 2 || lines[1].State != Correction || lines[1].CumBefore != 7 || lines[3].Revision != 0 {
		t.Errorf("%+v", lines)
	}
	for range b.Lines(func(organization, _ string) bool { return organization == "other" }) {
		t.Error("a line of nobody")
	}
}

// A gateway that is not heard of for a while, or was set back, has not used less.
func TestBookOnlyGrows(t *testing.T) {
	b := newStore(t)
	b.over = 1
	b.update(used("one", "f", 0, 10), used("two", "f", 0, 5))
	for _, sums := range [][]Sum{{used("one", "f", 0, 10)}, {used("two", "f", 0, 3)}, {used("two", "f", 0, 0)}, {}} {
		if n := b.update(sums...); n != 0 {
			t.Errorf("%+v changed %d lines", sums, n)
		}
	}
	// What turned out not to have been sent is taken back.
	void := used("two", "f", 0, 4)
	void.Sources[0].Voided = 1
	b.update(void)
	if lines := b.lines(); len(lines) != 1 || lines[0].Quantity != 14 || lines[0].QuantityVoid != 1 || lines[0].State != Correction {
		t.Errorf("%+v", lines)
	}
}

// In whatever order things come to be known, the bill is the same in the end.
func TestBookInAnyOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		b := newStore(t)
		b.price = Price{Plan: "small", Included: 100, Package: 10, Minor: 7, Currency: "USD"}
		counts, want := make(map[[3]int]int64), int64(0)
		for range 60 {
			var sums []Sum
			for range random.IntN(5) {
				k := [3]int{random.IntN(3), random.IntN(3), random.IntN(24)}
				n := random.Int64N(30)
				counts[k] += n
				want += n
				sums = append(sums, used(string(rune('a'+k[0])), string(rune('f'+k[1])), k[2], counts[k]))
			}
			b.over = min(24, b.over+random.IntN(2))
			b.update(sums...)
			b.lines()
		}
		b.over = 24
		b.update()
		total := int64(0)
		for _, l := range b.lines() {
			total += l.Quantity
			if l.State == Provisional {
				t.Errorf("%+v", l)
			}
		}
		if total != want {
			t.Errorf("seed %d: %d are billed, %d were used", seed, total, want)
		}
	}
}
