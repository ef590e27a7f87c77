// Package plan chooses the region of an invocation: it orders the regions of a
// regions.View, shares requests out by health, load and drains, and explains its
// choice. The gateway, `edgegate explain` and the simulation all decide by it.
//
//	planner := plan.New(plan.Policy{Mode: plan.NearClient})
//	decision, err := planner.Decide(view, &plan.Query{ID: requestID, Client: client}, nil)
//
// It measures nothing, keeps no health and sends nothing: package regions does.
// It does not know who may call: package routing does.
package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/capacity"
	"github.com/edgegate/edgegate/regions/geo"
)

// Mode is the place from which "nearest" is measured.
type Mode string

// The modes of `nearest`.
const (
	// NearGateway takes the region with the lowest round trip from the gateway:
	// once a request is here, the client's place no longer changes its latency.
	NearGateway Mode = "gateway"
	// NearClient takes the region with the lowest round trip from the client,
	// for functions whose data or rules are there. Clients of unknown places get
	// NearGateway.
	NearClient Mode = "client"
)

// DefaultMaxSpill is the default of Policy.MaxSpill.
const DefaultMaxSpill = 150 * time.Millisecond

// Policy has the operator's options for the choice.
type Policy struct {
	Mode Mode // default NearGateway
	// MaxSpill bounds the difference between the scores of the best region and one
	// that takes requests for which the best has no room. Default DefaultMaxSpill.
	MaxSpill time.Duration
	// MaxDetour bounds, in NearClient, how much farther from the gateway than the
	// nearest one a region may be. Default: no bound.
	MaxDetour time.Duration
}

// Query has the inputs of the choice besides the state of the regions.
type Query struct {
	Hint      regions.Hint
	Residency []string // regions the project may use; nil: every one
	Client    geo.Client
	ID        string // of the request; the same one gives the same choice
	Tenant    capacity.Tenant
	Socket    bool // a WebSocket, which takes a place among those (contract 9.6)
}

// InvalidRegionError is the error of a request that names a region which does not
// exist or is not allowed (contract 2.4).
type InvalidRegionError struct {
	Region  string
	Allowed []string
}

// Error implements error.
func (e *InvalidRegionError) Error() string {
	return fmt.Sprintf("region %q is none of those allowed", e.Region)
}

// Planner decides by one policy. It is immutable and safe for concurrent use.
type Planner struct {
	policy Policy
}

// New returns a Planner.
func New(policy Policy) *Planner {
	if policy.Mode == "" {
		policy.Mode = NearGateway
	}
	if policy.MaxSpill == 0 {
		policy.MaxSpill = DefaultMaxSpill
	}
	return &Planner{policy: policy}
}

// Decide returns the plan of an invocation. The candidates are stored in into,
// which saves an allocation if its capacity is enough; its content is overwritten.
// Only a residency list without a configured region gives a plan without
// candidates; it is Unavailable. The error is an *InvalidRegionError.
func (p *Planner) Decide(v *regions.View, q *Query, into []regions.Candidate) (regions.Plan, error) {
	into = into[:0]
	if q.Hint.Named() {
		return p.named(v, q, into)
	}
	var buffer [regions.MaxRegions]share
	list := p.shares(v, q, buffer[:0])
	return p.automatic(v, q, list, into), nil
}

// automatic picks by share and lists the others after it, best first.
func (p *Planner) automatic(v *regions.View, q *Query, list []share, into []regions.Candidate) regions.Plan {
	chosen, none := pick(list, q.ID)
	if chosen < 0 {
		return lastChance(v, list, into)
	}
	r := &v.Regions[list[chosen].index]
	into = append(into, regions.Candidate{Region: r.Region, Reason: reason(list, chosen), Spill: !none})
	// A region at the end of its drain is not full.
	return regions.Plan{Candidates: others(v, list, chosen, into), Full: none && isFull(r, q)}
}

// others appends the regions that may be asked if candidate chosen fails.
func others(v *regions.View, list []share, chosen int, into []regions.Candidate) []regions.Candidate {
	for i := range list {
		if i != chosen && list[i].cut != cutDown && list[i].cut != cutDrained {
			into = append(into, regions.Candidate{
				Region: v.Regions[list[i].index].Region, Reason: regions.ReasonFailover, Spill: list[i].spill,
			})
		}
	}
	for i := range list {
		if r := &v.Regions[list[i].index]; lastResort(r) {
			into = append(into, regions.Candidate{Region: r.Region, Reason: regions.ReasonFailover})
		}
	}
	return into
}

func lastResort(r *regions.RegionView) bool {
	return r.LastResort && r.State == regions.StateDrained && r.Health != regions.StateDown
}

// lastChance is the plan when no region may be used: drained ones with LastResort,
// else one attempt at the nearest (contract 2.6). Other drained regions are left
// alone.
func lastChance(v *regions.View, list []share, into []regions.Candidate) regions.Plan {
	for i := range list {
		if r := &v.Regions[list[i].index]; lastResort(r) {
			into = append(into, regions.Candidate{Region: r.Region, Reason: regions.ReasonFailover})
		}
	}
	if len(into) > 0 {
		return regions.Plan{Candidates: into}
	}
	for i := range list {
		if list[i].cut == cutDown {
			return regions.Plan{Candidates: append(into, regions.Candidate{
				Region: v.Regions[list[i].index].Region, Reason: regions.ReasonFailOpen,
			})}
		}
	}
	for i := range list {
		into = append(into, regions.Candidate{Region: v.Regions[list[i].index].Region, Reason: regions.ReasonFailOpen})
	}
	return regions.Plan{Candidates: into, Unavailable: true}
}

// named is the plan of a request that names regions: it stays there, unless the
// list ends in `any` (contract 2.3, 2.5).
func (p *Planner) named(v *regions.View, q *Query, into []regions.Candidate) (regions.Plan, error) {
	for _, name := range q.Hint.Regions {
		if _, ok := v.Lookup(name); !ok || !allowed(q.Residency, name) {
			return regions.Plan{}, &InvalidRegionError{Region: name, Allowed: Allowed(v, q.Residency)}
		}
	}
	plan := regions.Plan{Strict: !q.Hint.Any}
	into = asked(v, q.Hint, into, func(r *regions.RegionView) bool { return r.Reachable() && !isFull(r, q) })
	rest := regions.Plan{Unavailable: true}
	if q.Hint.Any {
		var list [regions.MaxRegions]share
		var candidates [regions.MaxRegions]regions.Candidate
		rest = p.automatic(v, q, p.shares(v, q, list[:0]), candidates[:0])
	}
	restFails := rest.Unavailable || rest.Candidates[0].Reason == regions.ReasonFailOpen
	if len(into) == 0 && (restFails || rest.Full) {
		// Wait for a named region: no other has room.
		into = asked(v, q.Hint, into, (*regions.RegionView).Reachable)
		plan.Full = len(into) > 0 || rest.Full
	}
	if !rest.Unavailable && (!restFails || len(into) == 0) {
		into = follow(v, q.Hint, into, rest)
	}
	if len(into) == 0 {
		plan.Unavailable = true
		into = asked(v, q.Hint, into, func(*regions.RegionView) bool { return true })
	}
	plan.Candidates = into
	return plan, nil
}

// asked appends the named regions for which may is true.
func asked(v *regions.View, hint regions.Hint, into []regions.Candidate, may func(*regions.RegionView) bool) []regions.Candidate {
	reason := regions.ReasonExplicitList
	if len(hint.Regions) == 1 && !hint.Any {
		reason = regions.ReasonExplicit
	}
	for _, name := range hint.Regions {
		i, _ := v.Lookup(name)
		if r := &v.Regions[i]; may(r) {
			into = append(into, regions.Candidate{Region: r.Region, Reason: reason, Spill: true})
		}
	}
	return into
}

// follow appends the regions behind a list that ends in `any`.
func follow(v *regions.View, hint regions.Hint, into []regions.Candidate, rest regions.Plan) []regions.Candidate {
	named := into
	for _, c := range rest.Candidates {
		switch {
		case c.Reason == regions.ReasonFailOpen:
		case len(into) == 0:
			c.Reason = instead(v, hint.Regions[0])
		default:
			c.Reason = regions.ReasonFailover
		}
		if !slices.ContainsFunc(named, func(n regions.Candidate) bool { return n.Region == c.Region }) {
			into = append(into, c)
		}
	}
	return into
}

// instead returns the reason why another region than the named one runs a request.
func instead(v *regions.View, name string) regions.Reason {
	i, _ := v.Lookup(name)
	switch r := &v.Regions[i]; {
	case r.State == regions.StateDrained:
		return regions.ReasonDrain
	case r.Reachable():
		return regions.ReasonSpill
	}
	return regions.ReasonFailover
}

// isFull reports whether a region has no room for the request.
func isFull(r *regions.RegionView, q *Query) bool {
	load, known := r.Load.For(&q.Tenant, q.Socket)
	return known && load >= 1
}

func allowed(residency []string, name string) bool {
	return residency == nil || slices.Contains(residency, name)
}

// Allowed lists the configured regions that a project may use.
func Allowed(v *regions.View, residency []string) []string {
	names := make([]string, 0, len(v.Regions))
	for i := range v.Regions {
		if name := v.Regions[i].Region.Name; allowed(residency, name) {
			names = append(names, name)
		}
	}
	return names
}
