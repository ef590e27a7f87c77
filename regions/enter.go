package regions

import "time"

const (
	// roomWait is how long a request waits for room in a full region, and
	// roomLook how often it looks.
	roomWait = 100 * time.Millisecond
	roomLook = 5 * time.Millisecond
	// Of those that wait for one room there are at most an eighth of its
	// capacity, or waitersLeast: who waits costs memory, and looks.
	waitersPart  = 8
	waitersLeast = 16
)

// enter takes room for the exchange in a region; else it says why there is none.
func (t *Transport) enter(x *Exchange, r *Region) Crowding {
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
		// What is refused must not pay for retries.
		t.Network.budget.request(time.Now())
	}
	return ""
}

// leave gives the room back, once.
func (x *Exchange) leave() {
	x.mu.Lock()
	seat := x.seat
	x.seat = Seat{}
	x.mu.Unlock()
	seat.Leave()
}

// waitForRoom takes room in x.Region as soon as there is some, for a moment.
func (t *Transport) waitForRoom(x *Exchange) error {
	room := t.Network.states[x.Region].load.Of(x.Socket)
	why := t.enter(x, x.Region)
	if why == "" {
		return nil
	}
	defer room.waiting.Add(-1)
	if room.waiting.Add(1) > max(room.Capacity()/waitersPart, waitersLeast) {
		room.refuse(why)
		return why.Err()
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
			room.refuse(why)
			return why.Err()
		case <-look.C:
			if why = t.enter(x, x.Region); why == "" {
				return nil
			}
		}
	}
}
