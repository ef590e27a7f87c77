package regions

import (
	"slices"
	"sync"
	"time"

	"github.com/edgegate/edgegate/regions/capacity"
)

const (
	// degradedFast is how many times its base a region's moving average must be,
	// and by more than rankBetter, for milliseconds are noise; degradedFailures which part of its requests must fail by the backends'
	// fault, for it to count as degraded.
	degradedFast     = 3
	degradedFailures = 0.05
)

// slowStart is how long a region that was down takes to get its whole share
// back, and slowStartLeast the part that it gets at once.
const (
	slowStart      = time.Minute
	slowStartLeast = 0.1
)

// Verdict keeps what is known of a region's health over time. The zero value
// knows nothing. It is safe for concurrent use.
type Verdict struct {
	mu       sync.Mutex
	health   State
	returned time.Time // when it came back from an outage, or from a drain
	kept     float64   // the share that it had then, 0 to 1
	shown    State
	shownAt  time.Time
}

// RegionInput is what a Verdict judges.
type RegionInput struct {
	Region *Region
	// Backends are in the order of the region's.
	Backends []BackendView
	// Prior is the round trip to expect, if PriorKnown.
	Prior      time.Duration
	PriorKnown bool
	Drain      Drain
	Load       *capacity.Load
}

// Judge returns the region as it is now. Times must not go back.
func (v *Verdict) Judge(now time.Time, in RegionInput) RegionView {
	r := RegionView{
		Region: in.Region, Backends: in.Backends, Load: in.Load,
		Drained: in.Drain.Gone(now), LastResort: in.Drain.LastResort,
	}
	var failures float64
	for _, b := range in.Backends {
		if b.State != StateDown {
			r.Healthy++
			failures = max(failures, b.FailureRate)
		}
	}
	r.Distance = middle(in.Backends)
	r.Known = r.Distance.Measured
	if !r.Known && in.PriorKnown {
		r.Distance.RTT, r.Known = in.Prior, true
	}
	r.Score = r.Distance.RTT + in.Region.Bias
	r.Health = healthOf(r, failures)

	v.mu.Lock()
	defer v.mu.Unlock()
	v.enter(now, r.Health)
	if end := in.Drain.Ended; end.After(v.returned) {
		v.returned, v.kept = end, in.Drain.Kept()
	}
	r.SlowStart = 1
	if !v.returned.IsZero() {
		r.SlowStart = max(slowStartLeast, v.kept, progress(v.returned, slowStart, now))
	}
	r.State = r.Health
	if drain := in.Drain.State(now); drain != "" {
		r.State = drain
	}
	if r.State != v.shown {
		v.shown, v.shownAt = r.State, now
	}
	r.Since = v.shownAt
	return r
}

// enter notes a change of health. Only a region that was down starts slowly.
func (v *Verdict) enter(now time.Time, health State) {
	if health == v.health {
		return
	}
	if v.health == StateDown {
		v.returned, v.kept = now, 0
	}
	v.health = health
}

// healthOf is the verdict: down when fewer than half of the backends are not
// down, unknown until one of them answered.
func healthOf(r RegionView, failures float64) State {
	switch {
	case 2*r.Healthy < len(r.Backends) || r.Healthy == 0:
		return StateDown
	case !slices.ContainsFunc(r.Backends, func(b BackendView) bool { return b.State == StateUp }):
		return StateUnknown
	case r.Distance.Measured && r.Distance.Fast > degradedFast*r.Distance.Base && r.Distance.Fast-r.Distance.Base > rankBetter,
		failures > degradedFailures:
		return StateDegraded
	}
	return StateUp
}

// middle returns the distance to the region: of its backends that were measured
// the lower of the two in the middle, so that a single slow one neither hides
// nor stands for the rest. Backends that are down count only if all are.
func middle(backends []BackendView) Distance {
	measured := make([]Distance, 0, len(backends))
	down := make([]Distance, 0, len(backends))
	for _, b := range backends {
		switch {
		case !b.Distance.Measured:
		case b.State == StateDown:
			down = append(down, b.Distance)
		default:
			measured = append(measured, b.Distance)
		}
	}
	if len(measured) == 0 {
		measured = down
	}
	if len(measured) == 0 {
		return Distance{}
	}
	slices.SortFunc(measured, func(a, b Distance) int { return int(a.RTT - b.RTT) })
	return measured[(len(measured)-1)/2]
}
