package metrics

import (
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Register adds the metrics to a registry. read is called once a scrape, possibly
// by several scrapes at the same time. Where a gateway's metrics are registered
// already, they stay as they are.
func Register(registry prometheus.Registerer, read func() Values) error {
	err := registry.Register(newCollector(read))
	if registered := (prometheus.AlreadyRegisteredError{}); err != nil && !errors.As(err, &registered) {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return nil
}

// collector reads the metrics of a gateway: those of the tables gatewayMetrics,
// regionMetrics and exporterMetrics, and of room.go. A new metric is a row there.
type collector struct {
	read      func() Values
	gateway   []*prometheus.Desc // of gatewayMetrics, in their order
	regions   []*prometheus.Desc // of regionMetrics
	exporters []*prometheus.Desc // of exporterMetrics
}

func newCollector(read func() Values) *collector {
	c := &collector{read: read}
	for _, m := range gatewayMetrics {
		c.gateway = append(c.gateway, prometheus.NewDesc(m.name, m.help, nil, nil))
	}
	for _, m := range regionMetrics {
		c.regions = append(c.regions, prometheus.NewDesc(m.name, m.help, []string{"region"}, nil))
	}
	for _, m := range exporterMetrics {
		c.exporters = append(c.exporters, prometheus.NewDesc(m.name, m.help, []string{"exporter"}, nil))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range slices.Concat(c.gateway, c.regions, roomDescs, requestDescs, c.exporters) {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(metrics chan<- prometheus.Metric) {
	v := c.read()
	for i, m := range gatewayMetrics {
		metrics <- prometheus.MustNewConstMetric(c.gateway[i], m.kind, m.read(&v))
	}
	for i, m := range regionMetrics {
		for k := range v.Regions {
			if value := m.read(&v.Regions[k]); value != nil {
				metrics <- prometheus.MustNewConstMetric(c.regions[i], prometheus.GaugeValue, *value, v.Regions[k].Name)
			}
		}
	}
	collectRoom(&v, metrics)
	collectRequests(v.Requests, metrics)
	for k := range v.Exporters {
		for i, m := range exporterMetrics {
			metrics <- prometheus.MustNewConstMetric(c.exporters[i], prometheus.GaugeValue, m.read(&v.Exporters[k]), v.Exporters[k].Name)
		}
	}
}

// oneIf is the value of a metric that says yes or no.
func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// Interface guards
var _ prometheus.Collector = (*collector)(nil)
