package metrics

import "github.com/edgegate/edgegate/regions"

// regionMetric is one number of each region. Its label is the region's name.
type regionMetric struct {
	name string
	help string
	read func(*Region) *float64 // nil while nothing is known: the metric is then left out
}

// regionMetrics are the metrics with no other label than the region, all of them
// gauges. A new one is one more row.
var regionMetrics = []regionMetric{
	{
		"edgegate_region_up", "Whether the region takes requests: 0 if it is down or drained, or no backends of it are known.",
		func(r *Region) *float64 {
			return new(oneIf(r.Backends > 0 && r.State != regions.StateDown && r.State != regions.StateDrained))
		},
	},
	{
		"edgegate_region_degraded", "Whether the region is slow, or fails now and then.",
		func(r *Region) *float64 { return new(oneIf(r.State == regions.StateDegraded)) },
	},
	{
		"edgegate_region_drained_ratio", "Part of the requests that an order to drain keeps away, 0 to 1.",
		func(r *Region) *float64 { return &r.Drained },
	},
	{
		"edgegate_region_rtt_seconds", "Round trip to the region that decides.",
		func(r *Region) *float64 {
			if r.RTT == nil {
				return nil
			}
			return new(r.RTT.Seconds())
		},
	},
	{
		"edgegate_region_requests_in_flight", "Requests that run in the region for this gateway.",
		func(r *Region) *float64 { return new(float64(r.InFlight)) },
	},
	{
		"edgegate_region_capacity", "Requests that the region can run at once, where it is configured.",
		func(r *Region) *float64 {
			if r.Capacity == nil {
				return nil
			}
			return new(float64(*r.Capacity))
		},
	},
	{
		"edgegate_region_backends", "Backends that count for the state of the region: without new ones that passed no probe yet, and those that are leaving.",
		func(r *Region) *float64 { return new(float64(r.Backends)) },
	},
	{
		"edgegate_region_backends_down", "Backends of the region that are down, without new ones and those that are leaving.",
		func(r *Region) *float64 { return new(float64(r.BackendsDown)) },
	},
	{
		"edgegate_region_breakers_open", "Backends of the region that get no calls for a while, after connections failed.",
		func(r *Region) *float64 { return new(float64(r.BreakersOpen)) },
	},
	{
		"edgegate_region_backends_entering", "New backends of the region that get none or few of its calls yet.",
		func(r *Region) *float64 { return new(float64(r.BackendsEntering)) },
	},
	{
		"edgegate_region_backends_leaving", "Backends that left the list of the region and still run calls.",
		func(r *Region) *float64 { return new(float64(r.BackendsLeaving)) },
	},
	{
		"edgegate_region_backend_lists_failing", "Sources of the region's backends whose look-ups fail; their last lists, if any, stay in use.",
		func(r *Region) *float64 { return new(float64(r.ListsFailing)) },
	},
	{
		"edgegate_region_backend_list_age_seconds", "Time since the region's backends were last looked up with success, of the oldest list.",
		func(r *Region) *float64 {
			if r.ListAge == nil {
				return nil
			}
			return new(r.ListAge.Seconds())
		},
	},
}
