package routing

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/capacity"
	"github.com/edgegate/edgegate/routing/plan"
	"github.com/edgegate/edgegate/routing/projects"
)

// place decides where the invocation may run.
func (p *Pipeline) place(r *Request, inv *Invocation) *Refusal {
	_, query, _ := strings.Cut(inv.Target, "?")
	view := p.network.View()
	hint, err := regions.ParseHint(r.Header.Values("X-Region"), query)
	if err != nil {
		return invalidRegion(err.Error(), plan.Allowed(view, inv.Project.Regions))
	}
	inv.Hint, inv.Tenant, inv.Socket = hint, p.Tenant(inv.Project), IsWebSocket(r.Method, r.Header)
	q := plan.Query{
		Hint:      hint,
		Residency: inv.Project.Regions,
		Client:    r.Client,
		ID:        inv.ID,
		Tenant:    inv.Tenant,
		Socket:    inv.Socket,
	}
	inv.Plan, err = p.planner.Decide(view, &q, inv.candidates[:0])
	switch {
	case err != nil:
		return invalidHint(err)
	case len(inv.Plan.Candidates) == 0:
		return p.noRegionForProject(inv.Project.Regions)
	case inv.Plan.Unavailable:
		return p.unavailable(inv)
	}
	return nil
}

// Tenant returns a project as a tenant of the regions' capacity.
func (p *Pipeline) Tenant(project *projects.Project) capacity.Tenant {
	t := capacity.Tenant{Project: project.Ref, Weight: project.Weight()}
	if p.projects.Many() {
		t.Share = p.settings.CapacityShare
	}
	return t
}

// Explain returns where a request would run, and why, with the regions as in view.
// It decides by the same code that serves requests. The error has the message that
// the client would get.
func (p *Pipeline) Explain(view *regions.View, q *plan.Query) (*plan.Explanation, error) {
	explanation, err := p.planner.Explain(view, q)
	if err != nil {
		return nil, errors.New(invalidHint(err).Message)
	}
	if q.Residency != nil && len(plan.Allowed(view, q.Residency)) == 0 {
		explanation.Why = "this gateway has none of the project's regions (" + strings.Join(q.Residency, ", ") + "): every call is answered 503"
	}
	return explanation, nil
}

func invalidHint(err error) *Refusal {
	var invalid *plan.InvalidRegionError
	if !errors.As(err, &invalid) {
		return invalidRegion(err.Error(), nil)
	}
	return invalidRegion(fmt.Sprintf("Invalid region %q", bounded(invalid.Region)), invalid.Allowed)
}

// invalidRegion is the 400 of contract 2.4, which lists the regions that may be
// named.
func invalidRegion(problem string, allowed []string) *Refusal {
	return refuse(http.StatusBadRequest, CodeInvalidRegion, problem+". Valid regions: "+strings.Join(allowed, ", "))
}

// unavailable is the 503 of contract 2.5, for a region that is down or drained in
// the view, or that accepted no connection just now.
func (p *Pipeline) unavailable(inv *Invocation) *Refusal {
	view := p.network.View()
	name := inv.Plan.First().Name
	about := &Unavailable{
		Region:       name,
		State:        regions.StateDown,
		Since:        time.Now(),
		Alternatives: []string{},
	}
	if i, ok := view.Lookup(name); ok {
		if r := &view.Regions[i]; !r.Reachable() {
			about.State, about.Since = r.State, r.Since
		}
	}
	allowed := plan.Allowed(view, inv.Project.Regions)
	about.Since = about.Since.UTC().Truncate(time.Millisecond)
	for _, i := range view.Order {
		r := &view.Regions[i]
		asked := slices.ContainsFunc(inv.Plan.Candidates, func(c regions.Candidate) bool { return c.Region == r.Region })
		if r.Usable() && !asked && slices.Contains(allowed, r.Region.Name) {
			about.Alternatives = append(about.Alternatives, r.Region.Name)
		}
	}
	refusal := refuse(http.StatusServiceUnavailable, CodeRegionUnavailable, fmt.Sprintf("Region %s is not available", name))
	refusal.RetryAfter, refusal.Unavailable = unavailableRetry, about
	return refusal
}

// noRegionForProject is the 503 for a project whose residency list names no
// configured region. A source of projects does not know
// the regions, so it cannot check the list. State and Since tell that the region has been unknown
// since the configuration was loaded.
func (p *Pipeline) noRegionForProject(residency []string) *Refusal {
	refusal := refuse(http.StatusServiceUnavailable, CodeRegionUnavailable,
		fmt.Sprintf("Region %s is not available", residency[0]))
	refusal.RetryAfter = unavailableRetry
	refusal.Unavailable = &Unavailable{
		Region:       residency[0],
		State:        regions.StateUnknown,
		Since:        p.built.UTC().Truncate(time.Millisecond),
		Alternatives: []string{},
	}
	return refusal
}

// bounded cuts a client's text before it is quoted in an answer.
func bounded(s string) string {
	const limit = 64
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.ToValidUTF8(s, "")
}
