package gateway

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// The metrics of room. Their labels are regions, kinds of room, reasons and
// scopes, never who called.
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
)

func describeRoom() []*prometheus.Desc {
	return []*prometheus.Desc{roomRefused, roomSockets, roomSocketsMost, inFlightRefused}
}

func (c *collector) collectRoom(values chan<- prometheus.Metric) {
	for _, r := range c.app.regionStatus() {
		values <- prometheus.MustNewConstMetric(roomSockets, prometheus.GaugeValue, float64(r.Sockets.Held), r.Region)
		if most := r.Sockets.Capacity; most != nil {
			values <- prometheus.MustNewConstMetric(roomSocketsMost, prometheus.GaugeValue, float64(*most), r.Region)
		}
		for room, refused := range map[string]map[string]uint64{"calls": r.Refused, "websockets": r.Sockets.Refused} {
			for _, reason := range slices.Sorted(maps.Keys(refused)) {
				values <- prometheus.MustNewConstMetric(roomRefused, prometheus.CounterValue, float64(refused[reason]), r.Region, room, reason)
			}
		}
	}
	for i, scope := range inFlightScopes {
		n := c.app.lease.inFlight.refused[i].Load()
		values <- prometheus.MustNewConstMetric(inFlightRefused, prometheus.CounterValue, float64(n), scope)
	}
}
