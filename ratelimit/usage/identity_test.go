package usage

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// counted is used under an origin, in another billing period if one is named.
func counted(s Sum, origin metering.Origin, period string) Sum {
	s.Origin = origin
	if period != "" {
		s.Period = period
	}
	return s
}

var newForm = metering.Origin{Ledger: "ledger", Form: metering.FormPeriod}

// A line keeps the id and the digest that it had before ids had periods: what sinks were told stays what it is.
func TestOldLinesStayAsTheyAre(t *testing.T) {
	b := newStore(t)
	b.over = 1
	for _, s := range []Sum{used("one", "f", 0, 1_999_999), counted(used("one", "f", 0, 1_999_999), metering.Origin{Ledger: "ledger", Form: metering.FormHour}, "")} {
		b.update(s)
		lines := b.lines()
		if len(lines) != 1 {
			t.Fatalf("%+v", lines)
		}
		l := lines[0]
		if l.Schema != "edgegate.usage.v1" || l.LineID != "7ade4cea76acb707ed1e4676e5efce75" || !l.PeriodStart.IsZero() ||
			l.SHA256 != "80a6e856795ae34da94437fd6244d87d27c73383ea76b6bdada0bb9d5d1eaad9" {
			t.Errorf("%+v", l)
		}
	}
}

// One hour of one function is several lines, each with an id of its own, where periods, ledgers or forms of ids differ; all
// of them are found and survive every format.
func TestLinesOfOneHour(t *testing.T) {
	b := newStore(t)
	b.over = 1
	hour, other := used("one", "f", 0, 5), metering.Origin{Ledger: "joined", Form: metering.FormPeriod}
	b.update(
		counted(hour, metering.Origin{}, ""), counted(hour, newForm, ""), counted(hour, other, ""), counted(hour, metering.Origin{Ledger: "joined", Form: metering.FormHour}, ""),
		counted(hour, newForm, "20261015+Europe/Paris"), counted(hour, newForm, "20261015+Europe/Berlin"),
	)
	var lines []Line
	ids := make(map[string]bool)
	for l, err := range b.Lines(func(string, string) bool { return true }) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	for _, l := range lines {
		found, ok, err := b.Find(l.LineID)
		if err != nil || !ok || found.Line != l || found.Key.Origin.Ledger != l.LedgerID || found.Key.Period != l.Period || b.LineID(found.Key) != l.LineID {
			t.Errorf("%+v: %+v, %v", l, found, err)
		}
		if ids[l.LineID] || !l.Intact() || l.Quantity != 5 || (l.Schema == Schema) == l.PeriodStart.IsZero() {
			t.Errorf("%+v", l)
		}
		ids[l.LineID] = true
	}
	if len(lines) != 6 {
		t.Fatalf("%d lines", len(lines))
	}
	if n := b.update(counted(hour, newForm, ""), counted(hour, other, "")); n != 0 {
		t.Errorf("%d lines changed by what was known", n)
	}
	for _, format := range lineFormats {
		path := filepath.Join(t.TempDir(), "lines")
		var out bytes.Buffer
		if _, err := Write(&out, Format(format), sequence(lines, nil)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		var read []Line
		err := Read(path, Format(format), func(l *Line) error {
			read = append(read, *l)
			return nil
		})
		if err != nil || !slices.Equal(read, lines) {
			t.Errorf("%s: %+v, %v", format, read, err)
		}
	}
	tampered := lines[0]
	if tampered.PeriodStart = month; tampered.Intact() {
		t.Error("a column that its schema does not have was added to a line")
	}
}

// said is what a log said of one hour when it had so many records.
func said(asOf uint64, n int64) Sum {
	s := used("one", "f", 0, n)
	s.Sources[0].AsOf = asOf
	return s
}

// What a log says later replaces what it said before, also if it is less: a number that was wrong becomes a correction. What
// it said earlier does not, but for the log itself, which is the truth.
func TestLaterWordsCount(t *testing.T) {
	b := newStore(t)
	b.over = 1
	own := said(3, 4)
	own.Sources[0].Own = true
	for i, step := range []struct {
		sum      Sum
		want     int64
		revision int64
	}{
		{used("one", "f", 0, 2), 2, 1}, // as an older build stored it
		{said(10, 10), 10, 2},
		{said(11, 10), 10, 2}, // nothing new
		{said(12, 500), 500, 3},
		{said(12, 10), 10, 4}, // it was set right
		{said(11, 9), 10, 4},  // an old copy
		{used("one", "f", 0, 9), 10, 4},
		{own, 4, 5},
	} {
		b.update(step.sum)
		lines := b.lines()
		if len(lines) != 1 || lines[0].Quantity != step.want || lines[0].Revision != step.revision || lines[0].State == Correction != (step.revision > 1) {
			t.Errorf("step %d: %+v", i, lines)
		}
	}
	nothing := said(13, 0)
	nothing.Sources[0].Completed = 0
	b.update(nothing)
	if lines := b.lines(); len(lines) != 1 || lines[0].Quantity != 0 {
		t.Errorf("a sum that there never was: %+v", lines)
	}
}

// The ledger that old lines are of is written down with them: no other id makes them other lines.
func TestOldLinesKeepTheirLedger(t *testing.T) {
	b := newStore(t)
	b.update(used("one", "f", 0, 5))
	want := b.lines()
	joined := &storeTest{LineStore: NewLineStore(b.path, "joined"), t: t, price: b.price}
	if lines := joined.lines(); !slices.Equal(lines, want) {
		t.Errorf("%+v, want %+v", lines, want)
	}
	joined.update(used("one", "f", 0, 6), counted(used("one", "f", 0, 1), metering.Origin{Ledger: "joined", Form: metering.FormPeriod}, ""))
	if lines := joined.lines(); len(lines) != 2 || lines[0].LineID != want[0].LineID || lines[0].Quantity != 6 || lines[1].LedgerID != "joined" {
		t.Errorf("%+v", lines)
	}
}
