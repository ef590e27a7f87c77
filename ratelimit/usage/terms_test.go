package usage

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// priced is a price that differs from others by what it includes.
func priced(n int64) Price {
	return Price{Plan: "pro", Included: n, Package: 10, Minor: 5, Currency: "USD"}
}

// included is what the terms include one after the other.
func (t Terms) included() (all []int64) {
	for _, term := range t {
		all = append(all, term.Price.Included)
	}
	return all
}

// What a change makes of terms.
func TestChange(t *testing.T) {
	at := time.Date(2026, 11, 18, 14, 30, 20, 0, time.UTC)
	known := func(prices ...int64) (t Terms) {
		for i, n := range prices {
			t = append(t, Term{Price: priced(n)})
			if i > 0 {
				t[i].From = at.Truncate(time.Hour).Add(time.Duration(i) * time.Minute)
			}
		}
		return t
	}
	for name, tt := range map[string]struct {
		terms   Terms
		was, is int64 // was 0: unknown
		want    []int64
	}{
		"the first":                              {nil, 1, 2, []int64{1, 2}},
		"none":                                   {nil, 1, 1, nil},
		"a new gateway":                          {nil, 0, 2, nil},
		"a new gateway with what is in force":    {known(1, 2), 0, 2, []int64{1, 2}},
		"a new gateway with what is over":        {known(1, 2), 0, 1, []int64{1, 2}},
		"a new gateway with something else":      {known(1, 2), 0, 3, []int64{1, 2, 3}},
		"another gateway was first":              {known(1, 2), 1, 2, []int64{1, 2}},
		"back":                                   {known(1, 2), 2, 1, []int64{1, 2, 1}},
		"a gateway behind learns what is over":   {known(1, 2, 3), 1, 2, []int64{1, 2, 3}},
		"a gateway behind has something else":    {known(1, 2, 3), 1, 4, []int64{1, 2, 3, 4}},
		"a gateway behind is with the others":    {known(1, 2, 3), 2, 3, []int64{1, 2, 3}},
		"off and on again, and a gateway behind": {known(1, 2, 1), 2, 1, []int64{1, 2, 1}},
	} {
		c := Change{Is: priced(tt.is), At: at}
		if tt.was != 0 {
			was := priced(tt.was)
			c.Was = &was
		}
		if got := tt.terms.Change(c); !slices.Equal(got.included(), tt.want) {
			t.Errorf("%s: %v, want %v", name, got.included(), tt.want)
		}
	}
	was := priced(1)
	for _, tt := range []struct {
		at    string
		hours bool
		want  string
	}{
		{"14:30:20", false, "14:32"},
		{"14:30:00", false, "14:31"},
		{"14:30:00.000001", false, "14:32"},
		{"14:58:30", false, "15:00"},
		{"14:58:30", true, "15:00"},
		{"14:59:30", true, "16:00"},
		{"14:10:00", true, "15:00"},
	} {
		now, err := time.Parse("2006-01-02 15:04:05", "2026-11-18 "+tt.at)
		if err != nil {
			t.Fatal(err)
		}
		terms := Terms(nil).Change(Change{Was: &was, Is: priced(2), At: now, WholeHours: tt.hours})
		if got := terms[1].From.Format("15:04"); got != tt.want {
			t.Errorf("a change at %s takes effect at %s, want %s", tt.at, got, tt.want)
		}
		// A second one at once is in force after the first.
		again := terms.Change(Change{Was: &terms[1].Price, Is: was, At: now, WholeHours: tt.hours})
		if !again[2].From.After(again[1].From) || len(again) != 3 {
			t.Errorf("%+v", again)
		}
		if p, ok := again.At(again[1].From); !ok || p != priced(2) {
			t.Errorf("%+v", p)
		}
		if next, ok := again.Next(again[1].From); !ok || !next.Equal(again[2].From) {
			t.Errorf("%s", next)
		}
	}
}

// Lists of several gateways are joined to the same, in whatever order and however often.
func TestJoin(t *testing.T) {
	start := time.Date(2026, 11, 18, 0, 0, 0, 0, time.UTC)
	list := rapid.Custom(func(t *rapid.T) (terms Terms) {
		for _, minute := range rapid.SliceOfDistinct(rapid.IntRange(0, 12), rapid.ID[int]).Draw(t, "minutes") {
			terms = append(terms, Term{From: start.Add(time.Duration(minute) * time.Minute), Price: priced(rapid.Int64Range(0, 3).Draw(t, "price"))})
		}
		slices.SortFunc(terms, func(a, b Term) int { return a.From.Compare(b.From) })
		return terms
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := list.Draw(t, "a"), list.Draw(t, "b"), list.Draw(t, "c")
		if !a.Join(b).Join(c).Equal(c.Join(a.Join(b))) || !a.Join(b).Equal(b.Join(a)) || !a.Join(a).Equal(a) {
			t.Fatalf("%v, %v, %v", a, b, c)
		}
	})
	long := make(Terms, 3*termsKept)
	for i := range long {
		long[i] = Term{From: start.Add(time.Duration(i) * time.Minute), Price: priced(int64(i))}
	}
	if got := long.Join(nil); len(got) != termsKept || got[len(got)-1] != long[len(long)-1] {
		t.Errorf("%d terms are kept", len(got))
	}
}

// Gateways that load the same configurations one after the other, each in its own time, with restarts, change the terms once for each
// of them.
func TestRollingReload(t *testing.T) {
	dir, n := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		lines := NewLineStore(filepath.Join(dir, fmt.Sprint(n)), "ledger")
		lines.noSync = true
		const last = 4
		gateways := rapid.IntRange(1, 3).Draw(t, "gateways")
		books, has := make([]*TermBook, gateways), make([]int64, gateways)
		at := time.Date(2026, 11, 18, 14, 30, 20, 0, time.UTC)
		sync := func(i int) {
			at = at.Add(time.Second)
			if err := books[i].Sync(t.Context(), SyncInput{Now: at, Prices: map[string]Price{"acme": priced(has[i])}}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range books {
			books[i] = NewTermBook(lines, fmt.Sprint("gateway", i))
			sync(i)
		}
		for {
			i := rapid.IntRange(0, gateways-1).Draw(t, "gateway")
			if rapid.IntRange(0, 3).Draw(t, "restart") == 0 {
				books[i] = NewTermBook(lines, fmt.Sprint("gateway", i))
			}
			if has[i] < last {
				has[i]++
			}
			sync(i)
			if slices.Min(has) == last {
				break
			}
		}
		for i := range books {
			sync(i)
			if got := books[i].All()["acme"].included(); !slices.IsSorted(got) || got[0] != 0 || got[len(got)-1] != last || len(slices.Compact(slices.Clone(got))) != len(got) {
				t.Fatalf("gateway %d: %v", i, got)
			}
		}
	})
}
