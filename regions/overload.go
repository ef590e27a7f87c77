package regions

import (
	"fmt"
	"time"

	"github.com/edgegate/edgegate/regions/capacity"
)

const (
	// roomWait is how long a request waits for a place in a full region; it looks
	// for one every roomLook.
	roomWait = 100 * time.Millisecond
	roomLook = 5 * time.Millisecond
)

// ErrOverloaded with each reason, for logs.
var (
	errFull  = fmt.Errorf("%w: nothing is left of its capacity", ErrOverloaded)
	errFair  = fmt.Errorf("%w: the project holds its fair share", ErrOverloaded)
	errShare = fmt.Errorf("%w: the project holds its capacity_share", ErrOverloaded)
)

// overloaded returns ErrOverloaded with the reason.
func overloaded(why capacity.Crowding) error {
	switch why {
	case capacity.CrowdedFair:
		return errFair
	case capacity.CrowdedShare:
		return errShare
	case capacity.CrowdedFull:
	}
	return errFull
}

// enter takes a place for the exchange in a region, or returns the reason why
// there is none.
func (t *Transport) enter(x *Exchange, r *Region) capacity.Crowding {
	room := t.Network.states[r].load.Of(x.Socket)
	seat, why := room.Enter(&x.Tenant)
	if why != "" {
		return why
	}
	x.mu.Lock()
	first := !x.entered
	x.seat, x.entered = seat, true
	x.mu.Unlock()
	if first {
		// Refused requests add nothing to the retry budget.
		t.Network.budget.request(time.Now())
	}
	return ""
}

// leave gives the place back. Calls after the first change nothing.
func (x *Exchange) leave() {
	x.mu.Lock()
	seat := x.seat
	x.seat = capacity.Seat{}
	x.mu.Unlock()
	seat.Leave()
}

// waitForRoom takes a place in x.Region as soon as there is one, within roomWait.
func (t *Transport) waitForRoom(x *Exchange) error {
	room := t.Network.states[x.Region].load.Of(x.Socket)
	why := t.enter(x, x.Region)
	if why == "" {
		return nil
	}
	defer room.EndWait()
	if !room.BeginWait() {
		room.Refuse(why)
		return overloaded(why)
	}
	deadline := time.NewTimer(roomWait)
	defer deadline.Stop()
	look := time.NewTicker(roomLook)
	defer look.Stop()
	for {
		select {
		case <-x.done:
			return ErrClientGone
		case <-deadline.C:
			room.Refuse(why)
			return overloaded(why)
		case <-look.C:
			if why = t.enter(x, x.Region); why == "" {
				return nil
			}
		}
	}
}
