package routing

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/edgegate/edgegate/regions"
)

// planner decides where invocations may run. It is immutable.
type planner struct {
	set   *regions.Set
	order []regions.Candidate // every region, best first
}

func newPlanner(set *regions.Set, from regions.Place) *planner {
	ranked, known := set.Order(from)
	reason := regions.ReasonNearest
	if !known {
		reason = regions.ReasonDefault
	}
	p := &planner{set: set, order: make([]regions.Candidate, len(ranked))}
	for i, r := range ranked {
		p.order[i] = regions.Candidate{Region: r.Region, Reason: reason}
	}
	return p
}

// plan decides for one request; residency nil allows every region. The plan of
// a request that names no region and has no residency list is shared: it must
// not be changed.
func (p *planner) plan(hint regions.Hint, residency []string) (regions.Plan, *Refusal) {
	if !hint.Named() {
		candidates := p.allowed(residency)
		if len(candidates) == 0 {
			return regions.Plan{}, homeless(residency)
		}
		return regions.Plan{Candidates: candidates}, nil
	}
	reason := regions.ReasonExplicitList
	if len(hint.Regions) == 1 && !hint.Any {
		reason = regions.ReasonExplicit
	}
	candidates := make([]regions.Candidate, 0, len(p.order))
	for _, name := range hint.Regions {
		r, ok := p.set.Lookup(name)
		if !ok || residency != nil && !slices.Contains(residency, name) {
			return regions.Plan{}, p.invalid(fmt.Sprintf("Invalid region %q", bounded(name)), residency)
		}
		candidates = append(candidates, regions.Candidate{Region: r, Reason: reason})
	}
	if hint.Any {
		for _, c := range p.allowed(residency) {
			if !slices.Contains(hint.Regions, c.Region.Name) {
				candidates = append(candidates, c)
			}
		}
	}
	return regions.Plan{Candidates: candidates, Strict: !hint.Any}, nil
}

// allowed returns the order without the regions a project must not use.
func (p *planner) allowed(residency []string) []regions.Candidate {
	if residency == nil {
		return p.order
	}
	candidates := make([]regions.Candidate, 0, len(residency))
	for _, c := range p.order {
		if slices.Contains(residency, c.Region.Name) {
			candidates = append(candidates, c)
		}
	}
	return candidates
}

// invalid is the 400 of BEHAVIOUR.md 2.4, which lists what may be named.
func (p *planner) invalid(problem string, residency []string) *Refusal {
	names := p.set.Names()
	if residency != nil {
		names = slices.DeleteFunc(slices.Clone(residency), func(name string) bool {
			_, configured := p.set.Lookup(name)
			return !configured
		})
	}
	return refuse(http.StatusBadRequest, CodeInvalidRegion, problem+". Valid regions: "+strings.Join(names, ", "))
}

// homeless is the 503 for a project whose residency list has no configured
// region: where the list comes from, no regions are known to check it against.
func homeless(residency []string) *Refusal {
	refusal := refuse(http.StatusServiceUnavailable, CodeRegionUnavailable,
		fmt.Sprintf("Region %s is not available", residency[0]))
	refusal.RetryAfter = unavailableRetry
	refusal.Unavailable = &Unavailable{Region: residency[0], State: regions.StateDown, Alternatives: []string{}}
	return refusal
}

// bounded cuts what a client sent before it is shown back.
func bounded(s string) string {
	const limit = 64
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.ToValidUTF8(s, "")
}
