package metering

import (
	"context"
	"time"
)

const (
	// offsetSamples are kept of the offset of the clock of Redis: those of a minute.
	offsetSamples = 12
	// mostOffset is how far it is followed: a clock that is farther away is wrong, and
	// it is not known which.
	mostOffset = 30 * time.Second
)

// offset is how far the clock of Redis was ahead, and by how much that may be
// wrong.
type offset struct{ ahead, within time.Duration }

// offsets are the latest.
type offsets struct {
	list [offsetSamples]offset
	n    int
}

// drift is how far clocks may drift apart in a minute.
const drift = 30 * time.Millisecond

// add takes in one and returns the one that is known best. Where it cannot be that
// all are right, a clock was set: those before do not count any more.
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

// followClock has the billing clock be that of Redis, which all gateways share.
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
	if best.ahead.Abs() > mostOffset {
		best.ahead = 0
	}
	m.ledger.ahead.Store(best.ahead.Microseconds())
	return nil
}

// ClockOffset is how far the clock of Redis is ahead of this machine's, as far as
// that is known. Up to 30 s the billing clock follows it.
func (m *Mirror) ClockOffset() time.Duration { return time.Duration(m.clock.Load()) }

// now is the clock by which gateways tell each other when they were there.
func (m *Mirror) now() time.Time {
	return time.Now().Add(time.Duration(m.ledger.ahead.Load()) * time.Microsecond)
}
