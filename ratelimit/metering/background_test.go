package metering

import (
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// testClock is a clock that stands still until it is moved.
type testClock struct{ micro atomic.Int64 }

func (c *testClock) now() time.Time          { return time.UnixMicro(c.micro.Load()) }
func (c *testClock) advance(d time.Duration) { c.micro.Add(d.Microseconds()) }

func openWithClock(t *testing.T, dir string) (*Ledger, *testClock) {
	t.Helper()
	c := new(testClock)
	c.micro.Store(now.UnixMicro())
	l, err := Open(Config{Dir: dir, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return l, c
}

// Who ends and does not come back leaves its log to another that runs.
func TestLedgerTakesOverWhileItRuns(t *testing.T) {
	dir := t.TempDir()
	l, c := openWithClock(t, dir)
	defer closeLedger(t, l)
	other := openLedger(t, dir)
	s, r := numbers(t, other, "acme", "eu")
	admit(t, other, s, r, now)
	look := func(after time.Duration) int {
		t.Helper()
		c.advance(after)
		if err := l.takeOver(); err != nil {
			t.Fatal(err)
		}
		return len(l.Orphans())
	}
	for range 2 {
		if look(time.Hour) != 0 {
			t.Error("it took the log of a process that runs")
		}
	}
	closeLedger(t, other)
	if look(0) != 0 || look(takeOverAfter-time.Second) != 0 {
		t.Error("it left no time for a restart")
	}
	again := openLedger(t, dir)
	if again.Instance() != other.Instance() || look(time.Second) != 0 {
		t.Error("a process that started again did not get its own")
	}
	closeLedger(t, again)
	if look(0) != 0 || look(takeOverAfter) != 1 || look(takeOverAfter) != 1 {
		t.Error("it did not take what was left")
	}
	if got := monthly(t, l, "acme").Invocations; got != 1 {
		t.Errorf("%d invocations", got)
	}
	if third := openLedger(t, dir); third.Instance() == other.Instance() {
		t.Error("two have the same log")
	} else {
		closeLedger(t, third)
	}
}

// What is let go without a record has one as soon as that can be made.
func TestLedgerRecordsLater(t *testing.T) {
	l, c := openWithClock(t, t.TempDir())
	defer closeLedger(t, l)
	s := Subject{Organization: "acme", Project: "p", Function: "f"}
	inTheWay := l.own.log.path(firstSegment + 1)
	if err := os.Mkdir(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	id, r := numbers(t, l, "acme", "eu")
	for range firstSegment {
		if _, err := l.Admit(Invocation{Subject: id, Region: r, At: now}); err != nil {
			t.Fatal(err)
		}
	}
	l.Defer(Deferral{Subject: s, Region: "eu", At: now}, 1)
	l.Defer(Deferral{Subject: s, Region: "us", At: now.Add(time.Second)}, 1)
	l.Defer(Deferral{Subject: s, Region: "us", At: now.Add(40 * 24 * time.Hour)}, 1)
	l.Defer(Deferral{Subject: s, Region: "us", At: now.Add(2 * time.Second)}, -1)
	if err := l.step(); err == nil || l.Deferred() != 2 {
		t.Errorf("%d wait, %v", l.Deferred(), err)
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	c.advance(time.Second) // it is tried once a second
	if err := l.step(); err != nil || l.Deferred() != 0 {
		t.Errorf("with room again %d wait, %v", l.Deferred(), err)
	}
	if got := monthly(t, l, "acme").Invocations; got != firstSegment+2 {
		t.Errorf("%d invocations", got)
	}
	if by, err := l.SpentBy("acme", (Cycle{}).At(now.Add(40*24*time.Hour))); err != nil || by[l.Instance()] != 1 {
		t.Errorf("%v of the later month, %v", by, err)
	}
	// What turns out not to have been sent is taken back, also of what is recorded by now.
	l.Defer(Deferral{Subject: s, Region: "eu", At: now}, -1)
	if err := l.step(); err != nil || l.Deferred() != 0 {
		t.Errorf("%d wait, %v", l.Deferred(), err)
	}
	if got := monthly(t, l, "acme"); got.Invocations != firstSegment+1 || got.Voided != 1 {
		t.Errorf("%+v", got)
	}
	c.advance(3 * time.Hour)
	if err := l.step(); err != nil || len(l.deferred) != 1 { // the other is of a month to come
		t.Errorf("%d are kept, %v", len(l.deferred), err)
	}
}

// What was refused is known by status, over restarts too.
func TestLedgerCountsRefused(t *testing.T) {
	dir := t.TempDir()
	l, c := openWithClock(t, dir)
	project := Subject{Organization: "acme", Project: "p"}
	for range 3 {
		l.Refused(project, 401)
	}
	l.Refused(project, 429)
	l.Refused(Subject{}, 404)
	count := func() map[int]uint64 {
		t.Helper()
		all, err := l.Refusals()
		if err != nil {
			t.Fatal(err)
		}
		n := make(map[int]uint64)
		for _, r := range all {
			if r.Organization != map[bool]string{false: "acme"}[r.Status == 404] {
				t.Errorf("%+v", r)
			}
			n[r.Status] += r.Requests
		}
		return n
	}
	c.advance(refusedEvery)
	if err := l.step(); err != nil {
		t.Fatal(err)
	}
	if n := count(); n[401] != 3 || n[429] != 1 || n[404] != 1 {
		t.Errorf("%v", n)
	}
	l.Refused(project, 429)
	closeLedger(t, l)
	l = openLedger(t, dir)
	defer closeLedger(t, l)
	if n := count(); n[401] != 3 || n[429] != 2 || n[404] != 1 {
		t.Errorf("after a restart %v", n)
	}
	if got := monthly(t, l, "acme"); got != (Sums{}) {
		t.Errorf("they are counted as %+v", got)
	}
}

// That the clock was set is written down.
func TestLedgerNotesClockSteps(t *testing.T) {
	l, _ := openWithClock(t, t.TempDir())
	defer closeLedger(t, l)
	l.mu.Lock()
	defer l.mu.Unlock()
	var steps []Record
	at := now
	for _, shows := range []time.Duration{time.Second, time.Second + clockStep - 1, time.Second - clockStep + 1, time.Hour, -time.Hour} {
		at = at.Add(shows)
		l.noteStep(at, time.Second)
	}
	if _, err := l.own.log.each(func(r *Record) { steps = append(steps, *r) }); err != nil {
		t.Fatal(err)
	}
	if len(steps) != 2 || steps[0].Flags != 0 || steps[0].Duration != time.Hour-time.Second || steps[1].Flags != FlagBack ||
		steps[1].Duration != time.Hour+time.Second || steps[1].Type != TypeClockStep {
		t.Errorf("%+v", steps)
	}
}
