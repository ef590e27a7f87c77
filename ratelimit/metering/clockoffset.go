package metering

import (
	"context"
	"time"
)

const (
	// offsetSamples is how many measurements are kept: those of one minute.
	offsetSamples = 12
	// maxOffset is the greatest offset that the billing clock follows. Beyond it one of
	// the clocks is wrong, and nobody knows which.
	maxOffset = 30 * time.Second
)

// offset is a measurement: by how much Redis' clock was ahead, give or take within.
type offset struct{ ahead, within time.Duration }

// offsets are the latest measurements.
type offsets struct {
	list [offsetSamples]offset
	n    int
}

// drift bounds how far two clocks drift apart in a minute.
const drift = 30 * time.Millisecond

// add adds a measurement and returns the most precise one. If a former measurement
// contradicts it, a clock was set, and the former ones are dropped.
func (o *offsets) add(latest offset) offset {
	best := latest
	for _, other := range o.list[:min(o.n, offsetSamples)] {
		if (other.ahead - latest.ahead).Abs() > other.within+latest.within+drift {
			o.n, best = 0, latest
			break
		}
		if other.within < best.within {
			best = other
		}
	}
	o.list[o.n%offsetSamples] = latest
	o.n++
	return best
}

// followClock measures the offset of Redis' clock, which all gateways share, and
// sets the billing clock to it.
func (m *Mirror) followClock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushWait)
	defer cancel()
	m.calls.Add(1)
	ahead, within, err := m.conn.ClockOffset(ctx)
	if err != nil {
		return err
	}
	best := m.offsets.add(offset{ahead, within})
	m.clock.Store(int64(best.ahead))
	if best.ahead.Abs() > maxOffset {
		best.ahead = 0
	}
	m.ledger.ahead.Store(best.ahead.Microseconds())
	return nil
}

// ClockOffset returns by how much Redis' clock is ahead of this machine's, 0 before
// the first measurement. The billing clock follows it up to 30 s.
func (m *Mirror) ClockOffset() time.Duration { return time.Duration(m.clock.Load()) }

// now returns the shared time, by which gateways tell each other when they were
// present.
func (m *Mirror) now() time.Time {
	return time.Now().Add(time.Duration(m.ledger.ahead.Load()) * time.Microsecond)
}
