package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/geo"
	"github.com/edgegate/edgegate/regions/spelling"
)

const (
	// gatewaysKey is the hash of the gateways' heartbeats in Redis: a gateway's
	// id, and what it knows as JSON.
	gatewaysKey = "edge:{fleet}:gateways"
	// fleetSilence is after how long without a heartbeat a gateway is left out,
	// fleetForget after how long its heartbeat is removed.
	fleetSilence = 15 * time.Second
	fleetForget  = time.Hour
	// misrouted is by how much another gateway must be nearer to a country for
	// its clients to count as misrouted.
	misrouted = 30 * time.Millisecond
)

// heartbeat is what a gateway tells the others.
type heartbeat struct {
	Gateway string                     `json:"gateway"`
	Host    string                     `json:"host"`
	Version string                     `json:"version"`
	Place   StatusLocation             `json:"location"`
	At      time.Time                  `json:"at"`
	Regions map[string]heartbeatRegion `json:"regions"`
}

// heartbeatRegion is how a gateway sees a region.
type heartbeatRegion struct {
	RTT   *float64      `json:"rtt_ms"`
	State regions.State `json:"state"`
}

// fleet is what is known of all gateways that share a store.
type fleet struct {
	last  atomic.Pointer[[]heartbeat] // of those that are heard, this one among them
	calls [26 * 26]atomic.Int64       // by the country they came from
}

// newFleet returns the fleet as a gateway knows it that has just started.
func newFleet() *fleet { return new(fleet) }

// gatewayID names this gateway: everywhere the id of its ledger, which stays over restarts on the same directory. It is empty before the
// ledger is open.
func (a *App) gatewayID() string {
	if a.books == nil {
		return ""
	}
	opened := a.books.open.Load()
	if opened == nil {
		return ""
	}
	return opened.ledger.Instance()
}

// hostname is the machine that the gateway runs on, for people; empty if the system does not say.
func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// count notes a call from a country.
func (f *fleet) count(c geo.Client) {
	if len(c.Country) == 2 {
		if i := 26*(int(c.Country[0])-'A') + int(c.Country[1]) - 'A'; i >= 0 && i < len(f.calls) {
			f.calls[i].Add(1)
		}
	}
}

// beat tells the others what this gateway knows.
func (a *App) beat(ctx context.Context) error {
	status := a.status()
	if status.Gateway == "" {
		return nil // it has no name yet
	}
	own := heartbeat{
		Gateway: status.Gateway, Host: status.Host, Version: status.Version, Place: status.Location, At: time.Now().UTC(),
		Regions: make(map[string]heartbeatRegion, len(status.Regions)),
	}
	for _, r := range status.Regions {
		own.Regions[r.Region] = heartbeatRegion{RTT: r.RTT, State: r.State}
	}
	text, err := json.Marshal(own)
	if err != nil {
		return err
	}
	return a.memory.conn.HashSet(ctx, gatewaysKey, own.Gateway, string(text))
}

// listen takes in what the others know.
func (a *App) listen(ctx context.Context) error {
	fields, err := a.memory.conn.HashAll(ctx, gatewaysKey)
	if err != nil {
		return err
	}
	heard, gone := a.lease.fleet.take(fields, time.Now())
	a.lease.fleet.last.Store(&heard)
	return a.memory.conn.HashDelete(ctx, gatewaysKey, gone...)
}

// take reads heartbeats, and returns those that are fresh and the names of those
// to be forgotten.
func (f *fleet) take(fields map[string]string, now time.Time) (heard []heartbeat, gone []string) {
	for id, text := range fields {
		var h heartbeat
		if err := json.Unmarshal([]byte(text), &h); err != nil || h.Gateway != id {
			continue // another version's, or nobody's
		}
		switch age := now.Sub(h.At); {
		case age > fleetForget:
			gone = append(gone, id)
		case age <= fleetSilence:
			heard = append(heard, h)
		}
	}
	slices.SortFunc(heard, func(a, b heartbeat) int { return cmp.Compare(a.Gateway, b.Gateway) })
	return heard, gone
}

// followFleet tells and listens until ctx is done. While Redis is away what was
// heard last stands.
func (a *App) followFleet(ctx context.Context) {
	tick := time.NewTicker(fleetEvery)
	defer tick.Stop()
	failing := false
	for {
		err := errors.Join(a.beat(ctx), a.listen(ctx), a.followDrains(ctx))
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failing {
			a.logger.Warn("the other gateways are not heard: drains of theirs come later", zap.Error(err))
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// MisroutedClients are calls from a country that another gateway is nearer to.
type MisroutedClients struct {
	Country string  `json:"country"`
	Calls   int64   `json:"calls"` // here, since the gateway started
	Gateway string  `json:"gateway"`
	Region  string  `json:"region"` // where that gateway is
	Saves   float64 `json:"saves_ms"`
}

// misroutedClients lists what better gateways there are for which countries, the
// most calls first.
func (a *App) misroutedClients() []MisroutedClients {
	list := []MisroutedClients{}
	heard := a.lease.fleet.last.Load()
	if heard == nil {
		return list
	}
	own := geo.TargetOf(a.network.View().Location.Place)
	if own == nil {
		return list
	}
	for i := range a.lease.fleet.calls {
		calls := a.lease.fleet.calls[i].Load()
		if calls == 0 {
			continue
		}
		client := geo.Client{Country: string([]byte{byte('A' + i/26), byte('A' + i%26)})}
		here, ok := geo.ClientRTT(client, own)
		if !ok {
			continue
		}
		if best, saves := nearer(client, here, *heard, a.gatewayID()); best != nil {
			list = append(list, MisroutedClients{
				Country: client.Country, Calls: calls, Gateway: best.Gateway, Region: best.Place.Region, Saves: *milliseconds(saves),
			})
		}
	}
	slices.SortStableFunc(list, func(a, b MisroutedClients) int { return cmp.Compare(b.Calls, a.Calls) })
	return list
}

// nearer returns the gateway that is nearest to a client, if it is so by more
// than what counts, and by how much.
func nearer(client geo.Client, here time.Duration, heard []heartbeat, own string) (best *heartbeat, saves time.Duration) {
	saves = misrouted
	for i := range heard {
		h := &heard[i]
		place := geo.Place{Region: h.Place.Region}
		if c := h.Place.Coordinates; c != nil {
			place.Coordinates, place.Known = geo.Coordinates{Latitude: c[0], Longitude: c[1]}, true
		}
		if h.Gateway == own {
			continue
		}
		if rtt, ok := geo.ClientRTT(client, geo.TargetOf(place)); ok && here-rtt > saves {
			best, saves = h, here-rtt
		}
	}
	return best, saves
}

// viewAt is the regions as another gateway sees them, by its id or the region
// where it is. Loads are this gateway's: each counts its own.
func (a *App) viewAt(gateway string) (*regions.View, error) {
	var names []string
	if heard := a.lease.fleet.last.Load(); heard != nil {
		for i := range *heard {
			h := &(*heard)[i]
			if gateway == h.Gateway || gateway == h.Place.Region {
				return h.view(a.network.View()), nil
			}
			names = append(names, h.Gateway)
		}
	}
	if len(names) == 0 {
		return nil, errors.New("at: no other gateway is heard; they need a `store redis` that they share")
	}
	return nil, fmt.Errorf("at %q: no such gateway is heard%s; heard are %s", gateway, spelling.DidYouMean(gateway, names), strings.Join(names, ", "))
}

// view is own with the distances and verdicts of the heartbeat.
func (h *heartbeat) view(own *regions.View) *regions.View {
	v := *own
	v.Regions = slices.Clone(own.Regions)
	v.Ranked = true
	v.Location = regions.Location{Place: geo.Place{Region: h.Place.Region}, Source: h.Place.Source}
	for i := range v.Regions {
		r := &v.Regions[i]
		seen, ok := h.Regions[r.Region.Name]
		if !ok {
			continue // not among that gateway's regions
		}
		r.State, r.Health = seen.State, seen.State
		if r.Healthy = len(r.Backends); seen.State == regions.StateDown {
			r.Healthy = 0
		}
		if r.Known = seen.RTT != nil; r.Known {
			r.Distance = regions.Distance{RTT: time.Duration(*seen.RTT * float64(time.Millisecond))}
			r.Score = r.Distance.RTT + r.Region.Bias
		}
	}
	v.Order = slices.Clone(own.Order)
	slices.SortStableFunc(v.Order, func(a, b int) int { return cmp.Compare(v.Regions[a].Score, v.Regions[b].Score) })
	return &v
}
