package plan

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/capacity"
	"github.com/edgegate/edgegate/regions/geo"
)

// The decision is on the path of every request: no allocation where the caller
// lends room for the candidates.
func TestDecideAllocates(t *testing.T) {
	f := newFleet(t)
	f.load("eu-central-1", 0.9)
	into := make([]regions.Candidate, 0, 16)
	for _, tc := range []struct {
		name   string
		policy Policy
		query  Query
	}{
		{"automatic", Policy{}, Query{}},
		{"residency", Policy{}, Query{Residency: []string{"us-east-1"}}},
		{"named", Policy{}, Query{Hint: hint(t, "us-east-1")}},
		{"list", Policy{}, Query{Hint: hint(t, "us-east-1,eu-west-1")}},
		{"list and any", Policy{}, Query{Hint: hint(t, "us-east-1,eu-west-1,any")}},
		{"near the client", Policy{Mode: NearClient, MaxDetour: time.Second}, Query{Client: geo.Client{Country: "KE"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := New(tc.policy)
			tc.query.ID = "01890000-0000-7000-8000-000000000001"
			if n := testing.AllocsPerRun(100, func() { _, _ = p.Decide(f.view, &tc.query, into) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

// What is in the lent room is no candidate.
func TestDecideOverwrites(t *testing.T) {
	f := newFleet(t)
	old := regions.Candidate{Region: &regions.Region{Name: "mars"}}
	for _, text := range []string{"", "us-east-1", "us-east-1,any"} {
		plan, err := New(Policy{}).Decide(f.view, &Query{Hint: hint(t, text)}, []regions.Candidate{old})
		if err != nil || slices.Contains(plan.Candidates, old) {
			t.Errorf("%q: %s, %v", text, candidates(plan), err)
		}
	}
}

// The part of the requests that each region gets, counted over many ids, is its
// share, and ids that differ in little are as good as any.
func TestDecideSharesAsSaid(t *testing.T) {
	f := newFleet(t)
	f.region("eu-central-1").SlowStart = 0.25
	f.region("eu-west-1").Healthy = 2
	f.region("us-east-1").Drained = 0.5
	p := New(Policy{})
	e, err := p.Explain(f.view, &Query{})
	if err != nil {
		t.Fatal(err)
	}
	counted := make(map[string]float64)
	const requests = 40_000
	for i := range requests {
		plan, err := p.Decide(f.view, &Query{ID: fmt.Sprintf("019a%08x-%04x-7000-8000-000000000000", i/7, i)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		counted[plan.First().Name] += 1.0 / requests
	}
	for i, want := range []float64{0.25, 0.7, 0.05, 0} {
		c := e.Candidates[i]
		if math.Abs(c.Share-want) > 1e-9 || math.Abs(counted[c.Region]-want) > 0.01 {
			t.Errorf("%s: %v said, %v counted, want %v", c.Region, c.Share, counted[c.Region], want)
		}
	}
}

// arbitrary is a question made of bytes, of which there may be any number.
func arbitrary(t *testing.T, text, id string, data []byte) (*fleet, *Planner, *Query, bool) {
	next := func() int {
		if len(data) == 0 {
			return 0
		}
		b := data[0]
		data = data[1:]
		return int(b)
	}
	h, err := regions.ParseHint([]string{text}, "")
	if err != nil {
		return nil, nil, nil, false
	}
	f := newFleet(t)
	flags := next()
	policy := Policy{}
	q := &Query{Hint: h, ID: id}
	if flags&1 != 0 {
		policy.Mode = NearClient
		q.Client.Country = []string{"", "JP", "KE", "US"}[flags>>1&3]
		policy.MaxDetour = time.Duration(next()) * time.Millisecond
	}
	f.view.Ranked = flags&8 == 0
	if flags&16 != 0 {
		q.Residency = []string{}
		for i, name := range fleetNames {
			if flags>>4>>i&1 != 0 {
				q.Residency = append(q.Residency, name)
			}
		}
	}
	for i := range f.view.Regions {
		r := &f.view.Regions[i]
		state := next()
		r.Healthy = state & 7 % 5
		switch {
		case r.Healthy < 2:
			r.Health = regions.StateDown
		case state&8 != 0:
			r.Health = regions.StateUnknown
		}
		r.State = r.Health
		if state&16 != 0 {
			r.State, r.Drained, r.LastResort = regions.StateDrained, 1, state&32 != 0
		} else if state&32 != 0 {
			r.State, r.Drained = regions.StateDraining, float64(next())/255
		}
		if state&64 != 0 {
			r.Load = capacity.FixedLoad(float64(next()) / 200)
		}
		if state&128 != 0 {
			r.SlowStart = 0.1 + 0.9*float64(next())/255
		}
		r.Score += time.Duration(next()) * time.Millisecond
	}
	return f, New(policy), q, true
}

// FuzzDecide holds decisions to what is true of all of them, and explanations to
// the decisions.
func FuzzDecide(f *testing.F) {
	f.Add("us-east-1,any", "id", []byte{0, 1, 2, 3, 4})
	f.Add("", "", []byte{1 | 1<<1, 9, 128 | 4, 0, 2, 64 | 4, 190, 16 | 32 | 4})
	f.Add("us-east-1,eu-west-1", "x", []byte{16 | 64, 0, 0, 64 | 4, 255})
	f.Add("any", "y", []byte{0, 4 | 64, 180, 0, 1, 1, 4 | 64, 190, 200})
	f.Fuzz(func(t *testing.T, text, id string, data []byte) {
		fleet, p, q, ok := arbitrary(t, text, id, data)
		if !ok {
			return
		}
		plan, err := p.Decide(fleet.view, q, nil)
		if err != nil {
			if _, err := p.Explain(fleet.view, q); err == nil {
				t.Error("what can't be decided is explained")
			}
			return
		}
		again, _ := p.Decide(fleet.view, q, make([]regions.Candidate, 3))
		if candidates(again) != candidates(plan) {
			t.Errorf("%s, and then %s", candidates(plan), candidates(again))
		}
		fleet.judge(plan, q)
		fleet.compare(p, plan, q)
	})
}

// judge checks a plan against what contract 2.3 to 2.6 and docs/regions.md say.
func (f *fleet) judge(plan regions.Plan, q *Query) {
	t := f.t
	if len(plan.Candidates) == 0 {
		if !plan.Unavailable || len(Allowed(f.view, q.Residency)) > 0 {
			t.Errorf("no candidates: %+v", plan)
		}
		return
	}
	others, seen := 0, make(map[string]bool)
	for i := range f.view.Regions {
		if r := &f.view.Regions[i]; allowed(q.Residency, r.Region.Name) && r.Usable() {
			others++
		}
	}
	for i, c := range plan.Candidates {
		name := c.Region.Name
		r := f.region(name)
		named := slices.Contains(q.Hint.Regions, name)
		switch {
		case seen[name]:
			t.Errorf("%s twice", name)
		case !allowed(q.Residency, name):
			t.Errorf("%s is not where the project lives", name)
		case plan.Strict && !named:
			t.Errorf("%s was not named", name)
		case plan.Unavailable:
		case r.State == regions.StateDrained && !r.LastResort:
			t.Errorf("%s is drained", name)
		case r.State == regions.StateDrained && (plan.Strict || i == 0 && others > 0):
			t.Errorf("%s is the last resort and comes too early", name)
		case r.Healthy == 0 && c.Reason != regions.ReasonFailOpen:
			t.Errorf("%s is down and asked by %s", name, c.Reason)
		case c.Reason == regions.ReasonFailOpen && (others > 0 || len(plan.Candidates) > 1):
			t.Errorf("%s: fail_open beside %d that work", name, others)
		case i == 0 && plan.Full && !isFull(r, q):
			t.Errorf("%s is waited for and has room", name)
		case i == 0 && !plan.Full && isFull(r, q) && c.Reason != regions.ReasonFailOpen && r.State != regions.StateDrained:
			t.Errorf("%s is full", name)
		}
		seen[name] = true
	}
	if q.Hint.Named() && plan.Strict != !q.Hint.Any || plan.Full && plan.Unavailable {
		t.Errorf("%+v", plan)
	}
}

// compare checks that the explanation is that of the plan.
func (f *fleet) compare(p *Planner, plan regions.Plan, q *Query) {
	t := f.t
	e, err := p.Explain(f.view, q)
	if err != nil {
		t.Fatal(err)
	}
	chosen, reason := "", regions.Reason("")
	if len(plan.Candidates) > 0 {
		reason = plan.Candidates[0].Reason
	}
	if !plan.Unavailable {
		chosen = plan.First().Name
	}
	if e.Chosen != chosen || e.Reason != reason || len(e.Candidates) != len(f.view.Regions) {
		t.Errorf("explained as %s by %s, is %s by %s", e.Chosen, e.Reason, chosen, reason)
	}
	sum, want := 0.0, 1.0
	if plan.Unavailable {
		want = 0
	}
	for _, c := range e.Candidates {
		sum += c.Share
		if c.Why == "" || c.Share < 0 || c.Region == chosen && c.Share == 0 || c.Share > 0 && !allowed(q.Residency, c.Region) {
			t.Errorf("%+v", c)
		}
	}
	if math.Abs(sum-want) > 1e-9 {
		t.Errorf("the shares add up to %v, want %v", sum, want)
	}
}
