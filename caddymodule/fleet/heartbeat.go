package fleet

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/geo"
)

const (
	// gatewaysKey is the hash of the heartbeats in Redis.
	gatewaysKey = "edge:{fleet}:gateways"

	// Interval is the time between two heartbeats of a gateway.
	Interval = 2 * time.Second

	// A gateway is silent silentAfter its last heartbeat, which is removed from Redis
	// after forgottenAfter.
	silentAfter    = 15 * time.Second
	forgottenAfter = time.Hour
)

// Heartbeat is the state of a gateway, as it is sent to the others.
type Heartbeat struct {
	Gateway  string                    `json:"gateway"` // id of the gateway and of its ledger
	Host     string                    `json:"host"`    // name of the machine
	Version  string                    `json:"version"`
	Location Location                  `json:"location"`
	At       time.Time                 `json:"at"`
	Regions  map[string]ObservedRegion `json:"regions"`
}

// Location is the location of a gateway and its source.
type Location struct {
	Region      string                 `json:"region"` // "" when only coordinates are known
	Coordinates *[2]float64            `json:"coordinates,omitempty"`
	Source      regions.LocationSource `json:"source"`
}

// place returns the location as package regions has it.
func (l *Location) place() geo.Place {
	place := geo.Place{Region: l.Region}
	if c := l.Coordinates; c != nil {
		place.Coordinates, place.Known = geo.Coordinates{Latitude: c[0], Longitude: c[1]}, true
	}
	return place
}

// ObservedRegion is a region as one gateway sees it.
type ObservedRegion struct {
	RTT   *float64      `json:"rtt_ms"` // null while it is not known
	State regions.State `json:"state"`
}

// lastBeat is the latest heartbeat of a gateway, and when this one first read it.
type lastBeat struct {
	text string
	at   time.Time
	// since is the age of the heartbeat then. Of one that was there when this gateway
	// began to listen, it is what the clocks say; the next one has 0.
	since time.Duration
}

// parseHeartbeats returns the heartbeats of the gateways that are heard, by their
// ids, and the ids of those whose heartbeat is to be removed. A gateway is heard as
// long as its heartbeat changes, whatever its clock says. Fields that are no
// heartbeats are left alone: another version may have written them.
func (f *Fleet) parseHeartbeats(fields map[string]string) (heard []Heartbeat, forgotten []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, beats := f.now(), make(map[string]lastBeat, len(fields))
	for id, text := range fields {
		var h Heartbeat
		if err := json.Unmarshal([]byte(text), &h); err != nil || h.Gateway != id {
			continue
		}
		beat, known := f.beats[id]
		switch {
		case !known:
			beat = lastBeat{text: text, at: now, since: max(0, now.Sub(h.At))}
		case beat.text != text:
			beat = lastBeat{text: text, at: now}
		}
		beats[id] = beat
		unchanged := now.Sub(beat.at)
		switch age := beat.since + unchanged; {
		case age <= silentAfter:
			heard = append(heard, h)
		case age > forgottenAfter && unchanged > silentAfter:
			forgotten = append(forgotten, id)
		}
	}
	f.beats = beats
	slices.SortFunc(heard, func(a, b Heartbeat) int { return cmp.Compare(a.Gateway, b.Gateway) })
	return heard, forgotten
}

// view returns own with the distances and states that the heartbeat has. Loads
// stay those of own: each gateway counts its own.
func (h *Heartbeat) view(own *regions.View) *regions.View {
	v := *own
	v.Regions = slices.Clone(own.Regions)
	v.Ranked = true
	v.Location = regions.Location{Place: geo.Place{Region: h.Location.Region}, Source: h.Location.Source}
	for i := range v.Regions {
		r := &v.Regions[i]
		observed, ok := h.Regions[r.Region.Name]
		if !ok {
			continue // not among that gateway's regions
		}
		r.State, r.Health = observed.State, observed.State
		r.Healthy = max(1, len(r.Backends)) // this gateway may have no list of them
		if observed.State == regions.StateDown {
			r.Healthy = 0
		}
		r.Known = observed.RTT != nil
		if r.Known {
			r.Distance = regions.Distance{RTT: time.Duration(*observed.RTT * float64(time.Millisecond))}
			r.Score = r.Distance.RTT + r.Region.Bias
		}
	}
	v.Order = slices.Clone(own.Order)
	slices.SortStableFunc(v.Order, func(a, b int) int { return cmp.Compare(v.Regions[a].Score, v.Regions[b].Score) })
	return &v
}
