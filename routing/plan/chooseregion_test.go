package plan

import (
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/geo"
)

// Contract 2.6, 2.7: where requests run that name no region, which part of them
// and why.
func TestAutomatic(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(f *fleet)
		query  Query
		want   map[string]float64
		rest   string // the candidates of a plan
	}{
		{"nearest", func(*fleet) {}, Query{}, map[string]float64{"eu-central-1 nearest": 1}, "eu-central-1 eu-west-1 us-east-1 ap-northeast-1"},
		{"nothing is known", func(f *fleet) { f.view.Ranked = false }, Query{}, map[string]float64{"eu-central-1 default": 1}, ""},
		{"down", func(f *fleet) { f.down("eu-central-1") }, Query{}, map[string]float64{"eu-west-1 failover": 1}, "eu-west-1 us-east-1 ap-northeast-1"},
		{
			"half of the backends", func(f *fleet) { f.region("eu-central-1").Healthy = 2 },
			Query{},
			map[string]float64{"eu-central-1 nearest": 0.7, "eu-west-1 failover": 0.3},
			"",
		},
		{"three of four backends", func(f *fleet) { f.region("eu-central-1").Healthy = 3 }, Query{}, map[string]float64{"eu-central-1 nearest": 1}, ""},
		{
			"slow start", func(f *fleet) { f.region("eu-central-1").SlowStart = 0.4 },
			Query{},
			map[string]float64{"eu-central-1 nearest": 0.4, "eu-west-1 failover": 0.6},
			"",
		},
		{
			"draining", func(f *fleet) {
				f.region("eu-central-1").Drained, f.region("eu-central-1").State = 0.25, regions.StateDraining
			},
			Query{},
			map[string]float64{"eu-central-1 nearest": 0.75, "eu-west-1 drain": 0.25},
			"",
		},
		{"drained", func(f *fleet) { f.drained("eu-central-1") }, Query{}, map[string]float64{"eu-west-1 drain": 1}, "eu-west-1 us-east-1 ap-northeast-1"},
		{
			"drained, but a last resort", func(f *fleet) {
				f.drained("eu-central-1")
				f.region("eu-central-1").LastResort = true
			}, Query{}, map[string]float64{"eu-west-1 drain": 1}, "eu-west-1 us-east-1 ap-northeast-1 eu-central-1",
		},
		{"busy, with room", func(f *fleet) { f.load("eu-central-1", 0.8) }, Query{}, map[string]float64{"eu-central-1 nearest": 1}, ""},
		{
			"nearly full", func(f *fleet) { f.load("eu-central-1", 0.9) },
			Query{},
			map[string]float64{"eu-central-1 nearest": 0.5, "eu-west-1 spill": 0.5},
			"",
		},
		{"full", func(f *fleet) { f.load("eu-central-1", 1.2) }, Query{}, map[string]float64{"eu-west-1 spill": 1}, ""},
		{
			"full beside one that is busy", func(f *fleet) {
				f.load("eu-central-1", 1)
				f.load("eu-west-1", 0.85)
			}, Query{}, map[string]float64{"us-east-1 spill": 1}, "",
		},
		{
			"what is spilled stays near", func(f *fleet) {
				f.down("eu-west-1", "us-east-1")
				f.load("eu-central-1", 0.9)
			}, Query{}, map[string]float64{"eu-central-1 nearest": 1}, "",
		},
		{
			"what fails over may go far", func(f *fleet) {
				f.down("eu-west-1", "us-east-1")
				f.region("eu-central-1").Healthy = 2
			}, Query{}, map[string]float64{"eu-central-1 nearest": 0.7, "ap-northeast-1 failover": 0.3}, "",
		},
		{
			"residency", func(*fleet) {},
			Query{Residency: []string{"us-east-1", "eu-west-1"}},
			map[string]float64{"eu-west-1 nearest": 1},
			"eu-west-1 us-east-1",
		},
		{"all down", func(f *fleet) { f.down(fleetNames...) }, Query{}, map[string]float64{"eu-central-1 fail_open": 1}, "eu-central-1"},
		{
			"all down but for what is drained", func(f *fleet) {
				f.down(fleetNames[1:]...)
				f.drained("eu-central-1")
			}, Query{}, map[string]float64{"eu-west-1 fail_open": 1}, "eu-west-1",
		},
		{
			"all down but for the last resort", func(f *fleet) {
				f.down(fleetNames[1:]...)
				f.drained("eu-central-1")
				f.region("eu-central-1").LastResort = true
			}, Query{}, map[string]float64{"eu-central-1 failover": 1}, "eu-central-1",
		},
	} {
		t.Run("contract 2.6 "+tc.name, func(t *testing.T) {
			f := newFleet(t)
			tc.change(f)
			got, last := f.decide(New(Policy{}), tc.query)
			if len(got) != len(tc.want) {
				t.Fatalf("got %v, want %v", got, tc.want)
			}
			for key, want := range tc.want {
				if math.Abs(got[key]-want) > 0.03 {
					t.Errorf("got %v, want %v", got, tc.want)
				}
			}
			if last.Unavailable || last.Strict || last.Full {
				t.Errorf("the plan is %+v", last)
			}
			if tc.rest != "" && candidates(last) != tc.rest {
				t.Errorf("candidates %s, want %s", candidates(last), tc.rest)
			}
		})
	}
}

// Requests that nobody has room for wait for the nearest; where all is drained
// nobody may be asked.
func TestNowhere(t *testing.T) {
	f := newFleet(t)
	f.loads(1)
	if _, plan := f.decide(New(Policy{}), Query{}); !plan.Full || plan.Unavailable || plan.First().Name != "eu-central-1" {
		t.Errorf("all full: %+v", plan)
	}
	f = newFleet(t)
	f.down(fleetNames[1:]...)
	f.region("eu-central-1").Drained = 1
	if got, plan := f.decide(New(Policy{}), Query{}); plan.Full || plan.Unavailable || got["eu-central-1 nearest"] < 0.99 {
		t.Errorf("at the end of a drain, with nothing else: %v, %+v", got, plan)
	}
	f = newFleet(t)
	f.drained(fleetNames...)
	if _, plan := f.decide(New(Policy{}), Query{}); !plan.Unavailable || plan.First().Name != "eu-central-1" {
		t.Errorf("all drained: %+v", plan)
	}
	plan, err := New(Policy{}).Decide(f.view, &Query{Residency: []string{"mars"}}, nil)
	if err != nil || !plan.Unavailable || len(plan.Candidates) != 0 {
		t.Errorf("a home that is not configured: %+v, %v", plan, err)
	}
}

// Contract 2.1 to 2.5: requests that name regions.
func TestNamed(t *testing.T) {
	for _, tc := range []struct {
		name, hint  string
		change      func(f *fleet)
		want        string
		reason      regions.Reason
		strict      bool
		unavailable bool
		full        bool
	}{
		{"contract 2.5 one", "us-east-1", func(*fleet) {}, "us-east-1", regions.ReasonExplicit, true, false, false},
		{"contract 2.5 down", "us-east-1", func(f *fleet) { f.down("us-east-1") }, "us-east-1", regions.ReasonExplicit, true, true, false},
		{"contract 2.5 drained", "us-east-1", func(f *fleet) { f.drained("us-east-1") }, "us-east-1", regions.ReasonExplicit, true, true, false},
		{
			"contract 2.5 draining", "us-east-1", func(f *fleet) { f.region("us-east-1").Drained = 1 },
			"us-east-1", regions.ReasonExplicit, true, false, false,
		},
		{
			"contract 2.5 one backend left", "us-east-1", func(f *fleet) {
				f.down("us-east-1")
				f.region("us-east-1").Healthy = 1
			}, "us-east-1", regions.ReasonExplicit, true, false, false,
		},
		{"full", "us-east-1", func(f *fleet) { f.load("us-east-1", 1) }, "us-east-1", regions.ReasonExplicit, true, false, true},
		{"contract 2.3 list", "us-east-1,eu-west-1", func(*fleet) {}, "us-east-1 eu-west-1", regions.ReasonExplicitList, true, false, false},
		{
			"contract 2.3 list, first down", "us-east-1,eu-west-1", func(f *fleet) { f.down("us-east-1") },
			"eu-west-1", regions.ReasonExplicitList, true, false, false,
		},
		{
			"contract 2.3 list, first full", "us-east-1,eu-west-1", func(f *fleet) { f.load("us-east-1", 1) },
			"eu-west-1", regions.ReasonExplicitList, true, false, false,
		},
		{
			"contract 2.3 list, all down", "us-east-1,eu-west-1", func(f *fleet) { f.down("us-east-1", "eu-west-1") },
			"us-east-1 eu-west-1", regions.ReasonExplicitList, true, true, false,
		},
		{
			"contract 2.3 list, one full and one down", "us-east-1,eu-west-1", func(f *fleet) {
				f.down("us-east-1")
				f.load("eu-west-1", 1)
			}, "eu-west-1", regions.ReasonExplicitList, true, false, true,
		},
		{
			"contract 2.3 ends in any", "us-east-1,any", func(*fleet) {},
			"us-east-1 eu-central-1 eu-west-1 ap-northeast-1", regions.ReasonExplicitList, false, false, false,
		},
		{
			"contract 2.3 any, named is down", "us-east-1,any", func(f *fleet) { f.down("us-east-1") },
			"eu-central-1 eu-west-1 ap-northeast-1", regions.ReasonFailover, false, false, false,
		},
		{
			"contract 2.3 any, all down", "us-east-1,any", func(f *fleet) { f.down(fleetNames...) },
			"eu-central-1", regions.ReasonFailOpen, false, false, false,
		},
		{
			"contract 2.3 any, only the named one is up", "us-east-1,any", func(f *fleet) { f.down("eu-central-1", "eu-west-1", "ap-northeast-1") },
			"us-east-1", regions.ReasonExplicitList, false, false, false,
		},
		{
			"contract 2.3 any, named is full", "us-east-1,any", func(f *fleet) { f.load("us-east-1", 1) },
			"eu-central-1 eu-west-1 us-east-1 ap-northeast-1", regions.ReasonSpill, false, false, false,
		},
		{
			"contract 2.3 any, named is drained", "us-east-1,any", func(f *fleet) { f.drained("us-east-1") },
			"eu-central-1 eu-west-1 ap-northeast-1", regions.ReasonDrain, false, false, false,
		},
		{
			"contract 2.3 any, all full", "us-east-1,any", func(f *fleet) { f.loads(1) },
			"us-east-1 eu-central-1 eu-west-1 ap-northeast-1", regions.ReasonExplicitList, false, false, true,
		},
		{
			"contract 2.3 any, named is down, all others full", "us-east-1,any", func(f *fleet) {
				f.loads(1)
				f.down("us-east-1")
			}, "eu-central-1 eu-west-1 ap-northeast-1", regions.ReasonFailover, false, false, true,
		},
		{
			"contract 2.3 any, named is full, all others down", "us-east-1,any", func(f *fleet) {
				f.load("us-east-1", 1)
				f.down("eu-central-1", "eu-west-1", "ap-northeast-1")
			}, "us-east-1", regions.ReasonExplicitList, false, false, true,
		},
		{
			// One backend of four: for those that name it only.
			"contract 2.3 any, named has a last backend, all others down", "us-east-1,any", func(f *fleet) {
				f.down(fleetNames...)
				f.region("us-east-1").Healthy = 1
			}, "us-east-1", regions.ReasonExplicitList, false, false, false,
		},
		{
			"contract 2.3 any, named has a full last backend, all others down", "us-east-1,any", func(f *fleet) {
				f.down(fleetNames...)
				f.region("us-east-1").Healthy = 1
				f.load("us-east-1", 1)
			}, "us-east-1", regions.ReasonExplicitList, false, false, true,
		},
		{
			"contract 2.3 any, all drained", "us-east-1,any", func(f *fleet) { f.drained(fleetNames...) },
			"us-east-1", regions.ReasonExplicitList, false, true, false,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFleet(t)
			tc.change(f)
			plan, err := New(Policy{}).Decide(f.view, &Query{Hint: hint(t, tc.hint), ID: "x"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := candidates(plan); got != tc.want || plan.Candidates[0].Reason != tc.reason {
				t.Errorf("%s by %s, want %s by %s", got, plan.Candidates[0].Reason, tc.want, tc.reason)
			}
			if plan.Strict != tc.strict || plan.Unavailable != tc.unavailable || plan.Full != tc.full {
				t.Errorf("strict %v, unavailable %v, full %v", plan.Strict, plan.Unavailable, plan.Full)
			}
		})
	}
}

// Contract 2.4: a region that is not configured, or not the project's to use.
func TestInvalidRegion(t *testing.T) {
	f := newFleet(t)
	for _, tc := range []struct {
		name, hint string
		residency  []string
		region     string
		allowed    []string
	}{
		{"unknown", "mars", nil, "mars", fleetNames},
		{"one of a list", "us-east-1,mars", nil, "mars", fleetNames},
		{"outside the residency", "us-east-1", []string{"eu-west-1", "mars"}, "us-east-1", []string{"eu-west-1"}},
	} {
		t.Run("contract 2.4 "+tc.name, func(t *testing.T) {
			_, err := New(Policy{}).Decide(f.view, &Query{Hint: hint(t, tc.hint), Residency: tc.residency}, nil)
			var invalid *InvalidRegionError
			if !errors.As(err, &invalid) || invalid.Region != tc.region || !slices.Equal(invalid.Allowed, tc.allowed) {
				t.Errorf("got %+v", err)
			} else if !strings.Contains(err.Error(), tc.region) {
				t.Errorf("the error is %q", err)
			}
		})
	}
}

// Nearest to the client: by the built-in table, unless the detour is too long
// or nothing is known of the client.
func TestNearClient(t *testing.T) {
	japan := geo.Client{Country: "JP"}
	for _, tc := range []struct {
		name   string
		policy Policy
		query  Query
		want   string
	}{
		{"from Japan", Policy{Mode: NearClient}, Query{Client: japan}, "ap-northeast-1"},
		{"from nowhere", Policy{Mode: NearClient}, Query{}, "eu-central-1"},
		{"too long a detour", Policy{Mode: NearClient, MaxDetour: 100 * time.Millisecond}, Query{Client: japan}, "us-east-1"},
		{"residency", Policy{Mode: NearClient}, Query{Client: japan, Residency: []string{"eu-west-1", "us-east-1"}}, "us-east-1"},
		{"too long a detour for all but one", Policy{Mode: NearClient, MaxDetour: time.Millisecond}, Query{Client: japan}, "eu-central-1"},
		{"the gateway's choice", Policy{}, Query{Client: japan}, "eu-central-1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, _ := newFleet(t).decide(New(tc.policy), tc.query)
			if keys := slices.Collect(maps.Keys(got)); len(keys) != 1 || keys[0] != tc.want+" nearest" {
				t.Errorf("got %v, want %s", got, tc.want)
			}
		})
	}
}

// The client's place is known though the gateway's is not: the choice is no
// default (contract 2.7). A bias counts for the client as well.
func TestNearClientOfNowhere(t *testing.T) {
	f := newFleet(t)
	f.view.Ranked = false
	for i := range f.view.Regions {
		f.view.Regions[i].Known = false
	}
	p := New(Policy{Mode: NearClient, MaxDetour: time.Millisecond})
	japan := Query{Client: geo.Client{Country: "JP"}}
	if got, _ := f.decide(p, japan); got["ap-northeast-1 nearest"] < 0.99 {
		t.Errorf("got %v", got)
	}
	if got, _ := f.decide(p, Query{}); got["eu-central-1 default"] < 0.99 {
		t.Errorf("from nowhere: %v", got)
	}
	biased := *f.region("ap-northeast-1").Region
	biased.Bias = time.Second
	f.region("ap-northeast-1").Region = &biased
	if got, _ := f.decide(p, japan); got["us-east-1 nearest"] < 0.99 {
		t.Errorf("with a bias: %v", got)
	}
}
