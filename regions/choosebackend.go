package regions

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"time"
)

// memberList has the backends of a region as calls choose among them. It is made
// with the view, so that a call does no work per backend. It is immutable.
type memberList struct {
	listed []*Upstream // as configured, then by address
	all    []*Upstream // those of listed that may be asked
	// serving are those to choose from: all that are up, or where none is, those of
	// which nothing is known yet.
	serving []*Upstream
	weights []float64 // of serving; nil if they are equal
	sums    []float64 // of weights up to and with each index; nil if they are equal
	// entering says which of serving start slowly; nil if none does.
	entering []bool
	rest     []*Upstream
	// upgrading has those that can switch protocols; it is the list itself if all
	// can.
	upgrading *memberList
}

// listed is a backend for newMemberList.
type listed struct {
	upstream *Upstream
	state    State
	weight   float64
	// counted is false for backends that are asked only if no other answers: new
	// ones before a probe passed, and those whose priority is not in use.
	counted  bool
	entering bool // it starts slowly
	own      bool // it is never asked
}

func newMemberList(from []listed) *memberList {
	l := pickList(from)
	l.upgrading = l
	capable := slices.DeleteFunc(slices.Clone(from), func(one listed) bool { return one.upstream.Backend.H2C })
	if len(capable) < len(from) {
		l.upgrading = pickList(capable)
	}
	return l
}

// serving returns the state of the backends to choose from.
func serving(from []listed) State {
	if slices.ContainsFunc(from, func(one listed) bool { return one.serves(StateUp) }) {
		return StateUp
	}
	return StateUnknown
}

// serves reports whether the backend is one to choose from, which have that state.
func (l *listed) serves(state State) bool { return l.counted && l.state == state }

func pickList(from []listed) *memberList {
	l := &memberList{all: make([]*Upstream, 0, len(from))}
	serves := serving(from)
	var down []*Upstream
	equal, starts := true, false
	for _, one := range from {
		l.listed = append(l.listed, one.upstream)
		if one.own {
			continue
		}
		l.all = append(l.all, one.upstream)
		switch {
		case one.serves(serves):
			l.serving, l.weights = append(l.serving, one.upstream), append(l.weights, one.weight)
			equal, starts = equal && one.weight == l.weights[0], starts || one.entering
		case one.state == StateDown:
			down = append(down, one.upstream)
		default:
			l.rest = append(l.rest, one.upstream)
		}
	}
	l.rest = append(l.rest, down...)
	if starts {
		for _, one := range from {
			if one.serves(serves) && !one.own {
				l.entering = append(l.entering, one.entering)
			}
		}
	}
	if equal {
		l.weights = nil
		return l
	}
	sum := 0.0
	for _, w := range l.weights {
		sum += w
		l.sums = append(l.sums, sum)
	}
	return l
}

// draws is how many pairs are drawn before all backends are looked at: those of the
// list may have failed since it was made.
const draws = 3

// first returns the backend to ask first, for a call or a WebSocket: the better one of
// two random choices. It is nil if the region has no backend.
func (l *memberList) first(now time.Time, socket bool) *Upstream {
	switch {
	case len(l.all) == 1:
		return l.all[0]
	case len(l.serving) > 1:
		for range draws {
			i, j := l.draw()
			a, b := l.serving[i], l.serving[j]
			switch okA, okB := a.usable(now), b.usable(now); {
			case okA && okB && l.better(j, i, socket), okB && !okA:
				return b
			case okA:
				return a
			}
		}
	}
	if order := l.others(now, nil); len(order) > 0 {
		return order[0]
	}
	return nil
}

// draw returns two different indexes of serving, each by its weight.
func (l *memberList) draw() (first, second int) {
	k := len(l.serving)
	if l.sums == nil {
		first = rand.IntN(k)                           // #nosec G404 -- spreads load, guards nothing
		return first, (first + 1 + rand.IntN(k-1)) % k // #nosec G404 -- likewise
	}
	first, second = l.byWeight(), l.byWeight()
	for range draws {
		if second != first {
			return first, second
		}
		second = l.byWeight()
	}
	return first, (first + 1) % k
}

func (l *memberList) byWeight() int {
	at := rand.Float64() * l.sums[len(l.sums)-1] // #nosec G404 -- spreads load, guards nothing
	return min(sort.SearchFloat64s(l.sums, at), len(l.sums)-1)
}

// better reports whether serving[i] is to be asked although serving[j] was drawn
// first: it has fewer calls in flight, or fewer WebSockets, and is no outlier beside
// it. Where weights differ it must have fewer for its weight even with one more, so
// that those who are idle are asked as often as their weights say. One that starts
// slowly keeps to its weight, however slow or busy those are that do not.
func (l *memberList) better(i, j int, socket bool) bool {
	starts := l.entering != nil && l.entering[i]
	if starts && !l.entering[j] {
		return false
	}
	a, b := l.serving[i], l.serving[j]
	if slowA, slowB := a.slowerThan(b), b.slowerThan(a); slowA || slowB && !starts {
		return slowB
	}
	mine, its := a.running(socket).Load(), b.running(socket).Load()
	if l.weights == nil {
		return mine < its
	}
	return float64(mine+1)*l.weights[j] < float64(its)*l.weights[i]
}

// others returns the backends in the order in which to ask them after asked, which is
// not among them. Those that are down come last.
func (l *memberList) others(now time.Time, asked *Upstream) []*Upstream {
	order := make([]*Upstream, 0, len(l.all))
	var down []*Upstream
	take := func(u *Upstream) {
		switch {
		case u == asked:
		case u.usable(now):
			order = append(order, u)
		default:
			down = append(down, u)
		}
	}
	if k := len(l.serving); k > 0 {
		from := rand.IntN(k) // #nosec G404 -- spreads load, guards nothing
		for i := range k {
			take(l.serving[(from+i)%k])
		}
	}
	for _, u := range l.rest {
		take(u)
	}
	return append(order, down...)
}

// outlier is the factor between the round trips of two backends of a region from
// which the farther one is asked last.
const outlier = 3

// slowerThan reports whether u is an outlier beside another backend of its region.
func (u *Upstream) slowerThan(other *Upstream) bool {
	return slower(u.far.Load(), other.far.Load())
}

// slower reports whether a round trip is more than three times as long as another, and
// longer by more than 10 ms. A round trip of 0 is unknown.
func slower(mine, its int64) bool {
	return its > 0 && mine > outlier*its && mine-its > int64(rankBetter)
}

// Shares returns the part of the region's calls, 0 to 1, that each of Backends gets while
// none is busy: by their weights, and by the rule that those with a much longer round
// trip are asked after the others.
func (r *RegionView) Shares() []float64 {
	shares := make([]float64, len(r.Backends))
	var serving []int
	sum, equal, nearest := 0.0, true, int64(0)
	for i, b := range r.Backends {
		if b.Weight == 0 {
			continue
		}
		serving, sum = append(serving, i), sum+b.Weight
		equal = equal && b.Weight == r.Backends[serving[0]].Weight
		if far := int64(b.Distance.RTT); far > 0 && (nearest == 0 || far < nearest) {
			nearest = far
		}
	}
	for _, i := range serving {
		shares[i] = r.Backends[i].Weight / sum
	}
	weights := slices.Clone(shares)
	for at, i := range serving {
		b := &r.Backends[i]
		if !slower(int64(b.Distance.RTT), nearest) {
			continue
		}
		same := 0.0 // the chance that draw finds no second one by weight
		if !equal {
			same = math.Pow(weights[i], draws)
		}
		for to, j := range serving {
			other := &r.Backends[j]
			if other.Phase == PhaseEntering || !slower(int64(b.Distance.RTT), int64(other.Distance.RTT)) {
				continue
			}
			// If the other is drawn second it is asked in place of the first.
			second := weights[j] * (1 - same) / (1 - weights[i])
			if to == (at+1)%len(serving) {
				second += same
			}
			shares[i] -= weights[i] * second
			shares[j] += weights[i] * second
		}
	}
	return shares
}
