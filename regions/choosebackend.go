package regions

import (
	"math/rand/v2"
	"time"
)

// choose returns the backends of r in the order in which to ask them: first the
// better one of two random choices (fewer requests in flight), then the others,
// those that are down last.
func (n *Network) choose(r *Region) []*Upstream {
	all := n.upstreams[r]
	if len(all) == 1 {
		return all
	}
	now := time.Now()
	order := make([]*Upstream, 0, len(all))
	var down []*Upstream
	for _, u := range all {
		if u.usable(now) {
			order = append(order, u)
		} else {
			down = append(down, u)
		}
	}
	if k := len(order); k > 1 {
		first := rand.IntN(k)                     // #nosec G404 -- spreads load, guards nothing
		other := (first + 1 + rand.IntN(k-1)) % k // #nosec G404 -- likewise
		if better(order[other], order[first]) {
			first = other
		}
		order[0], order[first] = order[first], order[0]
	}
	return append(order, down...)
}

// better reports whether a is to be asked before b: it has fewer requests in
// flight, and is no outlier beside it.
func better(a, b *Upstream) bool {
	if slowA, slowB := a.slowerThan(b), b.slowerThan(a); slowA != slowB {
		return slowB
	}
	return a.inFlight.Load() < b.inFlight.Load()
}

// outlier is the factor between the round trips of two backends of a region from
// which the farther one is asked last.
const outlier = 3

// slowerThan reports whether u is an outlier beside another backend of its region:
// its round trip is more than three times as long, and longer by more than 10 ms.
func (u *Upstream) slowerThan(other *Upstream) bool {
	mine, its := u.far.Load(), other.far.Load()
	return its > 0 && mine > outlier*its && mine-its > int64(rankBetter)
}
