package usage

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// adjusted is what people adjusted by one gateway in one hour of November.
func adjusted(instance, function string, hour int, added, deducted int64) Sum {
	s := used(instance, function, hour, 0)
	s.Sources[0].Added, s.Sources[0].Deducted = added, deducted
	return s
}

// What people adjust is billed; of an hour that is final it makes a correction, and the amounts follow.
func TestBookAdjusts(t *testing.T) {
	b := newStore(t)
	b.over = 2
	b.update(used("one", "f", 0, 2_000_005), used("one", "f", 1, 10))
	if lines := b.lines(); lines[0].AmountMinor != 200 || lines[0].Revision != 1 {
		t.Errorf("%+v", lines)
	}
	b.update(adjusted("two", "f", 0, 0, 20))
	lines := b.lines()
	if len(lines) != 2 || lines[0].Quantity != 1_999_985 || lines[0].AmountMinor != 0 || lines[0].State != Correction || lines[0].Revision != 2 ||
		lines[0].QuantityOrphan != 0 || lines[0].QuantityVoid != 0 || lines[0].SourceInstances != "one two" || lines[1].State != Correction || lines[1].CumAfter != 1_999_995 {
		t.Errorf("%+v", lines)
	}
	// What is not heard of any more is not undone, and what comes late does not undo what came before.
	for _, sums := range [][]Sum{{used("two", "f", 0, 0)}, {adjusted("two", "f", 0, 0, 19)}, {used("one", "f", 0, 2_000_005)}} {
		if n := b.update(sums...); n != 0 {
			t.Errorf("%+v changed %d lines", sums, n)
		}
	}
	called := used("two", "f", 0, 7)
	b.update(called)
	if l := b.lines()[0]; l.Quantity != 1_999_992 {
		t.Errorf("%+v", l)
	}
	// More is deducted than was called: what other hours have makes up for it.
	b.update(adjusted("two", "g", 1, 3, 1000))
	lines = b.lines()
	if l := lines[2]; l.Quantity != -997 || l.CumAfter != 1_999_005 || l.State != Final || l.Revision != 1 {
		t.Errorf("%+v", l)
	}
}

func TestBookFinds(t *testing.T) {
	b := newStore(t)
	if _, found, err := b.Find("x"); found || err != nil {
		t.Errorf("in an empty store: %v", err)
	}
	b.update(used("one", "f", 0, 1), used("two", "f", 0, 2), used("one", "g", 3, 4))
	for _, want := range b.lines() {
		l, found, err := b.Find(want.LineID)
		if err != nil || !found || l.Line != want || len(l.Sources) != map[string]int{"f": 2, "g": 1}[l.FunctionID] {
			t.Errorf("%+v, %v", l, err)
		}
	}
	if _, found, err := b.Find("00000000000000000000000000000000"); found || err != nil {
		t.Errorf("an id of no line: %v", err)
	}
}

// Days are those of the period's time zone, and have what was called.
func TestBookDays(t *testing.T) {
	b := newStore(t)
	all := func(string, string) bool { return true }
	if days, err := b.Days(all); len(days) != 0 || err != nil {
		t.Errorf("%+v, %v", days, err)
	}
	berlin := used("one", "f", -1, 100) // midnight there
	berlin.Organization, berlin.Period = "berlin", "20261101+Europe/Berlin"
	next := berlin
	next.Start, next.End = month.Add(23*time.Hour), month.Add(24*time.Hour)
	b.update(used("one", "f", 0, 1), used("two", "f", 0, 2), used("one", "g", 23, 4), used("one", "f", 24, 8), adjusted("one", "h", 0, 50, 0), berlin, next)
	want := []Day{
		{"acme", "2026-11", "2026-11-01", 7},
		{"acme", "2026-11", "2026-11-02", 8},
		{"berlin", "20261101+Europe/Berlin", "2026-11-01", 100},
		{"berlin", "20261101+Europe/Berlin", "2026-11-02", 100},
	}
	days, err := b.Days(all)
	if err != nil || len(days) != len(want) {
		t.Fatalf("%+v, %v", days, err)
	}
	for _, d := range want {
		if !slices.Contains(days, d) {
			t.Errorf("%+v is missing in %+v", d, days)
		}
	}
}

// In whatever order adjustments and invocations come to be known, also where what was known is said again, the bill is the
// same in the end.
func TestBookAdjustsInAnyOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 2))
		b := newStore(t)
		b.price = Price{Plan: "small", Included: 100, Package: 10, Minor: 7, Currency: "USD"}
		var history []Sum // each says all that its gateway has
		latest, want := make(map[[2]int]Source), int64(0)
		for range 80 {
			k := [2]int{random.IntN(3), random.IntN(24)}
			s := used(string(rune('a'+k[0])), "f", k[1], 0)
			n := latest[k]
			called, added, deducted := random.Int64N(30), random.Int64N(2)*random.Int64N(9), random.Int64N(2)*random.Int64N(9)
			n.Invocations += called
			n.Completed += called
			n.Added += added
			n.Deducted += deducted
			want += called + added - deducted
			n.Instance, n.First = s.Sources[0].Instance, s.Sources[0].First
			latest[k], s.Sources[0] = n, n
			history = append(history, s)
			b.over = min(24, b.over+random.IntN(2))
			b.update(s, history[random.IntN(len(history))])
			b.lines()
		}
		b.over = 24
		b.update()
		total := int64(0)
		for _, l := range b.lines() {
			total += l.Quantity
		}
		if total != want {
			t.Errorf("seed %d: %d are billed, want %d", seed, total, want)
		}
	}
}
