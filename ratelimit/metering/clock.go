package metering

import "time"

// Now returns the time of the billing clock: the machine's time plus the offset of
// Redis' clock, which a [Mirror] measures. It never goes back, not even over
// restarts.
func (l *Ledger) Now() time.Time {
	now := l.config.Now().UnixMicro() + l.ahead.Load()
	for {
		latest := l.latest.Load()
		if now <= latest {
			return time.UnixMicro(latest)
		}
		if l.latest.CompareAndSwap(latest, now) {
			return time.UnixMicro(now)
		}
	}
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
		At:       l.Now(),
		Duration: step.Abs(),
	})
}
