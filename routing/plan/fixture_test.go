package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/capacity"
)

// fleet is a view of regions that a test changes. Frankfurt is where the gateway
// is; the round trips are 3, 25, 90 and 240 ms.
type fleet struct {
	t    testing.TB
	view *regions.View
}

var fleetNames = []string{"eu-central-1", "eu-west-1", "us-east-1", "ap-northeast-1"}

func newFleet(t testing.TB) *fleet {
	t.Helper()
	rtts := []int{3, 25, 90, 240}
	var list []regions.Region
	for i, name := range fleetNames {
		r := regions.Region{Name: name}
		for j := range 4 {
			b, err := regions.ParseBackend(fmt.Sprintf("http://10.%d.0.%d:9000", i, j+1))
			if err != nil {
				t.Fatal(err)
			}
			r.Backends = append(r.Backends, b)
		}
		list = append(list, r)
	}
	set, err := regions.NewSet(list)
	if err != nil {
		t.Fatal(err)
	}
	v := &regions.View{Ranked: true}
	for i, r := range set.All() {
		rtt := time.Duration(rtts[i]) * time.Millisecond
		v.Regions = append(v.Regions, regions.RegionView{
			Region: r, State: regions.StateUp, Health: regions.StateUp, Healthy: 4, Backends: make([]regions.BackendView, 4),
			Distance: regions.Distance{RTT: rtt, Base: rtt, Fast: rtt, Measured: true}, Known: true, Score: rtt,
			SlowStart: 1, Load: new(capacity.Load),
		})
		v.Order = append(v.Order, i)
	}
	return &fleet{t, v}
}

func (f *fleet) region(name string) *regions.RegionView {
	i, ok := f.view.Lookup(name)
	if !ok {
		f.t.Fatalf("no region %q", name)
	}
	return &f.view.Regions[i]
}

func (f *fleet) down(names ...string) {
	for _, name := range names {
		r := f.region(name)
		r.State, r.Health, r.Healthy = regions.StateDown, regions.StateDown, 0
	}
}

func (f *fleet) drained(names ...string) {
	for _, name := range names {
		r := f.region(name)
		r.State, r.Drained = regions.StateDrained, 1
	}
}

func (f *fleet) load(name string, factor float64) { f.region(name).Load = capacity.FixedLoad(factor) }

func (f *fleet) loads(factor float64) {
	for _, name := range fleetNames {
		f.load(name, factor)
	}
}

// decide runs many requests and returns which part of them each region gets, by
// name and reason, and the last plan.
func (f *fleet) decide(p *Planner, q Query) (shares map[string]float64, last regions.Plan) {
	f.t.Helper()
	const requests = 4000
	shares = make(map[string]float64)
	for i := range requests {
		q.ID = fmt.Sprintf("01890000-0000-7000-8000-%012x", i)
		plan, err := p.Decide(f.view, &q, nil)
		if err != nil {
			f.t.Fatal(err)
		}
		again, err := p.Decide(f.view, &q, make([]regions.Candidate, 0, 16))
		if err != nil || again.Candidates[0] != plan.Candidates[0] {
			f.t.Fatalf("the same request runs in %v and %v", plan.Candidates[0], again.Candidates[0])
		}
		shares[plan.Candidates[0].Region.Name+" "+string(plan.Candidates[0].Reason)] += 1.0 / requests
		last = plan
	}
	return shares, last
}

func hint(t testing.TB, text string) regions.Hint {
	t.Helper()
	h, err := regions.ParseHint([]string{text}, "")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func candidates(plan regions.Plan) string {
	text := ""
	for i, c := range plan.Candidates {
		if i > 0 {
			text += " "
		}
		text += c.Region.Name
	}
	return text
}
