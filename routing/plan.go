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
		return regions.Plan{Candidates: p.allowed(residency)}, nil
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
	names := residency
	if names == nil {
		names = p.set.Names()
	}
	return refuse(http.StatusBadRequest, CodeInvalidRegion, problem+". Valid regions: "+strings.Join(names, ", "))
}

// bounded cuts what a client sent before it is shown back.
func bounded(s string) string {
	const limit = 64
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.ToValidUTF8(s, "")
}
