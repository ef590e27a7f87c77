package metrics

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edgegate/edgegate/ratelimit/rate"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing/auth"
)

// all are values in which every number differs from every other.
func all() Values {
	return Values{
		Projects: Projects{
			Projects: 1, Functions: 2, OverPlan: 3, Problems: 4,
			LoadedAt: time.UnixMilli(5500), Failures: 6,
		},
		KeySets:    KeySets{Sets: 7, Failing: 8, OldestAge: 9 * time.Second},
		RateLimits: rate.LimiterStats{Buckets: 10, Bytes: 11, Budget: 12, Refused: 13, Shadowed: 14},
		Replay:     regions.ReplayStats{Bytes: 15, Most: 16, Refused: 17},
		Tokens: auth.Stats{
			Hits: 18, BadHits: 19, Misses: 20, Entries: 21,
			Weight: 22, Most: 23, Waiting: 24, Busy: 25,
		},
		InFlight: InFlight{Callers: 26, Refused: map[string]uint64{"project": 27, "client_ip": 28}},
		Store:    Store{Unflushed: 29 * time.Second, ClockOffset: -30 * time.Second, Corrected: 60},
		Ledger:   Ledger{Writable: true, Waiting: 31, NoBills: true, Degraded: true, SyncAge: 61 * time.Second},
		Quotas:   Quotas{Organizations: 62, Exhausted: 63, Held: 64, Unreported: 65, Failing: true},
		Changes:  map[Change]uint64{{"breaker", "open"}: 66},
		Ready:    true, LogLost: 67, SpansDropped: 75, Loads: 68, RetriesLeft: 69,
		Regions: []Region{{
			Name: "r", State: regions.StateUp, Drained: 0.25, RTT: new(20 * time.Millisecond), InFlight: 32, Capacity: new(int64(33)),
			Backends: 34, BackendsDown: 35, BackendsEntering: 45, BackendsLeaving: 46, ListAge: new(47 * time.Second), ListsFailing: 48, Refused: map[string]uint64{"full": 36},
			BreakersOpen: 70, ProbesPassed: 71, ProbesFailed: 72,
			WebSockets: Room{Held: 37, Capacity: new(int64(38)), Refused: map[string]uint64{"fair_share": 39}},
		}},
		Dropped:   74,
		Exporters: []Exporter{{Name: "x", LastSuccess: time.Unix(40, 0), Due: 41, Unanswered: 42, Held: 43, Rejected: 44}},
		Requests:  oneRequest(),
	}
}

// oneRequest are counts of a request of the project p, which needed 50 attempts.
func oneRequest() *Requests {
	r := NewRequests()
	r.TopProjects(1)
	r.Counter([]string{"r"}).Count(&Ended{
		Region: "r", Reason: regions.ReasonSpill, Outcome: "refused", Status: 502, Attempts: 50, Code: "BACKEND_ERROR",
		Duration: 51 * time.Second, Own: 52 * time.Second, Backend: 53 * time.Second,
		Project: "p", Checked: true, Method: auth.MethodJWT,
	})
	return r
}

// gather returns the values of all metrics by name and labels, and a row of documentation for each name.
func gather(t *testing.T, v Values) (values map[string]float64, rows []string) {
	t.Helper()
	registry := prometheus.NewRegistry()
	if err := Register(registry, func() Values { return v }); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values = make(map[string]float64)
	for _, f := range families {
		var names []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			names = append(names, "`"+l.GetName()+"`")
		}
		kind := strings.ToLower(f.GetType().String())
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |", f.GetName(), kind, strings.Join(names, ", "), f.GetHelp()))
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			name := strings.TrimPrefix(f.GetName(), "edgegate_")
			if len(labels) > 0 {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			value := m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetHistogram().GetSampleSum()
			if m.GetCounter() != nil && value == 0 && slices.Contains(mostlyZero, f.GetName()) {
				continue
			}
			values[name] = value
		}
	}
	return values, rows
}

// mostlyZero are metrics with a series for each value of a list.
var mostlyZero = []string{"edgegate_requests_total", "edgegate_refusals_total", "edgegate_auth_total", "edgegate_project_requests_total"}

func TestValues(t *testing.T) {
	got, _ := gather(t, all())
	want := map[string]float64{
		"projects": 1, "functions": 2, "functions_over_plan": 3, "projects_problems": 4,
		"projects_loaded_timestamp_seconds": 5.5, "projects_last_load_successful": 1, "projects_load_failures_total": 6,
		"jwks_sets": 7, "jwks_failing_sets": 8, "jwks_oldest_age_seconds": 9,
		"rate_limit_buckets": 10, "rate_limit_bytes": 11, "rate_limit_budget_bytes": 12, "rate_limited_total": 13, "rate_limit_shadowed_total": 14,
		"replay_bytes": 15, "replay_budget_bytes": 16, "replay_not_kept_total": 17,
		"tokens_cache_hits_total": 18, "tokens_cache_bad_hits_total": 19, "tokens_cache_misses_total": 20, "tokens_cache_entries": 21,
		"tokens_cache_bytes": 22, "tokens_cache_budget_bytes": 23, "tokens_waiting": 24, "tokens_overloaded_total": 25,
		"in_flight_callers": 26, "in_flight_refused_total{project}": 27, "in_flight_refused_total{client_ip}": 28,
		"store_unflushed_seconds": 29, "store_clock_offset_seconds": -30, "ledger_writable": 1, "ledger_waiting": 31, "bills_failing": 1,
		"region_up{r}": 1, "region_degraded{r}": 0, "region_drained_ratio{r}": 0.25, "region_rtt_seconds{r}": 0.02,
		"region_requests_in_flight{r}": 32, "region_capacity{r}": 33, "region_backends{r}": 34, "region_backends_down{r}": 35,
		"region_backends_entering{r}": 45, "region_backends_leaving{r}": 46, "region_backend_list_age_seconds{r}": 47, "region_backend_lists_failing{r}": 48,
		"region_refused_total{full,r,calls}": 36, "region_websockets{r}": 37, "region_websockets_limit{r}": 38,
		"region_refused_total{fair_share,r,websockets}": 39,
		"exporter_failing{x}":                           0, "exporter_last_success_timestamp_seconds{x}": 40, "exporter_due{x}": 41,
		"exporter_unanswered{x}": 42, "exporter_held{x}": 43, "exporter_rejected{x}": 44,
		"ledger_degraded": 1, "ledger_sync_age_seconds": 61, "store_up": 1, "store_corrected_total": 60,
		"quota_organizations": 62, "quota_exhausted_organizations": 63, "quota_units_held": 64, "quota_units_unreported": 65, "quota_failing": 1,
		"events_dropped_total":              74,
		"state_changes_total{breaker,open}": 66, "invocation_log_lost_total": 67, "spans_dropped_total": 75, "config_loads_total": 68, "retry_budget_left": 69, "ready": 1,
		"region_breakers_open{r}": 70, "region_probes_total{r,passed}": 71, "region_probes_total{r,failed}": 72,
		"requests_total{5xx,refused,spill,r}": 1, "refusals_total{BACKEND_ERROR}": 1, "auth_total{jwt,accepted}": 1,
		"request_retries_total{r}": 49, "request_retries_total{none}": 0,
		"request_duration_seconds{r}": 51, "request_gateway_duration_seconds{r}": 52, "request_backend_duration_seconds{r}": 53,
		"request_duration_seconds{none}": 0, "request_gateway_duration_seconds{none}": 0, "request_backend_duration_seconds{none}": 0,
		"project_requests_total{5xx,other}": 1, "project_request_duration_seconds_total{p}": 0, "project_request_duration_seconds_total{other}": 51,
	}
	for name := range maps.Keys(want) {
		if got[name] != want[name] {
			t.Errorf("%s is %v, want %v", name, got[name], want[name])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d values, want %d: %v", len(got), len(want), got)
	}
}

// Before anything was loaded, measured or exported, numbers are 0 and what has no value is left out.
func TestZeroValues(t *testing.T) {
	got, _ := gather(t, Values{
		Projects:  Projects{Stale: true},
		Regions:   []Region{{Name: "r", State: regions.StateUnknown}},
		Exporters: []Exporter{{Name: "x", Failing: true}},
	})
	for name, want := range map[string]float64{
		"projects_loaded_timestamp_seconds": 0, "projects_last_load_successful": 0, "ledger_writable": 0, "region_up{r}": 0,
		"exporter_last_success_timestamp_seconds{x}": 0, "exporter_failing{x}": 1,
	} {
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s is %v (there: %t), want %v", name, value, ok, want)
		}
	}
	for _, name := range []string{"region_rtt_seconds{r}", "region_capacity{r}", "region_websockets_limit{r}", "region_backend_list_age_seconds{r}"} {
		if value, ok := got[name]; ok {
			t.Errorf("%s is %v, though nothing is known", name, value)
		}
	}
}

func TestRegionStates(t *testing.T) {
	for state, want := range map[regions.State]struct{ up, degraded float64 }{
		regions.StateUnknown:  {1, 0},
		regions.StateUp:       {1, 0},
		regions.StateDegraded: {1, 1},
		regions.StateDraining: {1, 0},
		regions.StateDown:     {0, 0},
		regions.StateDrained:  {0, 0},
	} {
		got, _ := gather(t, Values{Regions: []Region{{Name: "r", State: state, Backends: 1}}})
		if got["region_up{r}"] != want.up || got["region_degraded{r}"] != want.degraded {
			t.Errorf("%s: up %v, degraded %v, want %v", state, got["region_up{r}"], got["region_degraded{r}"], want)
		}
	}
}

// The table of docs/metrics.md has the metrics with the types, labels and help texts that they have here.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	printed := regexp.MustCompile("(?m)^\\| `edgegate_\\w+` \\|.*$").FindAllString(string(page), -1)
	_, want := gather(t, all())
	slices.Sort(printed)
	slices.Sort(want)
	if !slices.Equal(printed, want) {
		t.Errorf("docs/metrics.md has\n%s\nthe metrics are\n%s", strings.Join(printed, "\n"), strings.Join(want, "\n"))
	}
}

func TestRegisterTwice(t *testing.T) {
	registry := prometheus.NewRegistry()
	for range 2 {
		if err := Register(registry, func() Values { return Values{} }); err != nil {
			t.Fatal(err)
		}
	}
	other := prometheus.NewGauge(prometheus.GaugeOpts{Name: "edgegate_projects", Help: "something else"})
	registry = prometheus.NewRegistry()
	registry.MustRegister(other)
	if err := Register(registry, func() Values { return Values{} }); err == nil {
		t.Error("no error though another metric has the name")
	}
}
