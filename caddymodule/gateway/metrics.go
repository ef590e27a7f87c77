package gateway

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// metric is one number that is read when metrics are scraped. None has labels:
// projects, functions and keys are too many to be counted apart. For regions
// see regionMetric.
type metric struct {
	name string
	help string
	kind prometheus.ValueType
	read func(*scrape) float64
}

// scrape is what the metrics of one scrape are read from.
type scrape struct {
	app    *App
	status StatusProjects
	state  projectState
}

var metrics = []metric{
	{"edgegate_projects", "Projects in force.", prometheus.GaugeValue, func(s *scrape) float64 { return float64(s.status.Projects) }},
	{"edgegate_functions", "Functions of all projects in force.", prometheus.GaugeValue, func(s *scrape) float64 { return float64(s.status.Functions) }},
	{"edgegate_functions_over_plan", "Functions left out because their project's plan allows fewer.", prometheus.GaugeValue, func(s *scrape) float64 { return float64(s.status.OverPlan) }},
	{"edgegate_projects_problems", "Problems of the projects in force that refuse nothing; status lists them.", prometheus.GaugeValue, func(s *scrape) float64 { return float64(s.status.ProblemsTotal) }},
	{"edgegate_projects_loaded_timestamp_seconds", "When the projects in force were loaded, 0 before the first time.", prometheus.GaugeValue, func(s *scrape) float64 {
		if s.status.LoadedAt == nil {
			return 0
		}
		return float64(s.status.LoadedAt.UnixMilli()) / 1000
	}},
	{"edgegate_projects_last_load_successful", "Whether the latest projects are in force (1), or what was loaded before (0).", prometheus.GaugeValue, func(s *scrape) float64 { return oneIf(s.status.Error == nil) }},
	{"edgegate_projects_load_failures_total", "Loads of projects that were refused, or could not be read.", prometheus.CounterValue, func(s *scrape) float64 { return float64(s.state.failures) }},
	{"edgegate_jwks_sets", "Sets of public keys that come from a file or a URL.", prometheus.GaugeValue, func(s *scrape) float64 { return float64(s.status.KeySets.Sets) }},
	{"edgegate_jwks_failing_sets", "Sets of public keys whose last fetch failed; the last good ones serve.", prometheus.GaugeValue, func(s *scrape) float64 { return float64(s.status.KeySets.Failing) }},
	{"edgegate_jwks_oldest_age_seconds", "Age of the oldest of the last good sets of public keys.", prometheus.GaugeValue, func(s *scrape) float64 { return s.status.KeySets.OldestAge }},
	{"edgegate_rate_limited_total", "Requests answered 429 by a rate limit.", prometheus.CounterValue, func(s *scrape) float64 { return float64(s.app.lease.limiter.Stats().Refused) }},
	{"edgegate_rate_limit_shadowed_total", "Requests that only a rate limit in shadow would have refused.", prometheus.CounterValue, func(s *scrape) float64 { return float64(s.app.lease.limiter.Stats().Shadowed) }},
	{"edgegate_rate_limit_buckets", "Buckets of rate limits in memory; full ones are dropped.", prometheus.GaugeValue, func(s *scrape) float64 { return float64(s.app.lease.limiter.Stats().Buckets) }},
	{"edgegate_rate_limit_bytes", "Memory of the buckets of rate limits, at most.", prometheus.GaugeValue, func(s *scrape) float64 { return float64(s.app.lease.limiter.Stats().Bytes) }},
	{"edgegate_rate_limit_budget_bytes", "Memory that the buckets of rate limits may take (`memory limits`).", prometheus.GaugeValue, func(s *scrape) float64 { return float64(s.app.lease.limiter.Stats().Most) }},
	{"edgegate_replay_bytes", "Memory of request bodies that are kept to be sent again.", prometheus.GaugeValue, func(s *scrape) float64 { return float64(s.app.lease.replay.Stats().Bytes) }},
	{"edgegate_replay_budget_bytes", "Memory that kept request bodies may take (`memory replay`).", prometheus.GaugeValue, func(s *scrape) float64 { return float64(s.app.lease.replay.Stats().Most) }},
	{"edgegate_replay_not_kept_total", "Request bodies that were not kept because that memory was used up.", prometheus.CounterValue, func(s *scrape) float64 { return float64(s.app.lease.replay.Stats().Refused) }},
	{"edgegate_in_flight_callers", "Projects, functions and clients with calls in flight that a cap of in_flight counts.", prometheus.GaugeValue, func(s *scrape) float64 { return float64(s.app.lease.inFlight.Len()) }},
	{"edgegate_store_unflushed_seconds", "For how long what was counted did not all get to Redis; 0 with the embedded store.", prometheus.GaugeValue, func(s *scrape) float64 {
		if opened := s.app.books.open.Load(); opened != nil {
			if shared := opened.shared.Load(); shared != nil {
				return shared.mirror.Age().Seconds()
			}
		}
		return 0
	}},
	{"edgegate_store_clock_offset_seconds", "How far the clock of Redis is ahead of this machine's; up to 30 s the billing clock follows it.", prometheus.GaugeValue, func(s *scrape) float64 {
		if opened := s.app.books.open.Load(); opened != nil {
			if shared := opened.shared.Load(); shared != nil {
				return shared.mirror.ClockOffset().Seconds()
			}
		}
		return 0
	}},
	{"edgegate_ledger_writable", "Whether invocations can be recorded (1) or are answered 503 soon (0).", prometheus.GaugeValue, func(s *scrape) float64 {
		opened := s.app.books.open.Load()
		return oneIf(opened != nil && opened.ledger.Healthy() == nil)
	}},
	{"edgegate_ledger_waiting", "Invocations that went on without a record (`meter_unavailable open`) and wait for theirs.", prometheus.GaugeValue, func(s *scrape) float64 {
		if opened := s.app.books.open.Load(); opened != nil {
			return float64(opened.ledger.Waiting())
		}
		return 0
	}},
	{"edgegate_tokens_cache_hits_total", "Tokens that were known to be good.", prometheus.CounterValue, func(s *scrape) float64 { return float64(s.app.lease.tokens.Stats().Hits) }},
	{"edgegate_tokens_cache_bad_hits_total", "Tokens that were known to be bad.", prometheus.CounterValue, func(s *scrape) float64 { return float64(s.app.lease.tokens.Stats().BadHits) }},
	{"edgegate_tokens_cache_misses_total", "Tokens that had to be verified.", prometheus.CounterValue, func(s *scrape) float64 { return float64(s.app.lease.tokens.Stats().Misses) }},
	{"edgegate_tokens_cache_entries", "Tokens in the cache.", prometheus.GaugeValue, func(s *scrape) float64 { return float64(s.app.lease.tokens.Stats().Entries) }},
	{"edgegate_tokens_cache_bytes", "Memory of the tokens in the cache, at most.", prometheus.GaugeValue, func(s *scrape) float64 { return float64(s.app.lease.tokens.Stats().Weight) }},
	{"edgegate_tokens_cache_budget_bytes", "Memory that the tokens in the cache may take (`memory tokens`).", prometheus.GaugeValue, func(s *scrape) float64 { return float64(s.app.lease.tokens.Stats().Most) }},
	{"edgegate_tokens_waiting", "Tokens that wait for a processor to verify their signature, or for keys that are fetched; at most 2048.", prometheus.GaugeValue, func(s *scrape) float64 { return float64(s.app.lease.tokens.Stats().Waiting) }},
	{"edgegate_tokens_overloaded_total", "Tokens that waited in vain, or found too many waiting, and were answered 503.", prometheus.CounterValue, func(s *scrape) float64 { return float64(s.app.lease.tokens.Stats().Busy) }},
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// collector reads the metrics of a configuration.
type collector struct {
	app       *App
	descs     []*prometheus.Desc
	regions   []*prometheus.Desc
	exporters []*prometheus.Desc
}

// registerMetrics adds the metrics to those of the configuration: Caddy makes
// a registry for each.
func (a *App) registerMetrics(ctx caddy.Context) error {
	c := &collector{app: a, regions: describeRegions(), exporters: describeExporters()}
	for _, m := range metrics {
		c.descs = append(c.descs, prometheus.NewDesc(m.name, m.help, nil, nil))
	}
	err := ctx.GetMetricsRegistry().Register(c)
	if registered := (prometheus.AlreadyRegisteredError{}); err != nil && !errors.As(err, &registered) {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return nil
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range slices.Concat(c.descs, c.regions, describeRoom(), c.exporters) {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(values chan<- prometheus.Metric) {
	s := &scrape{app: c.app, status: c.app.projectStatus()}
	if c.app.keeper != nil {
		s.state = c.app.keeper.current()
	}
	for i, m := range metrics {
		values <- prometheus.MustNewConstMetric(c.descs[i], m.kind, m.read(s))
	}
	c.collectRegions(values)
	c.collectRoom(values)
	c.collectExporters(values)
}

// Interface guards
var _ prometheus.Collector = (*collector)(nil)
