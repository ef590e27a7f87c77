package metering

import (
	"context"
	"time"
)

// reading is what the shared clock said at a reading of Elapsed.
type reading struct {
	micro   int64 // Unix microseconds
	elapsed time.Duration
}

// clockWait is how long a ledger with a shared clock waits for its first reading.
const clockWait = 3 * time.Second

// ClockSource says which clock the billing clock follows.
type ClockSource string

// The sources of the billing clock.
const (
	ClockPending ClockSource = "pending" // the shared clock has not been read yet
	ClockShared  ClockSource = "shared"  // that of Redis
	ClockKept    ClockSource = "kept"    // that of Redis, by what was known of it when this ledger was open before
	ClockMachine ClockSource = "machine" // the machine's
)

// Now returns the time of the billing clock. With a [Mirror] that is Redis' clock,
// which goes on by Elapsed between its readings: at whatever time the machine's clock
// is set, before or meanwhile. Without one it is the machine's clock. It never goes
// back, not even over restarts. Before AwaitClock returns it may be wrong; then it is
// for display only.
func (l *Ledger) Now() time.Time {
	settled := l.ClockSource() != ClockPending // first: a time that was read before is not kept
	at := l.clockNow().UnixMicro()
	for {
		latest := l.latest.Load()
		if at <= latest {
			return time.UnixMicro(latest)
		}
		if !settled || l.latest.CompareAndSwap(latest, at) {
			return time.UnixMicro(at)
		}
	}
}

// recordTime returns the time for a record of something that happens now: the billing
// clock's, or while that is not known the latest that was. A record with the machine's
// time could put the billing clock forward when the log is opened again.
func (l *Ledger) recordTime() time.Time {
	if l.ClockSource() == ClockPending {
		return time.UnixMicro(l.latest.Load())
	}
	return l.Now()
}

// clockNow returns the time of the clock that the billing clock follows, which may go
// back.
func (l *Ledger) clockNow() time.Time {
	if r := l.followed.Load(); r != nil {
		return time.UnixMicro(r.micro + (l.Elapsed() - r.elapsed).Microseconds())
	}
	return l.config.Now()
}

// ClockSource returns which clock the billing clock follows.
func (l *Ledger) ClockSource() ClockSource { return *l.source.Load() }

// AwaitClock returns when the billing clock is known: at once, or with a shared clock
// after its first reading. If there is none within three seconds, the clock is what was
// known of it when this ledger was open before, or else the machine's. The error is
// that of ctx.
func (l *Ledger) AwaitClock(ctx context.Context) error {
	if l.ClockSource() != ClockPending {
		return nil
	}
	select {
	case <-l.clockKnown:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// followClock has the billing clock follow a reading; nil stands for the machine's
// clock.
func (l *Ledger) followClock(r *reading, source ClockSource) {
	l.clocks.Lock()
	defer l.clocks.Unlock()
	l.setClock(r, source)
}

// UseMachineClock has the billing clock follow the machine's: there is no shared clock
// any more. Closing a [Mirror] does not do that. What is recorded while the process
// ends, or until another Mirror follows, goes by the last reading.
func (l *Ledger) UseMachineClock() { l.followClock(nil, ClockMachine) }

// setClock is followClock for a caller that holds clocks.
func (l *Ledger) setClock(r *reading, source ClockSource) {
	l.followed.Store(r)
	if *l.source.Swap(&source) == ClockPending {
		close(l.clockKnown)
	}
}

// assumeClock ends the wait for the shared clock, with what was kept of it.
func (l *Ledger) assumeClock() {
	r, source := l.assumed()
	l.clocks.Lock()
	defer l.clocks.Unlock()
	if l.ClockSource() == ClockPending {
		l.setClock(r, source)
	}
}

// assumed returns what the shared clock says now by what was kept of it, nil if
// nothing was.
func (l *Ledger) assumed() (*reading, ClockSource) {
	kept, ok := l.own.checkpoint.clock()
	if !ok {
		return nil, ClockMachine
	}
	r := &reading{micro: l.config.Now().UnixMicro() + kept.shared - kept.machine, elapsed: l.Elapsed()}
	if boot, up := RunClock(); boot != "" && boot == kept.boot { // whatever became of the machine's clock
		r.micro = kept.shared + (up - kept.up).Microseconds()
	}
	return r, ClockKept
}

// keptClock is a reading of the shared clock, for the process after this one.
type keptClock struct {
	shared, machine int64         // Unix microseconds
	boot            string        // the run of the machine, as in RunClock
	up              time.Duration // for how long it ran
}

// keepClock keeps a reading of the shared clock.
func (l *Ledger) keepClock(r reading) error {
	k := keptClock{shared: r.micro + (l.Elapsed() - r.elapsed).Microseconds(), machine: l.config.Now().UnixMicro()}
	k.boot, k.up = RunClock()
	return l.own.checkpoint.keepClock(k)
}

// Elapsed returns a reading of a clock that nobody sets. Two of its readings tell how
// much time passed between them in this process.
func (l *Ledger) Elapsed() time.Duration { return l.config.Elapsed() }

// Numbers returns the first of the numbers that this process counts its messages
// with: above those of all processes that had the same log before, and not below the
// time in microseconds.
func (l *Ledger) Numbers() uint64 { return l.numbers }

// clockStep is the smallest step of the machine's clock that is recorded.
const clockStep = 5 * time.Second

// noteStep records that the machine's clock was set if it differs from the last
// call's time plus the time that passed on the monotonic clock. The caller holds
// mu.
func (l *Ledger) noteStep(now time.Time, passed time.Duration) {
	before := l.clock
	l.clock = now
	if before.IsZero() {
		return
	}
	step := now.Round(0).Sub(before.Round(0)) - passed
	if step.Abs() < clockStep {
		return
	}
	flags := uint8(0)
	if step < 0 {
		flags = FlagBack
	}
	// If it fails, the disk is full, which invocations notice by themselves.
	_ = l.own.log.append(&Record{
		Type:     TypeClockStep,
		Flags:    flags,
		At:       l.recordTime(),
		Duration: step.Abs(),
	})
}
