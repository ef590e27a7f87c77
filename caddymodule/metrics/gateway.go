package metrics

import "github.com/prometheus/client_golang/prometheus"

// gatewayMetric is one number of the whole gateway. It has no labels.
type gatewayMetric struct {
	name string
	help string
	kind prometheus.ValueType
	read func(*Values) float64
}

// gauge is a number that goes up and down.
func gauge(name, help string, read func(*Values) float64) gatewayMetric {
	return gatewayMetric{name, help, prometheus.GaugeValue, read}
}

// counter is a number that grows while the process runs; its name ends in _total.
func counter(name, help string, read func(*Values) float64) gatewayMetric {
	return gatewayMetric{name, help, prometheus.CounterValue, read}
}

// gatewayMetrics are the metrics without labels. A new one is one more row.
var gatewayMetrics = []gatewayMetric{
	gauge("edgegate_projects", "Projects in force.",
		func(v *Values) float64 { return float64(v.Projects.Projects) }),
	gauge("edgegate_functions", "Functions of all projects in force.",
		func(v *Values) float64 { return float64(v.Projects.Functions) }),
	gauge("edgegate_functions_over_plan", "Functions left out because their project's plan allows fewer.",
		func(v *Values) float64 { return float64(v.Projects.OverPlan) }),
	gauge("edgegate_projects_problems", "Problems of the projects in force that refuse nothing; status lists them.",
		func(v *Values) float64 { return float64(v.Projects.Problems) }),
	gauge("edgegate_projects_loaded_timestamp_seconds", "When the projects in force were loaded, 0 before the first time.",
		func(v *Values) float64 {
			if v.Projects.LoadedAt.IsZero() {
				return 0
			}
			return float64(v.Projects.LoadedAt.UnixMilli()) / 1000
		}),
	gauge("edgegate_projects_last_load_successful", "Whether the latest projects are in force (1), or what was loaded before (0).",
		func(v *Values) float64 { return oneIf(!v.Projects.Stale) }),
	counter("edgegate_projects_load_failures_total", "Loads of projects that were refused, or could not be read.",
		func(v *Values) float64 { return float64(v.Projects.Failures) }),
	gauge("edgegate_jwks_sets", "Sets of public keys that come from a file or a URL.",
		func(v *Values) float64 { return float64(v.KeySets.Sets) }),
	gauge("edgegate_jwks_failing_sets", "Sets of public keys whose last fetch failed; the last good ones serve.",
		func(v *Values) float64 { return float64(v.KeySets.Failing) }),
	gauge("edgegate_jwks_oldest_age_seconds", "Age of the oldest of the last good sets of public keys.",
		func(v *Values) float64 { return v.KeySets.OldestAge.Seconds() }),
	counter("edgegate_rate_limited_total", "Requests answered 429 by a rate limit.",
		func(v *Values) float64 { return float64(v.RateLimits.Refused) }),
	counter("edgegate_rate_limit_shadowed_total", "Requests that only a rate limit in shadow would have refused.",
		func(v *Values) float64 { return float64(v.RateLimits.Shadowed) }),
	gauge("edgegate_rate_limit_buckets", "Buckets of rate limits in memory; full ones are dropped.",
		func(v *Values) float64 { return float64(v.RateLimits.Buckets) }),
	gauge("edgegate_rate_limit_bytes", "Memory of the buckets of rate limits, at most.",
		func(v *Values) float64 { return float64(v.RateLimits.Bytes) }),
	gauge("edgegate_rate_limit_budget_bytes", "Memory that the buckets of rate limits may take (`memory limits`).",
		func(v *Values) float64 { return float64(v.RateLimits.Budget) }),
	gauge("edgegate_replay_bytes", "Memory of request bodies that are kept to be sent again.",
		func(v *Values) float64 { return float64(v.Replay.Bytes) }),
	gauge("edgegate_replay_budget_bytes", "Memory that kept request bodies may take (`memory replay`).",
		func(v *Values) float64 { return float64(v.Replay.Most) }),
	counter("edgegate_replay_not_kept_total", "Request bodies that were not kept because that memory was used up.",
		func(v *Values) float64 { return float64(v.Replay.Refused) }),
	gauge("edgegate_in_flight_callers", "Projects, functions and clients with calls in flight that a cap of in_flight counts.",
		func(v *Values) float64 { return float64(v.InFlight.Callers) }),
	gauge("edgegate_store_unflushed_seconds", "For how long what was counted did not all get to Redis; 0 with the embedded store.",
		func(v *Values) float64 { return v.Store.Unflushed.Seconds() }),
	gauge("edgegate_store_clock_offset_seconds", "How far the clock of Redis is ahead of this machine's; the billing clock follows it at any offset.",
		func(v *Values) float64 { return v.Store.ClockOffset.Seconds() }),
	gauge("edgegate_ledger_writable", "Whether invocations can be recorded (1) or are answered 503 soon (0).",
		func(v *Values) float64 { return oneIf(v.Ledger.Writable) }),
	gauge("edgegate_ledger_waiting", "Invocations that went on without a record (`meter_unavailable open`) and wait for theirs.",
		func(v *Values) float64 { return float64(v.Ledger.Waiting) }),
	gauge("edgegate_ledger_degraded", "Whether the ledger is in trouble: records do not reach the disk, or it has no room for the next file.",
		func(v *Values) float64 { return oneIf(v.Ledger.Degraded) }),
	gauge("edgegate_ledger_sync_age_seconds", "Time since all records were last brought to the disk, which is done every 50 ms.",
		func(v *Values) float64 { return v.Ledger.SyncAge.Seconds() }),
	gauge("edgegate_store_up", "Whether Redis answers (1, also with the embedded store) or does not (0).",
		func(v *Values) float64 { return oneIf(!v.Store.Down) }),
	counter("edgegate_store_corrected_total", "Sums in Redis that differed from the ledger, and were set right.",
		func(v *Values) float64 { return float64(v.Store.Corrected) }),
	gauge("edgegate_quota_organizations", "Organizations of which this gateway counts units of quotas.",
		func(v *Values) float64 { return float64(v.Quotas.Organizations) }),
	gauge("edgegate_quota_exhausted_organizations", "Organizations whose hard quota is used up.",
		func(v *Values) float64 { return float64(v.Quotas.Exhausted) }),
	gauge("edgegate_quota_units_held", "Units of hard quotas that are granted to this gateway and not used.",
		func(v *Values) float64 { return float64(v.Quotas.Held) }),
	gauge("edgegate_quota_units_unreported", "Units of hard quotas that were used without a grant and are not reported to the store yet.",
		func(v *Values) float64 { return float64(v.Quotas.Unreported) }),
	gauge("edgegate_quota_failing", "Whether calls were answered 503 in the last ten seconds since no unit of a hard quota could be had.",
		func(v *Values) float64 { return oneIf(v.Quotas.Failing) }),
	gauge("edgegate_retry_budget_left", "Calls that may be sent a second time now; at 0 failed calls are not sent again.",
		func(v *Values) float64 { return float64(v.RetriesLeft) }),
	counter("edgegate_invocation_log_lost_total", "Lines of the invocation log that were lost since its output did not take them in time.",
		func(v *Values) float64 { return float64(v.LogLost) }),
	counter("edgegate_spans_dropped_total", "Spans of the option tracing that the collector did not take in time.",
		func(v *Values) float64 { return float64(v.SpansDropped) }),
	gauge("edgegate_ready", "Whether the gateway is ready for calls, as edge_functions_health says: 0 while it is drained, too.",
		func(v *Values) float64 { return oneIf(v.Ready) }),
	counter("edgegate_config_loads_total", "Configurations that were put into force, that of the start among them.",
		func(v *Values) float64 { return float64(v.Loads) }),
	counter("edgegate_events_dropped_total", "Events given up before Redis had them, because there were too many.",
		func(v *Values) float64 { return float64(v.Dropped) }),
	gauge("edgegate_bills_failing", "Whether no bills are made since `billing.db` is damaged.",
		func(v *Values) float64 { return oneIf(v.Ledger.NoBills) }),
	counter("edgegate_tokens_cache_hits_total", "Tokens that were known to be good.",
		func(v *Values) float64 { return float64(v.Tokens.Hits) }),
	counter("edgegate_tokens_cache_bad_hits_total", "Tokens that were known to be bad.",
		func(v *Values) float64 { return float64(v.Tokens.BadHits) }),
	counter("edgegate_tokens_cache_misses_total", "Tokens that had to be verified.",
		func(v *Values) float64 { return float64(v.Tokens.Misses) }),
	gauge("edgegate_tokens_cache_entries", "Tokens in the cache.",
		func(v *Values) float64 { return float64(v.Tokens.Entries) }),
	gauge("edgegate_tokens_cache_bytes", "Memory of the tokens in the cache, at most.",
		func(v *Values) float64 { return float64(v.Tokens.Weight) }),
	gauge("edgegate_tokens_cache_budget_bytes", "Memory that the tokens in the cache may take (`memory tokens`).",
		func(v *Values) float64 { return float64(v.Tokens.Most) }),
	gauge("edgegate_tokens_waiting", "Tokens that wait for a processor to verify their signature, or for keys that are fetched; at most 2048.",
		func(v *Values) float64 { return float64(v.Tokens.Waiting) }),
	counter("edgegate_tokens_overloaded_total", "Tokens that waited in vain, or found too many waiting, and were answered 503.",
		func(v *Values) float64 { return float64(v.Tokens.Busy) }),
}
