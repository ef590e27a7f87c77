package metering

import (
	"testing"
	"time"
)

// Refused requests that are billed are usage in RegionNone, and no quota's: live, after a restart from the checkpoint, and when all
// records are read again.
func TestRefusedBilled(t *testing.T) {
	dir := t.TempDir()
	l := openLedger(t, dir)
	id, region := numbers(t, l, "acme", "us-east-1")
	admit(t, l, id, region, l.Now())
	const refused = 100_000
	subject := Subject{Organization: "acme", Project: "p", Function: "f"}
	for range refused {
		l.RefusedBilled(subject)
	}
	if n := l.refusals.counts.Size(); n != 1 {
		t.Errorf("%d counts in memory", n)
	}
	check := func(when string, l *Ledger) {
		t.Helper()
		usage, err := l.Usage()
		if err != nil {
			t.Fatal(err)
		}
		var none, all uint64
		for _, u := range usage {
			if u.Span != Monthly {
				continue
			}
			all += u.Invocations
			if u.Region == RegionNone {
				none += u.Invocations
				if u.Completed != u.Invocations {
					t.Errorf("%s: %+v", when, u)
				}
			}
		}
		if none != refused || all != refused+1 {
			t.Errorf("%s: %d of %d in no region", when, none, all)
		}
		by, err := l.SpentBy("acme", Cycle{}.At(l.Now()))
		if err != nil {
			t.Fatal(err)
		}
		if n := by[l.Instance()]; n != 1 {
			t.Errorf("%s: a quota has %d units spent", when, n)
		}
	}
	l.mu.Lock()
	l.recordRefused(time.Now(), true)
	l.mu.Unlock()
	check("live", l)
	last := l.Position().Last
	closeLedger(t, l)
	if last > 3 {
		t.Errorf("%d records", last)
	}
	again := openLedger(t, dir)
	defer closeLedger(t, again)
	check("after a restart", again)
	recounts, err := again.Recount(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recounts {
		if r.Damage != nil || len(r.Read) != len(r.Kept) {
			t.Errorf("%+v", r)
		}
	}
}
