package gateway

import (
	"slices"
	"time"

	"github.com/edgegate/edgegate/caddymodule/logs"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/capacity"
)

// RegionStatus is one region as this gateway sees it. Times are in milliseconds,
// null while nothing is known.
type RegionStatus struct {
	Region   string        `json:"region"`
	State    regions.State `json:"state"`
	Since    time.Time     `json:"since"`
	Health   regions.State `json:"health"` // without the drain
	RTT      *float64      `json:"rtt_ms"` // measured, or expected before the first measurement
	Base     *float64      `json:"base_ms"`
	Fast     *float64      `json:"fast_ms"`
	Load     *float64      `json:"load"` // requests in flight by capacity; null if that is unknown
	InFlight int64         `json:"in_flight"`
	Capacity *int64        `json:"capacity"`
	// Refused counts the calls that were answered 503 because the region was full, by
	// the reason.
	Refused map[string]uint64 `json:"refused"`
	Sockets StatusRoom        `json:"websockets"`
	Drain   *StatusDrain      `json:"drain"` // null unless the region is drained
	// Backends are those that serve, and then those that are entering, on standby or
	// leaving.
	Backends []BackendStatus `json:"backends"`
	// Sources are where lists of backends come from; absent if all are fixed.
	Sources []SourceStatus `json:"sources,omitempty"`
}

// StatusDrain is the drain of a region.
type StatusDrain struct {
	Since      time.Time `json:"since"`
	Ends       time.Time `json:"ends"`        // when no request runs in the region any more
	Gone       float64   `json:"gone"`        // share of its automatic requests that go elsewhere, 0 to 1
	LastResort bool      `json:"last_resort"` // used while all other regions are down
}

// BackendStatus is one backend as this gateway sees it.
type BackendStatus struct {
	Address     string        `json:"address"`
	State       regions.State `json:"state"`
	Since       time.Time     `json:"since"`
	RTT         *float64      `json:"rtt_ms"`
	FailureRate float64       `json:"failure_rate"` // share of the calls of the last 10 s that failed, 0 to 1
	InFlight    int64         `json:"in_flight"`    // calls that run on it, WebSockets included
	// Why is the reason why it is down; absent if it is not.
	Why string `json:"why,omitempty"`
	// Weight is its part of the region's calls relative to its other backends: 1 for a
	// fixed one, 0 for one that gets none.
	Weight float64 `json:"weight"`
	// Phase is entering (no probe passed yet, or its weight still grows), standby (its
	// priority is not in use) or leaving (it left the list); absent while it serves.
	Phase regions.Phase `json:"phase,omitempty"`
	// Source is the source that lists it; absent for a fixed one.
	Source string `json:"source,omitempty"`
	// LeftAt is the time at which a leaving backend was missing from its list first.
	LeftAt *time.Time `json:"left_at,omitempty"`
}

// SourceStatus is a source of backends of a region.
type SourceStatus struct {
	Source   string     `json:"source"`
	Backends int        `json:"backends"`      // in its last list
	ListedAt *time.Time `json:"listed_at"`     // when it gave a list last; null if it never did
	Age      *float64   `json:"age_seconds"`   // how long ago that was
	Failing  *time.Time `json:"failing_since"` // null while its look-ups succeed
	Error    string     `json:"error,omitempty"`
	// Incomplete says what the list is without, or has of an earlier one, since it could
	// not be looked up.
	Incomplete string `json:"incomplete,omitempty"`
}

// RegionStatus returns the regions as this gateway sees them, in the order of the
// configuration.
func (a *App) RegionStatus() []RegionStatus {
	view := a.network.View()
	list := make([]RegionStatus, 0, len(view.Regions))
	for i := range view.Regions {
		r := &view.Regions[i]
		entry := RegionStatus{
			Region:   r.Region.Name,
			State:    r.State,
			Since:    r.Since.UTC(),
			Health:   r.Health,
			InFlight: r.Load.InFlight(),
		}
		entry.Refused, entry.Sockets = statusRoom(&r.Load.Calls).Refused, statusRoom(&r.Load.Sockets)
		if r.Known {
			entry.RTT = milliseconds(r.Distance.RTT)
		}
		if r.Distance.Measured {
			entry.Base, entry.Fast = milliseconds(r.Distance.Base), milliseconds(r.Distance.Fast)
		}
		if load, known := r.Load.Factor(); known {
			capacity := r.Load.Capacity()
			entry.Load, entry.Capacity = &load, &capacity
		}
		if d := a.network.State(r.Region).Drain(); d.Active() {
			entry.Drain = &StatusDrain{
				Since:      d.Since.UTC(),
				Ends:       d.Since.Add(d.Over).UTC(),
				Gone:       r.Drained,
				LastResort: d.LastResort,
			}
		}
		entry.Backends = backendStatus(slices.Concat(r.Backends, r.Others))
		entry.Sources = sourceStatus(r.Sources, view.At)
		list = append(list, entry)
	}
	return list
}

func backendStatus(views []regions.BackendView) []BackendStatus {
	list := make([]BackendStatus, 0, len(views))
	for _, b := range views {
		backend := BackendStatus{
			Address:     b.Address,
			State:       b.State,
			Since:       b.Since.UTC(),
			FailureRate: b.FailureRate,
			InFlight:    b.InFlight,
			Why:         b.Why,
			Weight:      b.Weight,
			Phase:       b.Phase,
			Source:      b.Source,
			LeftAt:      timeOrNull(b.Left),
		}
		if b.Distance.Measured {
			backend.RTT = milliseconds(b.Distance.RTT)
		}
		list = append(list, backend)
	}
	return list
}

func sourceStatus(views []regions.SourceView, now time.Time) []SourceStatus {
	list := make([]SourceStatus, 0, len(views))
	for _, s := range views {
		source := SourceStatus{
			Source:   s.Name,
			Backends: s.Backends,
			ListedAt: timeOrNull(s.ListedAt),
			Failing:  timeOrNull(s.FailingSince),
		}
		if !s.ListedAt.IsZero() {
			source.Age = new(now.Sub(s.ListedAt).Seconds())
		}
		if s.Err != nil {
			source.Error = logs.FirstLine(s.Err)
		}
		if s.Incomplete != nil {
			source.Incomplete = logs.FirstLine(s.Incomplete)
		}
		list = append(list, source)
	}
	return list
}

// timeOrNull returns nil for the zero time.
func timeOrNull(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return new(at.UTC())
}

func milliseconds(d time.Duration) *float64 {
	ms := float64(d) / float64(time.Millisecond)
	return &ms
}

// StatusRoom is the capacity of a region for one kind of call, and its use.
type StatusRoom struct {
	Held     int64             `json:"in_flight"`
	Capacity *int64            `json:"capacity"` // null without a limit
	Refused  map[string]uint64 `json:"refused"`  // calls answered 503 since this gateway started, by the reason
}

func statusRoom(r *capacity.Room) StatusRoom {
	s := StatusRoom{Held: r.Held(), Refused: make(map[string]uint64, len(capacity.Crowdings))}
	if capacity := r.Capacity(); capacity > 0 {
		s.Capacity = &capacity
	}
	for i, n := range r.Refused() {
		s.Refused[string(capacity.Crowdings[i])] = n
	}
	return s
}
