// Package plan decides where an invocation runs: it scores the regions of a
// regions.View, shares requests out by health, load and drains, and says why.
// It is the one decision: the gateway, `edgegate explain` and the simulation
// all ask it.
//
// It measures nothing, keeps no health and sends nothing: package regions does.
// It does not know who may call: package routing does.
package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/edgegate/edgegate/regions"
)

// Mode says from where "nearest" is measured.
type Mode string

// The modes of `nearest`.
const (
	// NearGateway takes the region with the lowest round trip from the gateway:
	// once a request is here, the client's place no longer changes its latency.
	NearGateway Mode = "gateway"
	// NearClient takes the region with the lowest round trip from the client,
	// for those whose data or rules sit there. Clients nothing is known of get
	// NearGateway.
	NearClient Mode = "client"
)

// DefaultMaxSpill is how much farther than the best a region may be, by score,
// to take what the best has no room for.
const DefaultMaxSpill = 150 * time.Millisecond

// Policy is what an operator says about the choice.
type Policy struct {
	Mode Mode // default NearGateway
	// MaxSpill is how much farther than the best a region may be to take what a
	// full one leaves. Default DefaultMaxSpill.
	MaxSpill time.Duration
	// MaxDetour is how much farther from the gateway than the nearest a region
	// may be in NearClient. Default: as far as it is.
	MaxDetour time.Duration
}

// Query is what the choice depends on beside the state of the regions.
type Query struct {
	Hint      regions.Hint
	Residency []string // regions the project may use; nil: every one
	Client    regions.Client
	ID        string // of the request; the same one gives the same choice
}

// InvalidRegionError is a region that was named and cannot be: the client's
// mistake (BEHAVIOUR.md 2.4).
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

// Decide returns where the invocation may run. The candidates are appended to
// into, which saves an allocation where it has room for all regions. The error
// is an *InvalidRegionError.
func (p *Planner) Decide(v *regions.View, q *Query, into []regions.Candidate) (regions.Plan, error) {
	if q.Hint.Named() {
		return p.named(v, q, into)
	}
	var buffer [regions.MaxRegions]share
	list := p.shares(v, q, buffer[:0])
	return p.automatic(v, q, list, into), nil
}

// automatic picks by share and lists the others after it, best first.
func (p *Planner) automatic(v *regions.View, q *Query, list []share, into []regions.Candidate) regions.Plan {
	chosen, full := pick(list, q.ID)
	if chosen < 0 {
		return lastChance(v, list, into)
	}
	into = append(into, regions.Candidate{Region: v.Regions[list[chosen].index].Region, Reason: reason(v, list, chosen)})
	return regions.Plan{Candidates: others(v, list, chosen, into), Full: full}
}

// others appends what may be asked when candidate chosen fails.
func others(v *regions.View, list []share, chosen int, into []regions.Candidate) []regions.Candidate {
	for i := range list {
		if i != chosen && list[i].cut != cutDown && list[i].cut != cutDrained {
			into = append(into, regions.Candidate{Region: v.Regions[list[i].index].Region, Reason: regions.ReasonFailover})
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

// lastChance is for when no region may be used: drained ones that are kept for
// this, else one attempt at the nearest (BEHAVIOUR.md 2.6). What an operator
// has drained for good is left alone.
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

// named is for requests that name regions: they stay there, unless the list
// ends in `any` (BEHAVIOUR.md 2.3, 2.5).
func (p *Planner) named(v *regions.View, q *Query, into []regions.Candidate) (regions.Plan, error) {
	reason := regions.ReasonExplicitList
	if len(q.Hint.Regions) == 1 && !q.Hint.Any {
		reason = regions.ReasonExplicit
	}
	asked := len(into)
	full := false
	for _, name := range q.Hint.Regions {
		i, ok := v.Lookup(name)
		if !ok || !allowed(q.Residency, name) {
			return regions.Plan{}, &InvalidRegionError{Region: name, Allowed: Allowed(v, q.Residency)}
		}
		switch r := &v.Regions[i]; {
		case !r.Reachable():
		case isFull(r):
			full = true
		default:
			into = append(into, regions.Candidate{Region: r.Region, Reason: reason})
		}
	}
	plan := regions.Plan{Strict: !q.Hint.Any}
	if q.Hint.Any {
		rest := *q
		rest.Hint = regions.Hint{}
		var buffer [regions.MaxRegions]share
		elsewhere := p.automatic(v, &rest, p.shares(v, &rest, buffer[:0]), nil)
		into = follow(into, asked, elsewhere)
	}
	if len(into) == asked {
		// Nothing may be asked now: those that are full are waited for, the others
		// are named to the caller.
		plan.Full, plan.Unavailable = full, !full
		for _, name := range q.Hint.Regions {
			i, _ := v.Lookup(name)
			if r := &v.Regions[i]; !full || r.Reachable() {
				into = append(into, regions.Candidate{Region: r.Region, Reason: reason})
			}
		}
	}
	plan.Candidates = into
	return plan, nil
}

// follow appends what a list that ends in `any` leaves to the gateway. A last
// attempt at a region that is down is made only if there is nothing better.
func follow(into []regions.Candidate, asked int, elsewhere regions.Plan) []regions.Candidate {
	if elsewhere.Unavailable {
		return into
	}
	named := into[asked:]
	for _, c := range elsewhere.Candidates {
		if c.Reason == regions.ReasonFailOpen {
			if len(named) > 0 {
				continue
			}
		} else {
			c.Reason = regions.ReasonFailover
		}
		if !slices.ContainsFunc(named, func(n regions.Candidate) bool { return n.Region == c.Region }) {
			into = append(into, c)
		}
	}
	return into
}

// isFull reports whether a region has no room for another request.
func isFull(r *regions.RegionView) bool {
	load, known := r.Load.Factor()
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
