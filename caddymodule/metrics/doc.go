// Package metrics exports what a gateway knows of itself to Prometheus.
//
// It decides the names, help texts, types and labels of all metrics, and nothing
// about the numbers: a gateway fills in [Values] whenever metrics are scraped.
// No metric has functions, keys or clients as labels, and only the busiest projects
// if an operator wants it; there are too many of them. Labels are regions, exporters
// and values of closed lists, of which there are as many as are configured.
//
// [Requests] counts single requests as they end, since nobody else does.
//
// To add a metric, add a field to [Values] (or to [Region], [Exporter]), have the
// gateway fill it in (caddymodule/gateway/scrape.go), and add one row to the table
// that it belongs to: gatewayMetrics (gateway.go), regionMetrics (regions.go) or
// exporterMetrics (exporters.go). docs/metrics.md lists the metrics; a test compares
// them.
//
//	err := metrics.Register(ctx.GetMetricsRegistry(), app.scrape)
package metrics
