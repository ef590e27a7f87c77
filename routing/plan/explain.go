package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/capacity"
	"github.com/edgegate/edgegate/regions/geo"
)

// Explanation describes the choice for a request, and why.
type Explanation struct {
	Mode       Mode              `json:"mode"`
	Chosen     string            `json:"chosen"`        // "" if no region would be asked
	Why        string            `json:"why,omitempty"` // set if none can ever be chosen
	Reason     regions.Reason    `json:"reason"`
	RequestID  string            `json:"request_id,omitempty"`
	Client     ExplainedClient   `json:"client"`
	Candidates []ExplainedRegion `json:"candidates"`
}

// ExplainedClient is the caller's place as far as it is known.
type ExplainedClient struct {
	Country *string `json:"country"`
	Source  string  `json:"source"`
}

// ExplainedRegion is one region, and why it was chosen or not. Times are in
// milliseconds, null where unknown.
type ExplainedRegion struct {
	Region string        `json:"region"`
	RTT    *float64      `json:"rtt_ms"` // from the gateway; the value that decides
	Base   *float64      `json:"base_ms"`
	Fast   *float64      `json:"fast_ms"`
	Client *float64      `json:"client_rtt_ms,omitempty"` // from the client, in mode client
	Health regions.State `json:"health"`
	Load   *float64      `json:"load"` // null: the capacity is unknown
	State  regions.State `json:"state"`
	Score  *float64      `json:"score"` // decides the order; lower is better
	Share  float64       `json:"share"` // of such requests, 0 to 1
	Why    string        `json:"why"`
	// Backends are those of the region, those that get no calls last.
	Backends []ExplainedBackend `json:"backends"`
	// Sources are where lists of backends come from; absent if all are fixed.
	Sources []ExplainedSource `json:"sources,omitempty"`
}

// ExplainedBackend is a backend of a region and its part of the region's calls.
type ExplainedBackend struct {
	Address string        `json:"address"`
	State   regions.State `json:"state"`
	Phase   regions.Phase `json:"phase,omitempty"` // entering, standby or leaving; absent while it serves
	Share   float64       `json:"share"`           // of the region's calls while none is busy, 0 to 1
	Source  string        `json:"source,omitempty"`
}

// ExplainedSource is a source of backends.
type ExplainedSource struct {
	Source string   `json:"source"`
	Age    *float64 `json:"age_seconds"` // of its last list; null if it never gave one
	Error  string   `json:"error,omitempty"`
}

// Explain decides as Decide does and explains it. The candidates are in the order
// of the decision; regions that the project may not use come last. Unavailable
// plans have no shares. The error is an *InvalidRegionError.
func (p *Planner) Explain(v *regions.View, q *Query) (*Explanation, error) {
	plan, err := p.Decide(v, q, nil)
	if err != nil {
		return nil, err
	}
	e := &Explanation{Mode: p.policy.Mode, RequestID: q.ID, Client: explainClient(q.Client)}
	if len(plan.Candidates) > 0 {
		e.Reason = plan.Candidates[0].Reason
	}
	if !plan.Unavailable {
		e.Chosen = plan.Candidates[0].Region.Name
	}
	automatic := *q
	automatic.Hint = regions.Hint{}
	list := p.shares(v, &automatic, nil)
	named := q.Hint.Named()
	// Without shares one region gets all such requests.
	one := named || !slices.ContainsFunc(list, func(s share) bool { return s.part > 0 })
	if named {
		slices.SortStableFunc(list, func(a, b share) int { return p.place(v, plan, a) - p.place(v, plan, b) })
	}
	for i := range list {
		r := &v.Regions[list[i].index]
		o := explainRegion(p.policy.Mode, v.At, r, q.Client)
		o.Share = list[i].part
		if one {
			o.Share = 0
			if r.Region.Name == e.Chosen {
				o.Share = 1
			}
		}
		o.Why = p.why(v, plan, list, i, e, q)
		e.Candidates = append(e.Candidates, o)
	}
	for i := range v.Regions {
		if r := &v.Regions[i]; !allowed(q.Residency, r.Region.Name) {
			o := explainRegion(p.policy.Mode, v.At, r, q.Client)
			o.Why = "the project may not use it: its regions are " + strings.Join(q.Residency, ", ")
			e.Candidates = append(e.Candidates, o)
		}
	}
	return e, nil
}

// noList is why a region is not used of whose backends there is no list.
const noList = "unknown: there is no list of its backends yet"

// place returns the position of a region in the plan, its length if it is not in it.
func (p *Planner) place(v *regions.View, plan regions.Plan, s share) int {
	i := slices.IndexFunc(plan.Candidates, func(c regions.Candidate) bool { return c.Region == v.Regions[s.index].Region })
	if i < 0 {
		return len(plan.Candidates)
	}
	return i
}

func explainClient(c geo.Client) ExplainedClient {
	e := ExplainedClient{Source: c.Source}
	if e.Source == "" {
		e.Source = "unknown"
	}
	if c.Country != "" {
		e.Country = &c.Country
	}
	return e
}

func explainRegion(mode Mode, now time.Time, r *regions.RegionView, client geo.Client) ExplainedRegion {
	o := ExplainedRegion{Region: r.Region.Name, Health: r.Health, State: r.State}
	o.Backends, o.Sources = explainBackends(now, r)
	rtt, near := geo.ClientRTT(client, r.Region.Target())
	if r.Known {
		o.RTT, o.Score = milliseconds(r.Distance.RTT), milliseconds(r.Score)
	}
	if near && mode == NearClient {
		o.Client, o.Score = milliseconds(rtt), milliseconds(rtt+r.Region.Bias)
	}
	if r.Distance.Measured {
		o.Base, o.Fast = milliseconds(r.Distance.Base), milliseconds(r.Distance.Fast)
	}
	if load, known := r.Load.Factor(); known {
		o.Load = &load
	}
	return o
}

func explainBackends(now time.Time, r *regions.RegionView) (backends []ExplainedBackend, sources []ExplainedSource) {
	shares := r.Shares()
	backends = make([]ExplainedBackend, 0, len(r.Backends)+len(r.Others))
	for i, b := range slices.Concat(r.Backends, r.Others) {
		o := ExplainedBackend{
			Address: b.Address,
			State:   b.State,
			Phase:   b.Phase,
			Source:  b.Source,
		}
		if i < len(shares) {
			o.Share = shares[i]
		}
		backends = append(backends, o)
	}
	for _, s := range r.Sources {
		o := ExplainedSource{Source: s.Name}
		if !s.ListedAt.IsZero() {
			o.Age = new(now.Sub(s.ListedAt).Seconds())
		}
		if s.Err != nil {
			o.Error = s.Err.Error()
		}
		sources = append(sources, o)
	}
	return backends, sources
}

// why returns the explanation for the i-th region of list.
func (p *Planner) why(v *regions.View, plan regions.Plan, list []share, i int, e *Explanation, q *Query) string {
	named := q.Hint.Named()
	r := &v.Regions[list[i].index]
	name := r.Region.Name
	switch {
	case name == e.Chosen && plan.Full:
		return "full" + crowding(r, q) + ", and nothing else that may be used has room: a request waits 100ms for it, then gets 503"
	case name == e.Chosen && e.Reason == regions.ReasonFailOpen:
		return "down, as every region is: one attempt is made all the same"
	case name == e.Chosen:
		return "chosen: " + string(e.Reason)
	case r.State == regions.StateDrained && lastResort(r):
		return "drained: used only when every other region is down"
	case r.State == regions.StateDrained:
		return "drained"
	case len(r.Backends) == 0:
		return noList
	case r.Health == regions.StateDown:
		return fmt.Sprintf("down: %d of %d backends answer", r.Healthy, len(r.Backends))
	case named && p.place(v, plan, list[i]) == len(plan.Candidates):
		return "not named by the request"
	case named && isFull(r, q):
		return "full" + crowding(r, q)
	case named:
		return "asked if a better one fails"
	}
	return p.lost(v, list, i, q)
}

// lost returns why a usable region gets no more than its share.
func (p *Planner) lost(v *regions.View, list []share, i int, q *Query) string {
	s, r := list[i], &v.Regions[list[i].index]
	first := slices.IndexFunc(list, func(o share) bool { return o.cut != cutDown && o.cut != cutDrained })
	if s.part > 0 {
		return fmt.Sprintf("gets %.0f %% of such requests%s", 100*s.part, p.because(r, s.cut, q))
	}
	if s.score-list[first].score > p.policy.MaxSpill && list[first].cut == cutLoad {
		return fmt.Sprintf("more than %s farther than the best: takes nothing that is spilled", p.policy.MaxSpill)
	}
	if s.cut != cutNone {
		return "gets none" + p.because(r, s.cut, q)
	}
	best := v.Regions[list[first].index].Region.Name
	if s.detour {
		return fmt.Sprintf("more than %s farther from the gateway than the nearest", p.policy.MaxDetour)
	}
	if !s.known {
		return fmt.Sprintf("%s comes first in the configuration", best)
	}
	if s.score < list[first].score {
		return fmt.Sprintf("better than %s, but not by 10ms and a third for 30s", best)
	}
	return fmt.Sprintf("%s is better", best)
}

func (p *Planner) because(r *regions.RegionView, c cut, q *Query) string {
	switch c {
	case cutDown, cutHealth:
		if len(r.Backends) == 0 {
			return ": " + noList
		}
		return fmt.Sprintf(": %d of %d backends answer", r.Healthy, len(r.Backends))
	case cutDrained:
		return ": it is drained"
	case cutStart:
		return ": it came back a moment ago"
	case cutDrain:
		return ": it is being drained"
	case cutLoad:
		load, _ := r.Load.For(&q.Tenant, q.Socket)
		return fmt.Sprintf(": its load is %.2f", load) + crowding(r, q)
	case cutNone:
	}
	return ""
}

// crowding returns why a region has no room for one project of several (contract
// 9.6).
func crowding(r *regions.RegionView, q *Query) string {
	if q.Tenant.Project == "" || r.Load.IsFixed() {
		return ""
	}
	s := r.Load.Of(q.Socket).Standing(&q.Tenant)
	switch s.Crowding {
	case capacity.CrowdedShare:
		return fmt.Sprintf(" for the project: it holds %d of %d places, and one may hold %d (capacity_share)", s.Held, s.Capacity, s.Most)
	case capacity.CrowdedFair:
		return fmt.Sprintf(" for the project: %d of %d places are taken, and it holds its fair share with %d", s.All, s.Capacity, s.Held)
	case capacity.CrowdedFull:
		return fmt.Sprintf(" for everybody: %d of %d places are taken", s.All, s.Capacity)
	}
	return ""
}

func milliseconds(d time.Duration) *float64 {
	ms := float64(d) / float64(time.Millisecond)
	return &ms
}
