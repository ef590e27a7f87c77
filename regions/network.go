package regions

import (
	"math/rand/v2"
	"time"
)

// Network is the configured regions together with the living state of their
// backends. It is immutable itself; the upstreams in it are shared with other
// configurations.
type Network struct {
	Set       *Set
	upstreams map[*Region][]*Upstream
}

// NewNetwork joins set with the upstreams that upstream returns for each
// backend.
func NewNetwork(set *Set, upstream func(region string, b Backend) *Upstream) *Network {
	n := &Network{Set: set, upstreams: make(map[*Region][]*Upstream, len(set.All()))}
	for _, r := range set.All() {
		for _, b := range r.Backends {
			n.upstreams[r] = append(n.upstreams[r], upstream(r.Name, b))
		}
	}
	return n
}

// Upstreams returns the backends of r in configuration order. The slice must
// not be changed.
func (n *Network) Upstreams(r *Region) []*Upstream { return n.upstreams[r] }

// State returns the state of a region and when it was entered: up while a
// backend is, down when every one is.
func (n *Network) State(r *Region) (State, time.Time) {
	state, since := StateDown, time.Time{}
	for _, u := range n.upstreams[r] {
		s, at := u.State()
		switch {
		case s == StateUp && (state != StateUp || at.Before(since)):
			state, since = s, at
		case s == StateUnknown && state == StateDown:
			state, since = s, at
		case s == state && state == StateDown && at.After(since):
			since = at
		}
	}
	return state, since
}

// avoided reports whether every backend of r refused a connection just now.
func (n *Network) avoided(r *Region) bool {
	for _, u := range n.upstreams[r] {
		if !u.avoided() {
			return false
		}
	}
	return true
}

// choose returns the backends of r in the order to be asked: the less loaded
// of two random ones first, those that just refused a connection last.
func (n *Network) choose(r *Region) []*Upstream {
	all := n.upstreams[r]
	if len(all) == 1 {
		return all
	}
	order := make([]*Upstream, 0, len(all))
	start := rand.IntN(len(all))                            //nolint:gosec // spreads load, guards nothing
	other := (start + 1 + rand.IntN(len(all)-1)) % len(all) //nolint:gosec // likewise
	if all[other].inFlight.Load() < all[start].inFlight.Load() {
		start = other
	}
	var last []*Upstream
	for i := range all {
		if u := all[(start+i)%len(all)]; u.avoided() {
			last = append(last, u)
		} else {
			order = append(order, u)
		}
	}
	return append(order, last...)
}
