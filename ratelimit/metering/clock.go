package metering

import "time"

// Now is the billing clock: that of the machine, with the offset of the clock that
// gateways share. It never goes back, not over restarts either.
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

// clockStep is by how much the clock must differ from the time that passed to be
// worth a record.
const clockStep = 5 * time.Second

// noteStep writes down that the clock of the machine was set, if it does not show
// what it showed the last time and the time that passed since by the monotonic
// clock. The caller holds mu.
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
	// The disk is full if it fails: what that means for invocations is said elsewhere.
	_ = l.own.log.append(&Record{Type: TypeClockStep, Flags: flags, At: l.Now(), Duration: step.Abs()})
}
