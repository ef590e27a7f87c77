package gateway

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edgegate/edgegate/regions"
)

// regionMetric is one number of each region. Its label is the region's name: as
// many as are configured.
type regionMetric struct {
	name string
	help string
	read func(*RegionStatus) *float64 // nil while nothing is known
}

var regionMetrics = []regionMetric{
	{"edgegate_region_up", "Whether the region takes requests: 0 if it is down or drained.", func(r *RegionStatus) *float64 {
		return new(oneIf(r.State != regions.StateDown && r.State != regions.StateDrained))
	}},
	{"edgegate_region_degraded", "Whether the region is slow, or fails now and then.", func(r *RegionStatus) *float64 {
		return new(oneIf(r.State == regions.StateDegraded))
	}},
	{"edgegate_region_drained_ratio", "Part of the requests that an order to drain keeps away, 0 to 1.", func(r *RegionStatus) *float64 {
		if r.Drain == nil {
			return new(0.0)
		}
		return &r.Drain.Gone
	}},
	{"edgegate_region_rtt_seconds", "Round trip to the region that decides.", func(r *RegionStatus) *float64 {
		if r.RTT == nil {
			return nil
		}
		return new(*r.RTT / 1000)
	}},
	{"edgegate_region_requests_in_flight", "Requests that run in the region for this gateway.", func(r *RegionStatus) *float64 {
		return new(float64(r.InFlight))
	}},
	{"edgegate_region_capacity", "Requests that the region can run at once, where it is configured.", func(r *RegionStatus) *float64 {
		if r.Capacity == nil {
			return nil
		}
		return new(float64(*r.Capacity))
	}},
	{"edgegate_region_backends", "Backends of the region.", func(r *RegionStatus) *float64 { return new(float64(len(r.Backends))) }},
	{"edgegate_region_backends_down", "Backends of the region that are down.", func(r *RegionStatus) *float64 {
		down := slices.DeleteFunc(slices.Clone(r.Backends), func(b BackendStatus) bool { return b.State != regions.StateDown })
		return new(float64(len(down)))
	}},
}

// describeRegions makes the descriptions of regionMetrics.
func describeRegions() []*prometheus.Desc {
	descs := make([]*prometheus.Desc, len(regionMetrics))
	for i, m := range regionMetrics {
		descs[i] = prometheus.NewDesc(m.name, m.help, []string{"region"}, nil)
	}
	return descs
}

// collectRegions reads them.
func (c *collector) collectRegions(values chan<- prometheus.Metric) {
	list := c.app.regionStatus()
	for i, m := range regionMetrics {
		for k := range list {
			if value := m.read(&list[k]); value != nil {
				values <- prometheus.MustNewConstMetric(c.regions[i], prometheus.GaugeValue, *value, list[k].Region)
			}
		}
	}
}
