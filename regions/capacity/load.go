package capacity

import "sync/atomic"

// Load is the load of a region: its calls in flight and, counted apart, its open
// WebSockets (contract 9.6). The zero value has no limits. It is safe for
// concurrent use.
type Load struct {
	Calls   Room
	Sockets Room

	fixed atomic.Pointer[float64]
}

// Of returns the room for WebSockets or for calls.
func (l *Load) Of(socket bool) *Room {
	if socket {
		return &l.Sockets
	}
	return &l.Calls
}

// Add adds n calls in flight (n may be negative), even beyond the limit. They
// belong to a tenant without a name.
func (l *Load) Add(n int64) {
	for ; n > 0; n-- {
		l.Calls.force(new(Tenant))
	}
	for ; n < 0; n++ {
		l.Calls.mu.Lock()
		l.Calls.leave(l.Calls.tenants[""])
		l.Calls.mu.Unlock()
	}
}

// InFlight returns the number of calls in flight.
func (l *Load) InFlight() int64 { return l.Calls.Held() }

// Capacity returns the number of calls that can run at once, 0 if unknown.
func (l *Load) Capacity() int64 { return l.Calls.Capacity() }

// SetCapacity sets the number of calls that can run at once, 0 if unknown.
func (l *Load) SetCapacity(n int64) { l.Calls.SetCapacity(n) }

// Factor returns the calls in flight as a part of the capacity. It is false
// where the capacity is unknown: then a region is never full.
func (l *Load) Factor() (float64, bool) {
	if fixed := l.fixed.Load(); fixed != nil {
		return *fixed, true
	}
	capacity := l.Calls.Capacity()
	if capacity <= 0 {
		return 0, false
	}
	return float64(l.Calls.Held()) / float64(capacity), true
}

// For returns how full the region is for a call or a WebSocket of a tenant; see
// Room.Factor.
func (l *Load) For(t *Tenant, socket bool) (float64, bool) {
	if fixed := l.fixed.Load(); fixed != nil {
		return *fixed, true
	}
	return l.Of(socket).Factor(t)
}

// IsFixed reports whether FixedLoad made the Load.
func (l *Load) IsFixed() bool { return l.fixed.Load() != nil }

// FixedLoad returns a Load whose Factor is given, not counted: for answers to
// what-if questions.
func FixedLoad(factor float64) *Load {
	l := new(Load)
	l.fixed.Store(&factor)
	return l
}
