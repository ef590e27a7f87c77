package regions

import (
	"errors"
	"time"
)

const (
	// DefaultDrainOver is the duration of a drain that names none.
	DefaultDrainOver = 5 * time.Minute
	// drainRamp is the time over which automatic requests move elsewhere.
	drainRamp = time.Minute
	// maxDrainOver is the longest drain. A region that is gone for longer is to be
	// removed from the configuration.
	maxDrainOver = 24 * time.Hour
)

// Drain is the operator's order to take a region out of use. The zero value is
// no order. A drain does not change the region's health.
type Drain struct {
	// Since is when the order was given.
	Since time.Time `json:"since"`
	// Over is how long it takes: automatic requests leave during the first
	// minute of it (or all of it, if shorter), named ones are served to its end,
	// and WebSockets are closed over the whole of it.
	Over time.Duration `json:"over"`
	// LastResort keeps the drained region as a target where every other is
	// down.
	LastResort bool `json:"last_resort,omitempty"`
	// Ended is when the order was taken back; the share then grows as after an
	// outage.
	Ended time.Time `json:"ended,omitzero"`
}

// Validate returns an error if Over is negative or longer than 24 hours.
func (d Drain) Validate() error {
	switch {
	case d.Over < 0:
		return errors.New("over: must not be negative")
	case d.Over > maxDrainOver:
		return errors.New("over: at most 24h; a region that is gone for longer is taken out of the configuration")
	}
	return nil
}

// Active reports whether the order stands.
func (d Drain) Active() bool { return !d.Since.IsZero() && d.Ended.IsZero() }

// Gone returns the fraction of automatic requests that go elsewhere, 0 to 1.
func (d Drain) Gone(now time.Time) float64 {
	if !d.Active() {
		return 0
	}
	return progress(d.Since, min(drainRamp, d.Over), now)
}

// Kept returns the fraction of automatic requests that the region still had when
// the order was taken back, 0 to 1.
func (d Drain) Kept() float64 {
	if d.Since.IsZero() || d.Ended.IsZero() {
		return 1
	}
	return 1 - progress(d.Since, min(drainRamp, d.Over), d.Ended)
}

// Closed returns the fraction of the region's WebSockets that must be closed by
// now, 0 to 1.
func (d Drain) Closed(now time.Time) float64 {
	if !d.Active() {
		return 0
	}
	return progress(d.Since, d.Over, now)
}

// State returns StateDraining, StateDrained once nothing is to run in the
// region any more, or "" without an order.
func (d Drain) State(now time.Time) State {
	switch {
	case !d.Active():
		return ""
	case now.Before(d.Since.Add(d.Over)):
		return StateDraining
	}
	return StateDrained
}

// progress returns the fraction of over that has passed since, 0 to 1.
func progress(since time.Time, over time.Duration, now time.Time) float64 {
	passed := now.Sub(since)
	switch {
	case passed >= over:
		return 1
	case passed <= 0:
		return 0
	}
	return float64(passed) / float64(over)
}
