package metrics

// exporterMetric is one number of each exporter. Its label is the exporter's name.
type exporterMetric struct {
	name string
	help string
	read func(*Exporter) float64
}

// exporterMetrics are the metrics with the label exporter, all of them gauges. A
// new one is one more row.
var exporterMetrics = []exporterMetric{
	{
		"edgegate_exporter_failing", "Whether the last round of the exporter failed; it is tried again.",
		func(x *Exporter) float64 { return oneIf(x.Failing) },
	},
	{
		"edgegate_exporter_last_success_timestamp_seconds", "When the exporter last had all lines that are final, but those held or rejected; 0 before.",
		func(x *Exporter) float64 {
			if x.LastSuccess.IsZero() {
				return 0
			}
			return float64(x.LastSuccess.Unix())
		},
	},
	{
		"edgegate_exporter_due", "Days or hours of organizations of which the exporter may not have all.",
		func(x *Exporter) float64 { return float64(x.Due) },
	},
	{
		"edgegate_exporter_unanswered", "Messages of which it is not known whether they arrived.",
		func(x *Exporter) float64 { return float64(x.Unanswered) },
	},
	{
		"edgegate_exporter_held", "Messages of the last round that wait, for a customer for instance.",
		func(x *Exporter) float64 { return float64(x.Held) },
	},
	{
		"edgegate_exporter_rejected", "Messages that the exporter's service does not take.",
		func(x *Exporter) float64 { return float64(x.Rejected) },
	},
}
