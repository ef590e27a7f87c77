package gateway

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/geo"
)

// beatOf is the heartbeat of a gateway that is 9 ms from us-east-1 and has lost
// eu-west-1.
func beatOf(t *testing.T, id, region string, at time.Time) string {
	t.Helper()
	near := 9.0
	text, err := json.Marshal(heartbeat{
		Gateway: id, Place: StatusLocation{Region: region, Source: regions.LocationConfigured}, At: at,
		Regions: map[string]heartbeatRegion{"us-east-1": {&near, regions.StateUp}, "eu-west-1": {nil, regions.StateDown}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Gateways that are silent are left out and forgotten an hour later; what is no
// heartbeat is neither.
func TestFleetTake(t *testing.T) {
	now := time.Now()
	heard, gone := newFleet().take(map[string]string{
		"b": beatOf(t, "b", "us-east-1", now), "a": beatOf(t, "a", "eu-west-1", now.Add(-10*time.Second)),
		"silent": beatOf(t, "silent", "eu-west-1", now.Add(-time.Minute)), "old": beatOf(t, "old", "eu-west-1", now.Add(-2*time.Hour)),
		"bad": "{", "other": beatOf(t, "b", "us-east-1", now),
	}, now)
	if len(heard) != 2 || heard[0].Gateway != "a" || heard[1].Gateway != "b" || !slices.Equal(gone, []string{"old"}) {
		t.Errorf("heard %+v, gone %v", heard, gone)
	}
}

// Clients of a country that another gateway is much nearer to are misrouted.
func TestMisroutedClients(t *testing.T) {
	config, _ := drainApp(t)
	load(t, config)
	app := runningApp(t)
	if got := app.misroutedClients(); len(got) != 0 {
		t.Errorf("alone: %+v", got)
	}
	now := time.Now()
	heard, _ := app.lease.fleet.take(map[string]string{
		app.gatewayID(): beatOf(t, app.gatewayID(), "eu-central-1", now),
		"tokyo":         beatOf(t, "tokyo", "ap-northeast-1", now), "paris": beatOf(t, "paris", "eu-west-3", now),
		"nowhere": beatOf(t, "nowhere", "", now),
	}, now)
	app.lease.fleet.last.Store(&heard)
	for _, country := range []string{"JP", "DE", "JP", "", "j", "zz", "KR"} {
		app.lease.fleet.count(geo.Client{Country: country})
	}
	got := app.misroutedClients()
	if len(got) != 2 || got[0].Country != "JP" || got[0].Calls != 2 || got[0].Gateway != "tokyo" || got[0].Region != "ap-northeast-1" || got[0].Saves < 100 ||
		got[1].Country != "KR" {
		t.Errorf("got %+v", got)
	}
	for at, want := range map[string]string{"tokyo": `"chosen":"us-east-1"`, "ap-northeast-1": `"chosen":"us-east-1"`, app.gatewayID(): `"chosen":`} {
		w, err := ask(t, http.MethodGet, "/edge_functions/explain?at="+at)
		if err != nil || !strings.Contains(w.Body.String(), want) {
			t.Errorf("at %s: %v, %s", at, err, w.Body)
		}
	}
	if _, err := ask(t, http.MethodGet, "/edge_functions/explain?at=tokio"); err == nil || !strings.Contains(err.Error(), `did you mean "tokyo"?`) {
		t.Errorf("at nowhere: %v", err)
	}
	if status := app.status(); len(status.Fleet) != 4 || len(status.Misrouted) != 2 || status.Gateway != app.gatewayID() {
		t.Errorf("status: %+v", status)
	}
}
