package health

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// DefaultOver is how long a gateway that is drained goes on serving before it stops.
	DefaultOver = 15 * time.Second

	// maxOver bounds it.
	maxOver = 24 * time.Hour
)

// Phase is where the drain of a gateway is.
type Phase string

// The phases.
const (
	Serving  Phase = "serving"  // there is no order
	Draining Phase = "draining" // not ready, and calls are served
	Drained  Phase = "drained"  // the time is over, and the order was not to stop
	Stopping Phase = "stopping" // no new calls; those that run have the grace period
)

// Order is an order to drain the gateway that it is given to.
type Order struct {
	// Over is how long the gateway goes on serving while it is not ready, as a duration
	// such as 30s, at most 24h. Default: 15s.
	Over string `json:"over"`
	// NoStop leaves stopping the process to whoever else does it.
	NoStop bool `json:"no_stop"`
}

// Status is the drain of a gateway.
type Status struct {
	Phase Phase      `json:"phase"`
	Since *time.Time `json:"since"` // when it was ordered; null without an order
	Ends  *time.Time `json:"ends"`  // when it stops, or counts as drained; null without an order
	Stops bool       `json:"stops"` // whether the process stops then
}

// The errors of Undrain.
var (
	ErrNotDrained = errors.New("this gateway is not drained")
	ErrStopping   = errors.New("this gateway stops already: that cannot be undone; start it again")
)

// drains is the drain of the process. Its zero value is none.
type drains struct {
	mu       sync.Mutex // guards the fields below
	order    *order     // nil without an order
	stopping bool
}

// order is an order in force.
type order struct {
	since, ends time.Time
	stops       bool
	timer       *time.Timer // nil if the process does not stop
}

func (d *drains) active() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.order != nil
}

// CheckOver returns an error if a gateway cannot be drained over this time.
func CheckOver(over time.Duration) error {
	if over < 0 || over > maxOver {
		return fmt.Errorf("over: must be between 0s and %dh", maxOver/time.Hour)
	}
	return nil
}

// Drain makes the gateway not ready at once; after over it stops the process, unless
// noStop. An order that is in force already is replaced and keeps its beginning. It is
// an error if over is negative or longer than 24 hours, or if the process stops already.
func (s *State) Drain(over time.Duration, noStop bool) (Status, error) {
	if err := CheckOver(over); err != nil {
		return Status{}, err
	}
	d := &s.drains
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopping {
		return Status{}, ErrStopping
	}
	now := s.now()
	next := &order{since: now, ends: now.Add(over), stops: !noStop}
	if d.order != nil {
		next.since = d.order.since
	}
	d.end()
	d.order = next
	if next.stops {
		next.timer = time.AfterFunc(over, func() { s.stopFor(next) })
	}
	return d.status(now), nil
}

// stopFor stops the process, unless the order was replaced or taken back meanwhile.
func (s *State) stopFor(o *order) {
	d := &s.drains
	d.mu.Lock()
	due := d.order == o && !d.stopping
	d.stopping = d.stopping || due
	d.mu.Unlock()
	if due {
		s.stop()
	}
}

// Undrain makes the gateway ready again. The error is ErrNotDrained or ErrStopping.
func (s *State) Undrain() (Status, error) {
	d := &s.drains
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.stopping:
		return Status{}, ErrStopping
	case d.order == nil:
		return Status{}, ErrNotDrained
	}
	d.end()
	return d.status(s.now()), nil
}

// DrainStatus returns the drain of the gateway.
func (s *State) DrainStatus() Status {
	s.drains.mu.Lock()
	defer s.drains.mu.Unlock()
	return s.drains.status(s.now())
}

// end takes the order out of force; d.mu is held.
func (d *drains) end() {
	if d.order != nil && d.order.timer != nil {
		d.order.timer.Stop()
	}
	d.order = nil
}

func (d *drains) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.end()
}

// status returns the drain at a time; d.mu is held.
func (d *drains) status(now time.Time) Status {
	o := d.order
	if o == nil {
		return Status{Phase: Serving}
	}
	status := Status{
		Phase: Draining,
		Since: new(o.since.UTC()),
		Ends:  new(o.ends.UTC()),
		Stops: o.stops,
	}
	switch {
	case d.stopping:
		status.Phase = Stopping
	case !o.stops && !now.Before(o.ends):
		status.Phase = Drained
	}
	return status
}
