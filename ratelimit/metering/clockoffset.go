package metering

import (
	"context"
	"sync"
	"time"
)

const (
	// offsetSamples is how many measurements are kept: those of one minute.
	offsetSamples = 12
	// MaxClockOffset is how far the clocks of a gateway and of Redis may be apart without
	// a warning. The billing clock follows Redis' at any offset.
	MaxClockOffset = 30 * time.Second
)

// offset is a measurement: by how much Redis' clock was ahead of a clock that nobody
// sets, give or take within.
type offset struct{ ahead, within time.Duration }

// apart reports whether two measurements contradict each other.
func (o offset) apart(other offset) bool {
	return (o.ahead - other.ahead).Abs() > o.within+other.within+drift
}

// offsets are the latest measurements.
type offsets struct {
	list    [offsetSamples]offset
	n       int
	step    offset // contradicts the list, if stepped
	stepped bool
}

// drift bounds how far two clocks drift apart in a minute.
const drift = 30 * time.Millisecond

// add adds a measurement and returns the most precise one. One that contradicts a
// former one is believed as soon as a second says the same: then Redis' clock was set,
// or another server with another clock has taken over, and the former ones are
// dropped.
func (o *offsets) add(latest offset) offset {
	best := latest
	for _, other := range o.list[:min(o.n, offsetSamples)] {
		if latest.apart(other) {
			if !o.stepped || latest.apart(o.step) {
				o.step, o.stepped = latest, true
				return o.best()
			}
			o.n, best = 0, latest
			break
		}
		if other.within < best.within {
			best = other
		}
	}
	o.stepped = false
	o.list[o.n%offsetSamples] = latest
	o.n++
	return best
}

// best returns the most precise of the measurements that are believed.
func (o *offsets) best() offset {
	best := o.list[0]
	for _, other := range o.list[:min(o.n, offsetSamples)] {
		if other.within < best.within {
			best = other
		}
	}
	return best
}

// keepClockAfter is by how much the shared clock must have changed to be kept again.
const keepClockAfter = time.Second

// followClock reads Redis' clock, which all gateways share, and has the billing clock
// follow it.
func (m *Mirror) followClock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushWait)
	defer cancel()
	m.calls.Add(1)
	before := m.ledger.Elapsed()
	at, err := m.conn.Time(ctx)
	if err != nil {
		return err
	}
	// An instant since 1970 as a duration fits until the year 2262.
	within := (m.ledger.Elapsed() - before) / 2
	best := m.offsets.add(offset{ahead: time.Duration(at.UnixNano()) - before - within, within: within})
	m.ledger.followClock(&reading{micro: best.ahead.Microseconds()}, ClockShared)
	m.clock.Store(int64(time.Until(m.ledger.clockNow())))
	if (best.ahead - m.kept).Abs() > keepClockAfter {
		m.kept = best.ahead
		return m.ledger.keepClock(reading{micro: best.ahead.Microseconds()})
	}
	return nil
}

// ClockOffset returns by how much Redis' clock is ahead of this machine's, 0 before
// the first measurement.
func (m *Mirror) ClockOffset() time.Duration { return time.Duration(m.clock.Load()) }

// now returns the shared time, by which gateways tell each other when they were
// present; zero before it was read.
func (m *Mirror) now() time.Time {
	if m.ledger.ClockSource() != ClockShared {
		return time.Time{}
	}
	return m.ledger.clockNow()
}

// silence returns for how long nothing was said since a time by the shared clock; 0
// before that was read.
func (m *Mirror) silence(since time.Time) time.Duration {
	now := m.now()
	if now.IsZero() {
		return 0
	}
	return now.Sub(since)
}

// heard has what each instance said last, and since when.
type heard struct {
	mu   sync.Mutex // guards last
	last map[string]saying
}

// saying is what was said, and the reading of Ledger.Elapsed when it was new here.
type saying struct {
	text  string
	since time.Duration
}

// unchanged takes in what an instance says, and returns for how long it has said it
// here.
func (h *heard) unchanged(id, text string, now time.Duration) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	said, known := h.last[id]
	if !known || said.text != text {
		if h.last == nil {
			h.last = make(map[string]saying)
		}
		said = saying{text: text, since: now}
		h.last[id] = said
	}
	return now - said.since
}

// appear reads the shared clock, and tells other gateways that Redis has all sums of
// this one up to a time that now returned. The time of a machine is never told.
func (m *Mirror) appear(ctx context.Context, known time.Time) error {
	if err := m.followClock(ctx); err != nil || known.IsZero() {
		return err
	}
	return m.register(ctx, known)
}
