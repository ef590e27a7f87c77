package metrics

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// The metrics of the room that regions have, of the caps on calls in flight, of probes
// and of changes of state. They have labels of their own.
var (
	roomRefused = prometheus.NewDesc("edgegate_region_refused_total",
		"Calls answered 503 since the region had no room for them: all was taken (full), or too much by the project (fair_share, capacity_share).",
		[]string{"region", "room", "reason"}, nil)
	roomSockets = prometheus.NewDesc("edgegate_region_websockets",
		"WebSockets that are open in the region for this gateway.", []string{"region"}, nil)
	roomSocketsMost = prometheus.NewDesc("edgegate_region_websockets_limit",
		"WebSockets that can be open in the region at once, where there is a limit.", []string{"region"}, nil)
	inFlightRefused = prometheus.NewDesc("edgegate_in_flight_refused_total",
		"Calls answered 503 since too many of one project, function or client were in flight.", []string{"scope"}, nil)
	probesTotal = prometheus.NewDesc("edgegate_region_probes_total",
		"Probes of the backends of the region that passed or failed.", []string{"region", "result"}, nil)
	changesTotal = prometheus.NewDesc("edgegate_state_changes_total",
		"Changes of state that the log has (`state changed`), by what changed and the state it entered.", []string{"kind", "state"}, nil)
)

// roomDescs are all of them.
var roomDescs = []*prometheus.Desc{roomRefused, roomSockets, roomSocketsMost, inFlightRefused, probesTotal, changesTotal}

func collectRoom(v *Values, metrics chan<- prometheus.Metric) {
	for i := range v.Regions {
		r := &v.Regions[i]
		metrics <- prometheus.MustNewConstMetric(roomSockets, prometheus.GaugeValue, float64(r.WebSockets.Held), r.Name)
		if capacity := r.WebSockets.Capacity; capacity != nil {
			metrics <- prometheus.MustNewConstMetric(roomSocketsMost, prometheus.GaugeValue, float64(*capacity), r.Name)
		}
		metrics <- count(probesTotal, r.ProbesPassed, r.Name, "passed")
		metrics <- count(probesTotal, r.ProbesFailed, r.Name, "failed")
		for room, refused := range map[string]map[string]uint64{"calls": r.Refused, "websockets": r.WebSockets.Refused} {
			for _, reason := range slices.Sorted(maps.Keys(refused)) {
				metrics <- prometheus.MustNewConstMetric(roomRefused, prometheus.CounterValue, float64(refused[reason]), r.Name, room, reason)
			}
		}
	}
	for change, n := range v.Changes {
		metrics <- count(changesTotal, n, change.Kind, change.State)
	}
	for _, scope := range slices.Sorted(maps.Keys(v.InFlight.Refused)) {
		metrics <- prometheus.MustNewConstMetric(inFlightRefused, prometheus.CounterValue, float64(v.InFlight.Refused[scope]), scope)
	}
}
