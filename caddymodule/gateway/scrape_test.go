package gateway

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/caddymodule/metrics"
	"github.com/edgegate/edgegate/ratelimit/billing"
)

func TestRegionMetrics(t *testing.T) {
	config, _ := drainApp(t)
	load(t, config)
	if _, err := post(t, "drain", `{"region":"eu-west-1","over":"0s"}`); err != nil {
		t.Fatal(err)
	}
	values := make(map[string]map[string]float64) // by name and region
	ctx := caddy.ActiveContext()
	families, err := ctx.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		name, ok := strings.CutPrefix(family.GetName(), "edgegate_region_")
		if !ok {
			continue
		}
		values[name] = make(map[string]float64)
		for _, m := range family.GetMetric() {
			values[name][m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]map[string]float64{
		"up":                 {"eu-west-1": 0, "us-east-1": 1},
		"drained_ratio":      {"eu-west-1": 1, "us-east-1": 0},
		"requests_in_flight": {"eu-west-1": 0, "us-east-1": 0},
		"backends":           {"eu-west-1": 2, "us-east-1": 1},
	} {
		if !maps.Equal(values[name], want) {
			t.Errorf("%s is %v, want %v", name, values[name], want)
		}
	}
	if _, known := values["capacity"]; known {
		t.Errorf("capacity is %v, though none is configured", values["capacity"])
	}
}

// hungLedger is a ledger whose disk does not answer.
type hungLedger struct{ hangs chan struct{} }

func (hungLedger) SyncAge() time.Duration { return time.Minute }

func (h hungLedger) Healthy() error {
	<-h.hangs
	return nil
}

func (h hungLedger) Deferred() int {
	<-h.hangs
	return 0
}

// A disk that hangs is shown: the scrape does not wait for it.
func TestMetricsWhileTheDiskHangs(t *testing.T) {
	h := hungLedger{make(chan struct{})}
	read := make(chan metrics.Ledger, 1)
	go func() {
		read <- ledgerMetrics(h, func() billing.State {
			<-h.hangs
			return billing.StateUp
		})
	}()
	defer close(h.hangs)
	select {
	case l := <-read:
		if want := (metrics.Ledger{SyncAge: time.Minute, Degraded: true}); l != want {
			t.Errorf("%+v, want %+v", l, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it waits for the disk")
	}
}

func TestMetrics(t *testing.T) {
	before := loads.Load()
	load(t, textApp(t, fileJSON("hello")))
	ctx := caddy.ActiveContext()
	families, err := ctx.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, family := range families {
		if m := family.GetMetric()[0]; strings.HasPrefix(family.GetName(), "edgegate_") && len(m.GetLabel()) == 0 {
			values[family.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	if values["edgegate_projects"] != 1 || values["edgegate_functions"] != 1 || values["edgegate_projects_last_load_successful"] != 1 {
		t.Errorf("metrics %v", values)
	}
	for name, want := range map[string]float64{
		"edgegate_config_loads_total": float64(before + 1), "edgegate_ledger_degraded": 0, "edgegate_store_up": 1,
		"edgegate_quota_failing": 0, "edgegate_ready": 1, "edgegate_retry_budget_left": 30,
	} {
		if got, ok := values[name]; !ok || got != want {
			t.Errorf("%s is %v (there: %t), want %v", name, got, ok, want)
		}
	}
	if age, ok := values["edgegate_ledger_sync_age_seconds"]; !ok || age < 0 || age > 60 {
		t.Errorf("the ledger was synced %v s ago (there: %t)", age, ok)
	}
}
