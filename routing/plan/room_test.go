package plan

import (
	"math"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/capacity"
)

// Contract 9.6, 2.7: a region is as full as the one who asks makes it. Who holds much of it is sent away first; who holds little
// stays, though all is taken. WebSockets are no load.
func TestRoomOfATenant(t *testing.T) {
	noisy, quiet := capacity.Tenant{Project: "noisy", Share: 80}, capacity.Tenant{Project: "quiet", Share: 80}
	const near, next = "eu-central-1", "eu-west-1"
	for _, tc := range []struct {
		name    string
		calls   map[string]int // in the nearest region
		sockets map[string]int
		query   Query
		want    map[string]float64
		full    bool
		why     string // of the nearest
	}{
		{
			"at its capacity_share",
			map[string]int{"noisy": 80},
			nil,
			Query{Tenant: noisy},
			map[string]float64{next + " spill": 1},
			false,
			"for the project: it holds 80 of 100 places, and one may hold 80 (capacity_share)",
		},
		{"beside who is at its share", map[string]int{"noisy": 80}, nil, Query{Tenant: quiet}, map[string]float64{near + " nearest": 1}, false, "chosen: nearest"},
		{"full, below its share", map[string]int{"noisy": 80, "others": 20}, nil, Query{Tenant: quiet}, map[string]float64{near + " nearest": 1}, false, "chosen: nearest"},
		{
			"full, above its share",
			map[string]int{"noisy": 60, "others": 40},
			nil,
			Query{Tenant: noisy},
			map[string]float64{next + " spill": 1},
			false,
			"for the project: 100 of 100 places are taken, and it holds its fair share with 60",
		},
		{
			"nearly full, the larger",
			map[string]int{"noisy": 70, "others": 20},
			nil,
			Query{Tenant: noisy},
			map[string]float64{near + " nearest": 0.5, next + " spill": 0.5},
			false, "",
		},
		{"nearly full, the smaller", map[string]int{"noisy": 70, "others": 20}, nil, Query{Tenant: quiet}, map[string]float64{near + " nearest": 1}, false, ""},
		{
			"named, above",
			map[string]int{"noisy": 80},
			nil,
			Query{Tenant: noisy, Hint: regions.Hint{Regions: []string{near}}},
			map[string]float64{near + " explicit": 1},
			true, "for the project",
		},
		{
			"named, below",
			map[string]int{"noisy": 80},
			nil,
			Query{Tenant: quiet, Hint: regions.Hint{Regions: []string{near}}},
			map[string]float64{near + " explicit": 1},
			false, "chosen: explicit",
		},
		{
			"125 %",
			map[string]int{"noisy": 80, "others": 45},
			nil,
			Query{Tenant: quiet},
			map[string]float64{next + " spill": 1},
			false,
			"for everybody: 125 of 100 places are taken",
		},
		{"WebSockets are no load", nil, map[string]int{"noisy": 320, "quiet": 80}, Query{Tenant: noisy}, map[string]float64{near + " nearest": 1}, false, ""},
		{"WebSockets at their share", nil, map[string]int{"noisy": 320}, Query{Tenant: noisy, Socket: true}, map[string]float64{next + " spill": 1}, false, "(capacity_share)"},
		{"calls do not hinder WebSockets", map[string]int{"noisy": 80}, nil, Query{Tenant: noisy, Socket: true}, map[string]float64{near + " nearest": 1}, false, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFleet(t)
			load := f.region(near).Load
			load.Calls.SetCapacity(100)
			load.Sockets.SetCapacity(400)
			for _, who := range []string{"noisy", "others", "quiet"} {
				for range tc.calls[who] {
					if _, why := load.Calls.Enter(&capacity.Tenant{Project: who, Share: 80}); why != "" {
						t.Fatalf("%s: %s", who, why)
					}
				}
				for range tc.sockets[who] {
					if _, why := load.Sockets.Enter(&capacity.Tenant{Project: who, Share: 80}); why != "" {
						t.Fatalf("%s: %s", who, why)
					}
				}
			}
			p := New(Policy{})
			got, last := f.decide(p, tc.query)
			if len(got) != len(tc.want) || last.Full != tc.full {
				t.Fatalf("got %v, full %v; want %v", got, last.Full, tc.want)
			}
			for key, want := range tc.want {
				if math.Abs(got[key]-want) > 0.03 {
					t.Errorf("got %v, want %v", got, tc.want)
				}
			}
			e, err := p.Explain(f.view, &tc.query)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range e.Candidates {
				if c.Region == near && !strings.Contains(c.Why, tc.why) {
					t.Errorf("it is explained by %q", c.Why)
				}
			}
		})
	}
}

// Contract 2.7 and docs/regions.md: what a region turns out to have no room for goes to those alone that are near, and not nearly full
// themselves; of a list to each of those that were named.
func TestSpillsGoWhereTheyMay(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(f *fleet)
		hint   string
		want   string // of the candidates after the first
	}{
		{"near ones", func(*fleet) {}, "", "eu-west-1 us-east-1"},
		{"not those that are nearly full", func(f *fleet) { f.load("eu-west-1", 0.9) }, "", "us-east-1"},
		{"not those that are down", func(f *fleet) { f.down("eu-west-1") }, "", "us-east-1"},
		{"a list", func(*fleet) {}, "us-east-1,ap-northeast-1", "ap-northeast-1"},
		{"a list that ends in any", func(*fleet) {}, "us-east-1,any", "eu-central-1 eu-west-1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFleet(t)
			tc.change(f)
			plan, err := New(Policy{}).Decide(f.view, &Query{Hint: hint(t, tc.hint)}, nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range plan.Candidates[1:] {
				if c.Spill {
					got = append(got, c.Region.Name)
				}
			}
			if strings.Join(got, " ") != tc.want {
				t.Errorf("it may spill to %v, want %s", got, tc.want)
			}
		})
	}
}
