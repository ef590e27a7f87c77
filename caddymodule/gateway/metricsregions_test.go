package gateway

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/regions"
)

func TestRegionMetrics(t *testing.T) {
	config, _ := drainApp(t)
	load(t, config)
	if _, err := post(t, "/edge_functions/drain", `{"region":"eu-west-1","over":"0s"}`); err != nil {
		t.Fatal(err)
	}
	values := make(map[string]map[string]float64) // by name and region
	ctx := caddy.ActiveContext()
	families, err := ctx.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		name, ok := strings.CutPrefix(family.GetName(), "edgegate_region_")
		if !ok {
			continue
		}
		values[name] = make(map[string]float64)
		for _, m := range family.GetMetric() {
			values[name][m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]map[string]float64{
		"up":                 {"eu-west-1": 0, "us-east-1": 1},
		"drained_ratio":      {"eu-west-1": 1, "us-east-1": 0},
		"requests_in_flight": {"eu-west-1": 0, "us-east-1": 0},
		"backends":           {"eu-west-1": 2, "us-east-1": 1},
	} {
		if !maps.Equal(values[name], want) {
			t.Errorf("%s is %v, want %v", name, values[name], want)
		}
	}
	if _, known := values["capacity"]; known {
		t.Errorf("capacity is %v, though none is configured", values["capacity"])
	}
}

func TestRegionMetricsOfStates(t *testing.T) {
	for state, want := range map[regions.State]struct{ up, degraded, down float64 }{
		regions.StateUnknown:  {1, 0, 0},
		regions.StateUp:       {1, 0, 0},
		regions.StateDegraded: {1, 1, 0},
		regions.StateDown:     {0, 0, 1},
		regions.StateDrained:  {0, 0, 0},
	} {
		capacity := int64(7)
		r := RegionStatus{State: state, RTT: milliseconds(20 * time.Millisecond), Capacity: &capacity, Backends: []BackendStatus{{State: state}}}
		values := make(map[string]float64)
		for _, m := range regionMetrics {
			values[m.name] = *m.read(&r)
		}
		if values["edgegate_region_up"] != want.up || values["edgegate_region_degraded"] != want.degraded || values["edgegate_region_backends_down"] != want.down {
			t.Errorf("%s: %v", state, values)
		}
		if values["edgegate_region_rtt_seconds"] != 0.02 || values["edgegate_region_capacity"] != 7 {
			t.Errorf("%s: %v", state, values)
		}
	}
}
