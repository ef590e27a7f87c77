package plan

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/geo"
)

// An explanation says why each region was chosen or not.
func TestExplain(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(f *fleet)
		policy Policy
		query  Query
		chosen string
		reason regions.Reason
		why    map[string]string // of regions, a part of it
	}{
		{
			"nearest", func(*fleet) {},
			Policy{},
			Query{},
			"eu-central-1", regions.ReasonNearest,
			map[string]string{"eu-central-1": "chosen: nearest", "eu-west-1": "eu-central-1 is better"},
		},
		{
			"nothing is known", func(f *fleet) { f.view.Ranked = false },
			Policy{},
			Query{},
			"eu-central-1", regions.ReasonDefault,
			map[string]string{"eu-west-1": "eu-central-1 comes first in the configuration"},
		},
		{
			"down", func(f *fleet) { f.down("eu-central-1") },
			Policy{},
			Query{},
			"eu-west-1", regions.ReasonFailover,
			map[string]string{"eu-central-1": "down: 0 of 4 backends answer", "eu-west-1": "chosen: failover"},
		},
		{
			"all down", func(f *fleet) { f.down(fleetNames...) },
			Policy{},
			Query{},
			"eu-central-1", regions.ReasonFailOpen,
			map[string]string{"eu-central-1": "down, as every region is"},
		},
		{
			"all drained", func(f *fleet) { f.drained(fleetNames...) },
			Policy{},
			Query{},
			"", regions.ReasonFailOpen,
			map[string]string{"eu-central-1": "drained"},
		},
		{
			"last resort", func(f *fleet) {
				f.drained("eu-west-1")
				f.region("eu-west-1").LastResort = true
			},
			Policy{},
			Query{},
			"eu-central-1", regions.ReasonNearest,
			map[string]string{"eu-west-1": "drained: used only when every other region is down"},
		},
		{
			"all full", func(f *fleet) { f.loads(2) },
			Policy{},
			Query{},
			"eu-central-1", regions.ReasonNearest,
			map[string]string{"eu-central-1": "a request waits 100ms for it", "eu-west-1": "gets none: its load is 2.00"},
		},
		{
			"spill stays near", func(f *fleet) { f.load("eu-central-1", 1) },
			Policy{},
			Query{},
			"eu-west-1", regions.ReasonSpill,
			map[string]string{"ap-northeast-1": "more than 150ms farther", "eu-central-1": "its load is 1.00"},
		},
		{
			"shares", func(f *fleet) { f.region("eu-central-1").SlowStart = 0.1 },
			Policy{},
			Query{ID: "c"},
			"eu-west-1", regions.ReasonFailover,
			map[string]string{"eu-central-1": "gets 10 % of such requests: it came back a moment ago"},
		},
		{
			"draining", func(f *fleet) { f.region("eu-central-1").Drained = 0.9 },
			Policy{},
			Query{ID: "c"},
			"eu-west-1", regions.ReasonDrain,
			map[string]string{"eu-central-1": "gets 10 % of such requests: it is being drained"},
		},
		{
			"some backends", func(f *fleet) { f.region("eu-central-1").Healthy = 1 },
			Policy{},
			Query{ID: "c"},
			"eu-west-1", regions.ReasonFailover,
			map[string]string{"eu-central-1": "of such requests: 1 of 4 backends answer"},
		},
		{
			"hysteresis", func(f *fleet) { f.region("eu-west-1").Score = time.Millisecond },
			Policy{},
			Query{},
			"eu-central-1", regions.ReasonNearest,
			map[string]string{"eu-west-1": "better than eu-central-1, but not by 10ms and a third for 30s"},
		},
		{
			"residency", func(*fleet) {},
			Policy{},
			Query{Residency: []string{"us-east-1"}},
			"us-east-1", regions.ReasonNearest,
			map[string]string{"eu-central-1": "the project may not use it: its regions are us-east-1"},
		},
		{
			"named", func(*fleet) {},
			Policy{},
			Query{Hint: regions.Hint{Regions: []string{"us-east-1"}}},
			"us-east-1", regions.ReasonExplicit,
			map[string]string{"eu-central-1": "not named by the request"},
		},
		{
			"named, with more", func(*fleet) {},
			Policy{},
			Query{Hint: regions.Hint{Regions: []string{"us-east-1"}, Any: true}},
			"us-east-1", regions.ReasonExplicitList,
			map[string]string{"eu-central-1": "asked if a better one fails"},
		},
		{
			"named and down", func(f *fleet) { f.down("us-east-1") },
			Policy{},
			Query{Hint: regions.Hint{Regions: []string{"us-east-1"}}},
			"", regions.ReasonExplicit,
			map[string]string{"us-east-1": "down: 0 of 4"},
		},
		{
			"named and full", func(f *fleet) { f.load("us-east-1", 1) },
			Policy{},
			Query{Hint: regions.Hint{Regions: []string{"us-east-1"}}},
			"us-east-1", regions.ReasonExplicit,
			map[string]string{"us-east-1": "full", "eu-west-1": "not named"},
		},
		{
			"a list, the first full", func(f *fleet) { f.load("us-east-1", 1) },
			Policy{},
			Query{Hint: regions.Hint{Regions: []string{"us-east-1", "eu-west-1"}, Any: true}},
			"eu-west-1", regions.ReasonExplicitList,
			map[string]string{"us-east-1": "full", "eu-central-1": "asked if a better one fails"},
		},
		{
			"at the end of a drain, with nothing else", func(f *fleet) {
				f.down(fleetNames[1:]...)
				f.region("eu-central-1").Drained = 1
			},
			Policy{},
			Query{},
			"eu-central-1", regions.ReasonNearest,
			map[string]string{"eu-central-1": "chosen: nearest"},
		},
		{
			"a detour", func(*fleet) {},
			Policy{Mode: NearClient, MaxDetour: 100 * time.Millisecond},
			Query{Client: geo.Client{Country: "JP"}},
			"us-east-1", regions.ReasonNearest,
			map[string]string{"ap-northeast-1": "more than 100ms farther from the gateway", "eu-west-1": "us-east-1 is better"},
		},
		{
			"near the client", func(*fleet) {},
			Policy{Mode: NearClient},
			Query{Client: geo.Client{Country: "JP", Source: "said"}},
			"ap-northeast-1", regions.ReasonNearest,
			map[string]string{"eu-central-1": "ap-northeast-1 is better"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFleet(t)
			tc.change(f)
			e, err := New(tc.policy).Explain(f.view, &tc.query)
			if err != nil {
				t.Fatal(err)
			}
			if e.Chosen != tc.chosen || e.Reason != tc.reason || len(e.Candidates) != len(fleetNames) {
				t.Errorf("chosen %q by %s of %d, want %q by %s", e.Chosen, e.Reason, len(e.Candidates), tc.chosen, tc.reason)
			}
			for _, c := range e.Candidates {
				if want := tc.why[c.Region]; !strings.Contains(c.Why, want) {
					t.Errorf("%s: %q, want in it %q", c.Region, c.Why, want)
				}
				if c.Why == "" || c.RTT == nil || c.Score == nil || c.Base == nil || c.Fast == nil {
					t.Errorf("%+v", c)
				}
			}
		})
	}
}

func TestExplainClient(t *testing.T) {
	f := newFleet(t)
	e, err := New(Policy{Mode: NearClient}).Explain(f.view, &Query{Client: geo.Client{Country: "JP", Source: "header:CF-IPCountry"}})
	if err != nil || *e.Client.Country != "JP" || e.Client.Source != "header:CF-IPCountry" || e.Candidates[0].Client == nil {
		t.Errorf("%+v, %v", e, err)
	}
	e, err = New(Policy{}).Explain(f.view, &Query{})
	if err != nil || e.Client.Country != nil || e.Client.Source != "unknown" || e.Candidates[0].Client != nil {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := New(Policy{}).Explain(f.view, &Query{Hint: regions.Hint{Regions: []string{"mars"}}}); err == nil {
		t.Error("a region that is none is explained")
	}
}

// A list of regions none of which is configured is explained too.
// What explain says of the backends of a region, and of one without a list of them.
func TestExplainBackends(t *testing.T) {
	f := newFleet(t)
	f.view.At = time.Now()
	chosen := f.region("eu-central-1")
	chosen.Backends = []regions.BackendView{
		{Address: "http://a", State: regions.StateUp, Weight: 3, Source: "s"},
		{Address: "http://b", State: regions.StateUp, Weight: 1, Phase: regions.PhaseEntering, Source: "s"},
		{Address: "http://c", State: regions.StateDown},
	}
	chosen.Others = []regions.BackendView{{Address: "http://d", State: regions.StateUp, Phase: regions.PhaseLeaving, Source: "s"}}
	chosen.Sources = []regions.SourceView{{Name: "s", ListedAt: f.view.At.Add(-4 * time.Second), Err: errors.New("SERVFAIL")}}
	empty := f.region("eu-west-1")
	empty.Backends, empty.Healthy, empty.Health, empty.State = nil, 0, regions.StateUnknown, regions.StateUnknown
	e, err := New(Policy{}).Explain(f.view, &Query{ID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	var shares []string
	for _, b := range e.Candidates[0].Backends {
		shares = append(shares, fmt.Sprintf("%s %.2f %s", b.Address, b.Share, b.Phase))
	}
	if want := []string{"http://a 0.75 ", "http://b 0.25 entering", "http://c 0.00 ", "http://d 0.00 leaving"}; !slices.Equal(shares, want) {
		t.Errorf("shares %q, want %q", shares, want)
	}
	if s := e.Candidates[0].Sources[0]; s.Source != "s" || *s.Age != 4 || s.Error != "SERVFAIL" {
		t.Errorf("source %+v", s)
	}
	for _, c := range e.Candidates {
		if c.Region == "eu-west-1" && (c.Share != 0 || c.Why != noList) {
			t.Errorf("a region without a list gets %v: %s", c.Share, c.Why)
		}
	}
}

func TestExplainHomeless(t *testing.T) {
	e, err := New(Policy{}).Explain(newFleet(t).view, &Query{Residency: []string{"mars"}})
	if err != nil || e.Chosen != "" || e.Reason != "" || len(e.Candidates) != len(fleetNames) {
		t.Errorf("%+v, %v", e, err)
	}
}

// What is supposed changes the answer and not what is.
func TestSuppose(t *testing.T) {
	f := newFleet(t)
	f.region("us-east-1").State = regions.StateDraining
	v, err := Suppose(f.view, WhatIf{Down: []string{"eu-central-1", "us-east-1"}, Load: map[string]float64{"eu-west-1": 1}})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := New(Policy{}).Decide(v, &Query{}, nil)
	if err != nil || plan.First().Name != "eu-west-1" || !plan.Full {
		t.Errorf("%s, %v: %+v", candidates(plan), err, plan)
	}
	if i, _ := v.Lookup("us-east-1"); v.Regions[i].State != regions.StateDraining {
		t.Errorf("a drain is hidden: %s", v.Regions[i].State)
	}
	if plan, _ := New(Policy{}).Decide(f.view, &Query{}, nil); plan.First().Name != "eu-central-1" {
		t.Errorf("the real view has changed: %s", candidates(plan))
	}
	for name, what := range map[string]WhatIf{
		"unknown region": {Down: []string{"mars"}}, "load of one": {Load: map[string]float64{"mars": 1}},
		"negative load": {Load: map[string]float64{"eu-west-1": -1}},
		"no number":     {Load: map[string]float64{"eu-west-1": math.NaN()}}, "infinite load": {Load: map[string]float64{"eu-west-1": math.Inf(1)}},
	} {
		if _, err := Suppose(f.view, what); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
