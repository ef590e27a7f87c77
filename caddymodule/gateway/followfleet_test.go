package gateway

import (
	"context"
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/edgegate/edgegate/caddymodule/fleet"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/geo"
)

// hashes is a fleet.Store in memory.
type hashes map[string]map[string]string

func (h hashes) HashAll(_ context.Context, key string) (map[string]string, error) {
	return maps.Clone(h[key]), nil
}

func (h hashes) HashSet(_ context.Context, key, field, value string) error {
	if h[key] == nil {
		h[key] = make(map[string]string)
	}
	h[key][field] = value
	return nil
}

func (h hashes) HashDelete(context.Context, string, ...string) error { return nil }

// beatOf is the heartbeat of a gateway that is 9 ms from us-east-1 and has lost
// eu-west-1.
func beatOf(id, region string) fleet.Heartbeat {
	return fleet.Heartbeat{
		Gateway:  id,
		Location: fleet.Location{Region: region, Source: regions.LocationConfigured},
		At:       time.Now(),
		Regions: map[string]fleet.ObservedRegion{
			"us-east-1": {RTT: new(9.0), State: regions.StateUp},
			"eu-west-1": {State: regions.StateDown},
		},
	}
}

// What other gateways tell is in status and explain.
func TestFleet(t *testing.T) {
	config, _ := drainApp(t)
	load(t, config)
	app := runningApp(t)
	if status := app.Status(); status.Fleet != nil || status.Misrouted != nil {
		t.Errorf("alone: %+v", status)
	}
	own := app.heartbeat()
	if own.Gateway != app.gatewayID() || own.Gateway == "" || own.Regions["eu-west-1"].State != regions.StateUnknown {
		t.Errorf("heartbeat %+v", own)
	}
	shared := make(hashes)
	for _, beat := range []fleet.Heartbeat{beatOf("tokyo", "ap-northeast-1"), beatOf("paris", "eu-west-3"), own} {
		if err := app.shared.fleet.Exchange(t.Context(), shared, beat); err != nil {
			t.Fatal(err)
		}
	}
	for _, country := range []string{"JP", "DE", "JP", "KR"} {
		app.shared.fleet.CountCall(geo.Client{Country: country})
	}
	if status := app.Status(); len(status.Fleet) != 3 || len(status.Misrouted) != 2 || status.Gateway != own.Gateway {
		t.Errorf("status: %+v", status)
	}
}

// What other gateways order is taken over; nonsense in Redis is not.
func TestFollowDrains(t *testing.T) {
	config, _ := drainApp(t)
	load(t, config)
	app := runningApp(t)
	text, err := json.Marshal(regions.Drain{Since: time.Now().Add(-time.Hour), Over: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	app.drains = fleet.NewDrainStore(app.drainsPath(), hashes{
		"edge:{fleet}:drains": {"eu-west-1": string(text), "us-east-1": "{", "mars": string(text), "moon": "{"},
	})
	for range 2 {
		if err := app.followDrains(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	app.network.Refresh(time.Now())
	if a, b := regionState(t, "eu-west-1"), regionState(t, "us-east-1"); a != regions.StateDrained || b != regions.StateUnknown {
		t.Errorf("%s and %s", a, b)
	}
	kept, err := app.drains.Load()
	if err != nil || len(kept) != 1 {
		t.Errorf("kept: %v, %v", kept, err)
	}
}
