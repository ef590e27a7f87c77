//go:build !race

// The race detector makes a simulation, which has one goroutine, several times slower: tests that measure coverage run these.

package simulation

import (
	"reflect"
	"testing"
	"time"

	"github.com/edgegate/edgegate/routing/plan"
)

func run(t *testing.T, s *Scenario, policy Policy) *Result {
	t.Helper()
	cities, err := BuiltInCities()
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(s, cities, policy)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, %s: J %.2f, mean %.2f ms, p95 %.2f ms, wrong %.2f %%, failed %d of %d, named %d of %d, rerouted %d, detected %d in %.1f s, at most %.1f, missed %d, flaps %d, spike %.2f",
		s.Name, policy, r.J, r.MeanExtra, r.P95Extra, 100*r.Wrong, r.Failed, r.Automatic, r.NamedFailed, r.Named, r.Rerouted, r.Detected, r.DetectMean/1000, r.DetectMost/1000, r.Missed, r.Flaps, r.Spike)
	return r
}

func load(t *testing.T, name string) *Scenario {
	t.Helper()
	s, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What is asked of every scenario (docs/simulation.md).
func TestScenarios(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		extra    float64 // ms at most on the average
		failed   int     // at most
		detect   time.Duration
		noFlaps  bool
		noMisses bool
	}{
		"normal":    {extra: 2, noFlaps: true},
		"client":    {extra: 10, noFlaps: true},
		"down":      {extra: 20, failed: 40, detect: 8 * time.Second, noFlaps: true, noMisses: true},
		"blackhole": {extra: 20, failed: 4000, detect: 8 * time.Second, noFlaps: true, noMisses: true},
		"slow":      {extra: 20},
		"resets":    {extra: 20, failed: 100, noFlaps: true},
		"half":      {extra: 5, failed: 5, noFlaps: true},
		"flapping":  {extra: 20, failed: 60, noFlaps: true},
		"overload":  {extra: 20, failed: 40, detect: 8 * time.Second, noFlaps: true, noMisses: true},
		"added":     {extra: 5},
		"noise":     {extra: 2, noFlaps: true},
		"drain":     {extra: 20, noFlaps: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := load(t, name)
			r := run(t, s, PolicyEdgegate)
			if r.Automatic == 0 || r.Named == 0 {
				t.Fatalf("%d automatic, %d named requests", r.Automatic, r.Named)
			}
			if r.MeanExtra > want.extra {
				t.Errorf("mean extra %.2f ms, want at most %.0f", r.MeanExtra, want.extra)
			}
			if r.Failed > want.failed {
				t.Errorf("%d failed, want at most %d", r.Failed, want.failed)
			}
			if r.Rerouted != 0 {
				t.Errorf("%d named requests ran elsewhere", r.Rerouted)
			}
			if want.detect > 0 && (r.Detected == 0 || r.DetectMost > milliseconds(want.detect)) {
				t.Errorf("%d detected, the slowest after %.1f s", r.Detected, r.DetectMost/1000)
			}
			if want.noMisses && r.Missed > 0 {
				t.Errorf("%d outages not detected", r.Missed)
			}
			if want.noFlaps && r.Flaps > 0 {
				t.Errorf("%d flaps", r.Flaps)
			}
		})
	}
}

// A region that comes back gets at most 1.2 times its fair share.
func TestReturn(t *testing.T) {
	t.Parallel()
	s := load(t, "overload")
	s.Events = s.Events[1:]
	if r := run(t, s, PolicyEdgegate); r.Spike == 0 || r.Spike > 1.2 {
		t.Errorf("spike of %.2f, want at most 1.2 and something to tell it by", r.Spike)
	}
}

func TestDeterministic(t *testing.T) {
	t.Parallel()
	s := load(t, "resets")
	if a, b := run(t, s, PolicyEdgegate), run(t, s, PolicyEdgegate); !reflect.DeepEqual(a, b) {
		t.Errorf("two runs differ: %+v and %+v", a, b)
	}
}

// The gateway beats every baseline, and the oracle alone beats it.
func TestPolicies(t *testing.T) {
	t.Parallel()
	for _, mode := range []plan.Mode{plan.NearGateway, plan.NearClient} {
		s := load(t, "normal")
		s.Nearest = mode
		own := run(t, s, PolicyEdgegate)
		for _, policy := range Policies[1:] {
			r := run(t, s, policy)
			if better := r.J < own.J; better != (policy == PolicyOracle) && r.J != own.J {
				t.Errorf("%s: %s has J %.2f, edgegate %.2f", mode, policy, r.J, own.J)
			}
			if policy == PolicyOracle && r.MeanExtra != 0 {
				t.Errorf("the oracle has %.2f ms more than the oracle", r.MeanExtra)
			}
		}
	}
}
