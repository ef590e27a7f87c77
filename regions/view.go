package regions

import (
	"time"

	"github.com/edgegate/edgegate/regions/capacity"
	"github.com/edgegate/edgegate/regions/geo"
)

// View is a snapshot of all regions. It is immutable except for RegionView.Load,
// which counts on.
type View struct {
	At time.Time
	// Regions are in configuration order.
	Regions []RegionView
	// Order has the indexes of Regions, best first, by score with hysteresis.
	Order []int
	// Ranked is true if Order comes from scores. Where neither the gateway's place
	// nor a measurement is known it is false, and Order is the configuration's.
	Ranked bool
	// Location is the gateway's own place.
	Location Location
}

// Location is the place of a gateway, and how it is known.
type Location struct {
	Place  geo.Place
	Source LocationSource
}

// LocationSource tells how a gateway's place is known.
type LocationSource string

// The sources of a gateway's place.
const (
	LocationUnknown    LocationSource = "unknown"
	LocationConfigured LocationSource = "configured"
	LocationInferred   LocationSource = "inferred" // the region with the lowest round trip
)

// Lookup returns the index of a region in Regions.
func (v *View) Lookup(name string) (int, bool) {
	for i := range v.Regions {
		if v.Regions[i].Region.Name == name {
			return i, true
		}
	}
	return 0, false
}

// RegionView is one region in a View.
type RegionView struct {
	Region *Region
	// State is the state shown to operators: a drain hides the health.
	State State
	// Since is when State was entered.
	Since time.Time
	// Health is the verdict over the backends.
	Health State
	// Backends are those that count for the health of the region, in configuration
	// order and by address.
	Backends []BackendView
	// Others are not counted: new ones before a probe passed, those of another priority
	// than the one in use, and those that are leaving.
	Others []BackendView
	// Sources are where lists of backends come from.
	Sources []SourceView
	// Healthy counts the backends that are not down.
	Healthy int
	// Distance is the round trip; its RTT is the prior until one is measured.
	Distance Distance
	// Known is true if Distance.RTT and Score are valid.
	Known bool
	// Score is the round trip plus the region's bias; lower is better.
	Score time.Duration
	// SlowStart is the fraction of its share that the region gets after an outage
	// or a drain, 0.1 to 1.
	SlowStart float64
	// Drained is the fraction of its automatic requests that a drain sends
	// elsewhere, 0 to 1.
	Drained float64
	// LastResort allows a drained region to be used when all others are down.
	LastResort bool
	// Load counts the requests in flight.
	Load *capacity.Load
}

// Usable reports whether automatic requests may run in the region.
func (r *RegionView) Usable() bool {
	return r.Healthy > 0 && r.Health != StateDown && r.State != StateDrained
}

// Reachable reports whether requests that name the region may run there. They have
// no other region, so one backend that is not down is enough.
func (r *RegionView) Reachable() bool { return r.Healthy > 0 && r.State != StateDrained }

// BackendView is one backend in a View.
type BackendView struct {
	Address  string
	Key      string // Backend.Key
	State    State
	Since    time.Time
	Distance Distance
	// Open is true while its breaker is open.
	Open bool
	// Why describes why it is down, "" while it is not.
	Why string
	// FailureRate is the fraction of the requests of the last ten seconds that
	// failed by the backend's fault, 0 to 1.
	FailureRate float64
	// Source is the name of the source that lists it, "" for a fixed backend.
	Source string
	// Phase is "" while it serves.
	Phase Phase
	// Left is when it left the list, zero unless it is leaving.
	Left time.Time
	// Stopped is when a leaving one served last: Left, or later if the list was replaced
	// as a whole.
	Stopped time.Time
	// Weight is its part of the region's calls relative to the others, in which a fixed
	// backend has 1. It includes Ramp, and is 0 for one that gets no calls.
	Weight float64
	// Ramp is the part of its calls that a new backend gets, 0.1 to 1.
	Ramp float64
	// Own is true if its address leads to this gateway. It is never asked.
	Own bool
	// Proven is true once a probe passed or a call was answered.
	Proven bool
	// InFlight counts the calls that run on it, WebSockets included.
	InFlight int64
}

// leaveOver is the time over which the WebSockets of a backend are closed once it
// left the list and serves no more.
const leaveOver = 30 * time.Second

// Closed returns the fraction of the backend's WebSockets that must be closed by now,
// 0 to 1.
func (b *BackendView) Closed(now time.Time) float64 {
	if b.Phase != PhaseLeaving {
		return 0
	}
	return progress(b.Stopped, leaveOver, now)
}

// NewView returns a view of the regions in the ranker's order. If the gateway's place
// is unknown, the order is the configuration's until each region that is not down
// was measured. A region that is added later comes last until then.
func (r *Ranker) NewView(now time.Time, list []RegionView, location Location) *View {
	v := &View{
		At:       now,
		Regions:  list,
		Order:    make([]int, 0, len(list)),
		Location: location,
	}
	var known, unknown []int
	scores := make([]Scored, 0, len(list))
	early := false
	for i, region := range list {
		if !region.Known {
			unknown = append(unknown, i)
			early = early || region.Health != StateDown
			continue
		}
		known = append(known, i)
		scores = append(scores, Scored{
			Name:     region.Region.Name,
			Score:    region.Score,
			Bias:     region.Region.Bias,
			Measured: region.Distance.Measured,
		})
	}
	if len(known) == 0 || early && location.Source == LocationUnknown && !r.hasOrder() {
		for i := range list {
			v.Order = append(v.Order, i)
		}
		return v
	}
	v.Ranked = true
	for _, i := range r.Rank(now, scores) {
		v.Order = append(v.Order, known[i])
	}
	v.Order = append(v.Order, unknown...)
	if location.Source == LocationUnknown {
		v.Location = infer(v)
	}
	return v
}

// infer returns the place of the nearest measured region as the gateway's own.
func infer(v *View) Location {
	var nearest *RegionView
	for i := range v.Regions {
		if r := &v.Regions[i]; r.Distance.Measured && (nearest == nil || r.Distance.RTT < nearest.Distance.RTT) {
			nearest = r
		}
	}
	if nearest == nil {
		return v.Location
	}
	return Location{Place: nearest.Region.Place(), Source: LocationInferred}
}
