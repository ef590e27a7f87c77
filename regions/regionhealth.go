package regions

import (
	"slices"
	"sync"
	"time"

	"github.com/edgegate/edgegate/regions/capacity"
)

const (
	// A region is degraded if the moving average of its round trip is more than
	// degradedFast times its base and longer by more than rankBetter, or if more
	// than degradedFailures of a backend's requests failed by the backend's fault.
	degradedFast     = 3
	degradedFailures = 0.05
)

// A region that was down gets slowStartLeast of its share at once, and all of it
// after slowStart.
const (
	slowStart      = time.Minute
	slowStartLeast = 0.1
)

// Verdict judges the health of a region and remembers its changes over time. The
// zero value is a new region. It is safe for concurrent use.
type Verdict struct {
	mu       sync.Mutex
	health   State
	returned time.Time // when it came back from an outage, or from a drain
	kept     float64   // the share it still had at that time, 0 to 1
	shown    State
	shownAt  time.Time
}

// RegionInput is the input of Verdict.Judge.
type RegionInput struct {
	Region *Region
	// Backends, Others and Sources are as in RegionView.
	Backends []BackendView
	Others   []BackendView
	Sources  []SourceView
	// Prior is the round trip to expect, if PriorKnown.
	Prior      time.Duration
	PriorKnown bool
	Drain      Drain
	Load       *capacity.Load
}

// Judge returns the current view of the region. now must not go back.
func (v *Verdict) Judge(now time.Time, in RegionInput) RegionView {
	r := RegionView{
		Region:     in.Region,
		Backends:   in.Backends,
		Others:     in.Others,
		Sources:    in.Sources,
		Load:       in.Load,
		Drained:    in.Drain.Gone(now),
		LastResort: in.Drain.LastResort,
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

// enter records a change of health. Only a region that was down starts slowly.
func (v *Verdict) enter(now time.Time, health State) {
	if health == v.health {
		return
	}
	if v.health == StateDown {
		v.returned, v.kept = now, 0
	}
	v.health = health
}

// healthOf returns the health of a region: down when fewer than half of its
// backends are not down, unknown until one of them answered or while none is listed.
func healthOf(r RegionView, failures float64) State {
	switch {
	case len(r.Backends) == 0:
		return StateUnknown
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

// middle returns the distance to the region: the lower median of its measured
// backends, so that a single slow one neither hides nor stands for the rest.
// Backends that are down count only if all are.
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
