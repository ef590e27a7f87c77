package metering

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

func TestOffsets(t *testing.T) {
	const ms = time.Millisecond
	var o offsets
	for i, step := range []struct{ latest, want offset }{
		{offset{10 * ms, 8 * ms}, offset{10 * ms, 8 * ms}},
		{offset{13 * ms, 2 * ms}, offset{13 * ms, 2 * ms}},
		{offset{40 * ms, 60 * ms}, offset{13 * ms, 2 * ms}},      // a slow answer says little
		{offset{-900 * ms, 60 * ms}, offset{13 * ms, 2 * ms}},    // one answer may be wrong
		{offset{40 * ms, 60 * ms}, offset{13 * ms, 2 * ms}},      // and was
		{offset{5000 * ms, 60 * ms}, offset{13 * ms, 2 * ms}},    // the clock was set,
		{offset{9000 * ms, 60 * ms}, offset{13 * ms, 2 * ms}},    // once more,
		{offset{9000 * ms, 50 * ms}, offset{9000 * ms, 50 * ms}}, // and stays so
		{offset{5000 * ms, 60 * ms}, offset{9000 * ms, 50 * ms}},
		{offset{5010 * ms, 60 * ms}, offset{5010 * ms, 60 * ms}},
		{offset{5030 * ms, 40 * ms}, offset{5030 * ms, 40 * ms}},
	} {
		if got := o.add(step.latest); got != step.want {
			t.Errorf("%d: %v, want %v", i, got, step.want)
		}
	}
	for range 3 * offsetSamples { // what was known best a minute ago may have drifted away
		o.add(offset{5030 * ms, 50 * ms})
	}
	if got := o.add(offset{5030 * ms, 50 * ms}); got.within != 50*ms {
		t.Errorf("%v", got)
	}
}

// setClock is a machine whose time of day can be set; elapsed goes on.
type setClock struct {
	ahead atomic.Int64
	began time.Time
}

func (c *setClock) now() time.Time { return c.began.Add(c.elapsed() + time.Duration(c.ahead.Load())) }

func (c *setClock) elapsed() time.Duration { return time.Since(c.began) }

func openShared(t *testing.T, dir string, c *setClock) *Ledger {
	t.Helper()
	l, err := Open(Config{
		Dir:         dir,
		Now:         c.now,
		Elapsed:     c.elapsed,
		SharedClock: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// near reports whether a time is that of Redis.
func near(at time.Time, redis time.Duration) bool {
	return (time.Until(at) - redis).Abs() < time.Second
}

// With Redis the billing clock is that of Redis at any offset. Nothing is admitted before it was read; how the machine's
// clock is set, then or later, does not matter, and a clock of Redis that is set back stands still.
func TestBillingClockIsThatOfRedis(t *testing.T) {
	for _, redisAhead := range []time.Duration{0, 10 * time.Second, -10 * time.Minute, time.Hour} {
		redis := &hashes{t: t, ahead: redisAhead}
		c := &setClock{began: time.Now()}
		c.ahead.Store(int64(10 * time.Minute))
		l := openShared(t, t.TempDir(), c)
		waits, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if err := l.AwaitClock(waits); err == nil || l.ClockSource() != ClockPending {
			t.Errorf("nothing was read, and the clock is known: %v", err)
		}
		cancel()
		l.Now()                                // is for display: the clock does not stay there
		redis.breakWith(errors.New("LOADING")) // until the mirror reads nothing by itself any more
		m := quietMirror(t, l, redis.open())
		if !m.now().IsZero() {
			t.Errorf("others are told %s before the clock was read", m.now())
		}
		redis.breakWith(nil)
		if err := m.followClock(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := l.AwaitClock(t.Context()); err != nil || l.ClockSource() != ClockShared {
			t.Errorf("%v, %s", err, l.ClockSource())
		}
		for _, ahead := range []time.Duration{10 * time.Minute, -10 * time.Minute, 30 * 24 * time.Hour, 0} {
			if c.ahead.Store(int64(ahead)); !near(l.Now(), redisAhead) || !near(m.now(), redisAhead) {
				t.Errorf("a machine that is %s ahead, Redis %s: %s", ahead, redisAhead, time.Until(l.Now()))
			}
		}
		before := l.Now()
		redis.ahead -= time.Minute
		for range 2 { // one answer is not believed
			if err := m.followClock(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if now := l.Now(); now.Before(before) || now.Sub(before) > time.Second || !near(m.now(), redis.ahead) {
			t.Errorf("Redis was set back: %s after %s", now, before)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		closeLedger(t, l)
	}
}

// Without an answer the clock is what was known of Redis' before, and only on a new ledger the machine's.
func TestBillingClockWithoutRedis(t *testing.T) {
	dir := t.TempDir()
	c := &setClock{began: time.Now()}
	first := openShared(t, dir, c)
	first.assumeClock()
	if !near(first.Now(), 0) || first.ClockSource() != ClockMachine {
		t.Errorf("a new ledger: %s, %s", first.Now(), first.ClockSource())
	}
	m := quietMirror(t, first, (&hashes{t: t, ahead: time.Hour}).open())
	if err := m.followClock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeLedger(t, first)
	for _, boot := range []string{"", "another run"} { // "": the same one
		second := openShared(t, dir, c)
		if boot != "" {
			kept, ok := second.own.checkpoint.clock()
			kept.boot = boot
			if !ok || second.own.checkpoint.keepClock(kept) != nil {
				t.Fatalf("nothing is kept: %+v", kept)
			}
		} else {
			c.ahead.Store(int64(-time.Hour)) // the machine's clock was set meanwhile
		}
		second.assumeClock()
		if !near(second.Now(), time.Hour) || second.ClockSource() != ClockKept {
			t.Errorf("%q: %s, %s", boot, time.Until(second.Now()), second.ClockSource())
		}
		second.assumeClock() // once
		closeLedger(t, second)
		c.ahead.Store(0)
	}
}

// What a log records while the shared clock is not known, and what is found dead in it, has no time that the billing clock
// goes on from when the log is opened again: the machine's clock may be ahead.
func TestRecordsDoNotPutTheClockForward(t *testing.T) {
	dir := t.TempDir()
	c := &setClock{began: time.Now()}
	c.ahead.Store(int64(10 * time.Minute))
	first := openShared(t, dir, c)
	first.Refused(Subject{Organization: "acme", Project: "p", Function: "f"}, 429)
	first.RefusedBilled(Subject{Organization: "acme", Project: "p", Function: "f"})
	first.mu.Lock()
	first.noteStep(c.now(), 0)
	first.noteStep(c.now().Add(time.Hour), 0)
	err := first.own.log.append(&Record{Type: TypeDead, At: c.now()})
	first.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	closeLedger(t, first) // the refusals are recorded now
	for range 2 {         // the second time after what is recorded when the mirror is closed already
		l := openShared(t, dir, c)
		m := quietMirror(t, l, (&hashes{t: t}).open())
		if err := m.followClock(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !near(l.Now(), 0) {
			t.Errorf("the billing clock is ahead by %s", time.Until(l.Now()))
		}
		if err := m.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !near(l.Now(), 0) {
			t.Errorf("without the mirror the billing clock is ahead by %s", time.Until(l.Now()))
		}
		l.Refused(Subject{Organization: "acme", Project: "p", Function: "f"}, 429)
		closeLedger(t, l)
	}
	l := openShared(t, dir, c)
	l.UseMachineClock() // there is no Redis any more
	if !near(l.Now(), 10*time.Minute) || l.ClockSource() != ClockMachine {
		t.Errorf("the billing clock is ahead by %s", time.Until(l.Now()))
	}
	closeLedger(t, l)
}
