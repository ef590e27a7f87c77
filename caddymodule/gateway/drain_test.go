package gateway

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/caddymodule/fleet"
	"github.com/edgegate/edgegate/regions"
)

// drainApp is two regions with a store of its own.
func drainApp(t *testing.T) (config []byte, dir string) {
	dir = t.TempDir()
	quoted, err := json.Marshal(dir)
	if err != nil {
		t.Fatal(err)
	}
	return appConfig(strings.Replace(goodApp, `{`, `{"store":{"kind":"embedded","path":`+string(quoted)+`},`, 1)), dir
}

// post gives an order, which is JSON, to the gateway in force.
func post(t *testing.T, path, body string) (DrainAnswer, error) {
	t.Helper()
	var order DrainOrder
	if err := json.Unmarshal([]byte(body), &order); err != nil {
		t.Fatal(err)
	}
	if path == "undrain" {
		return runningApp(t).Undrain(t.Context(), order)
	}
	return runningApp(t).Drain(t.Context(), order)
}

func regionState(t *testing.T, name string) regions.State {
	t.Helper()
	for _, r := range runningApp(t).RegionStatus() {
		if r.Region == name {
			return r.State
		}
	}
	t.Fatalf("no region %s", name)
	return ""
}

// An order is kept over reloads and restarts, until it is taken back.
func TestDrainIsKept(t *testing.T) {
	config, dir := drainApp(t)
	load(t, config)
	answer, err := post(t, "drain", `{"region":"eu-west-1","over":"0s","dry_run":true}`)
	if err != nil || answer.State != regions.StateDrained || !answer.DryRun || regionState(t, "eu-west-1") != regions.StateUnknown {
		t.Fatalf("dry run: %+v, %v, the region is %s", answer, err, regionState(t, "eu-west-1"))
	}
	answer, err = post(t, "drain", `{"region":"eu-west-1","over":"0s"}`)
	if err != nil || len(answer.Takers) != 1 || answer.Takers[0] != "us-east-1" || answer.Ends == nil {
		t.Fatalf("%+v, %v", answer, err)
	}
	if state := regionState(t, "eu-west-1"); state != regions.StateDrained {
		t.Fatalf("the region is %s", state)
	}
	if drains := runningApp(t).Drains().Drains; len(drains) != 1 || drains[0].Region != "eu-west-1" || drains[0].State != regions.StateDrained {
		t.Errorf("the orders: %+v", drains)
	}
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	if state := regionState(t, "eu-west-1"); state != regions.StateDrained {
		t.Errorf("after a reload it is %s", state)
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	if state := regionState(t, "eu-west-1"); state != regions.StateDrained {
		t.Errorf("after a restart it is %s", state)
	}
	if answer, err = post(t, "undrain", `{"region":"eu-west-1"}`); err != nil || answer.Ends != nil {
		t.Errorf("%+v, %v", answer, err)
	}
	if state := regionState(t, "eu-west-1"); state != regions.StateUnknown {
		t.Errorf("undrained it is %s", state)
	}
	if _, err := os.Stat(filepath.Join(dir, "drains.json")); err != nil {
		t.Error(err)
	}
	if _, err := post(t, "undrain", `{"region":"eu-west-1"}`); err == nil {
		t.Error("what is not drained is undrained")
	}
}

func TestDrainRefuses(t *testing.T) {
	config, _ := drainApp(t)
	load(t, config)
	for name, tt := range map[string]struct{ body, want string }{
		"unknown region":  {`{"region":"eu-wst-1"}`, `region "eu-wst-1" is not configured (did you mean "eu-west-1"?)`},
		"not a duration":  {`{"region":"eu-west-1","over":"soon"}`, `over "soon": must be a duration such as 5m`},
		"below nothing":   {`{"region":"eu-west-1","over":"-1s"}`, "must not be negative"},
		"longer than 24h": {`{"region":"eu-west-1","over":"25h"}`, "at most 24h"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := post(t, "drain", tt.body); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want in it %q", err, tt.want)
			}
		})
	}
	if _, err := post(t, "drain", `{"region":"eu-west-1"}`); err != nil {
		t.Fatal(err)
	}
	answer, err := post(t, "drain", `{"region":"us-east-1"}`)
	if err != nil || len(answer.Takers) != 0 || len(answer.Warnings) == 0 {
		t.Errorf("the last one: %+v, %v", answer, err)
	}
}

// An order that cannot be kept is not carried out.
func TestDrainNeedsItsStore(t *testing.T) {
	config, dir := drainApp(t)
	load(t, config)
	if err := os.WriteFile(filepath.Join(dir, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	runningApp(t).drains = fleet.NewDrainStore(filepath.Join(dir, "x", "drains.json"), nil)
	if _, err := post(t, "drain", `{"region":"eu-west-1"}`); err == nil {
		t.Error("no error")
	}
	if state := regionState(t, "eu-west-1"); state != regions.StateUnknown {
		t.Errorf("it is %s", state)
	}
}
