package gateway

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// exporterMetric is one number of each exporter. Its label is the exporter's name:
// as many as are configured.
type exporterMetric struct {
	name string
	help string
	read func(*exportState) float64
}

var exporterMetrics = []exporterMetric{
	{"edgegate_exporter_failing", "Whether the last round of the exporter failed; it is tried again.", func(s *exportState) float64 {
		return oneIf(s.err != nil && !errors.Is(s.err, errNoTurn))
	}},
	{"edgegate_exporter_last_success_timestamp_seconds", "When the exporter last had all lines that are final, but those held or rejected; 0 before.", func(s *exportState) float64 {
		if s.worked.IsZero() {
			return 0
		}
		return float64(s.worked.Unix())
	}},
	{"edgegate_exporter_due", "Days or hours of organizations of which the exporter may not have all.", func(s *exportState) float64 { return float64(s.standing.Due) }},
	{"edgegate_exporter_unanswered", "Messages of which it is not known whether they arrived.", func(s *exportState) float64 { return float64(s.standing.Unanswered) }},
	{"edgegate_exporter_held", "Messages of the last round that wait, for a customer for instance.", func(s *exportState) float64 {
		held := 0
		for _, n := range s.result.Held {
			held += n
		}
		return float64(held)
	}},
	{"edgegate_exporter_rejected", "Messages that the exporter's service does not take.", func(s *exportState) float64 { return float64(s.standing.Rejected) }},
}

// describeExporters makes the descriptions of exporterMetrics.
func describeExporters() []*prometheus.Desc {
	descs := make([]*prometheus.Desc, len(exporterMetrics))
	for i, m := range exporterMetrics {
		descs[i] = prometheus.NewDesc(m.name, m.help, []string{"exporter"}, nil)
	}
	return descs
}

// collectExporters reads them.
func (c *collector) collectExporters(values chan<- prometheus.Metric) {
	opened := c.app.books.open.Load()
	if opened == nil {
		return
	}
	for _, exporter := range c.app.exporters {
		s := opened.bill.exporting.state(exporter.Name())
		for i, m := range exporterMetrics {
			values <- prometheus.MustNewConstMetric(c.exporters[i], prometheus.GaugeValue, m.read(&s), exporter.Name())
		}
	}
}
