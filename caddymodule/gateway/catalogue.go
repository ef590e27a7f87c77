package gateway

import (
	"iter"
	"maps"
	"slices"
	_ "time/tzdata" // `time_zone` must work where the system has no zone files, as in many containers

	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/routing/projects"
)

// billingCatalogue is a configuration as the billing engine sees it.
type billingCatalogue struct{ app *App }

// Loaded implements billing.Catalogue.
func (c billingCatalogue) Loaded() bool { return c.app.ProjectStatus().LoadedAt != nil }

// Accounts implements billing.Catalogue.
func (c billingCatalogue) Accounts() iter.Seq[billing.Account] {
	return func(yield func(billing.Account) bool) {
		for _, o := range c.app.organizations() {
			id, allowance := allowanceOf(o)
			price := c.DefaultPrice()
			if o != nil {
				price = c.app.priceOf(o)
			}
			if !yield(billing.Account{
				ID:        id,
				Allowance: allowance,
				Price:     price,
				Projects:  c.projectsOf(id),
			}) {
				return
			}
		}
	}
}

// projectsOf returns the projects in force of an organization, "" for those of none.
func (c billingCatalogue) projectsOf(organization string) iter.Seq[billing.Project] {
	return func(yield func(billing.Project) bool) {
		for p := range c.app.Projects() {
			if organizationID(p) == organization && !yield(projectOf(p)) {
				return
			}
		}
	}
}

// projectOf returns a project as the billing engine sees it.
func projectOf(p *projects.Project) billing.Project {
	return billing.Project{
		Ref: p.Ref,
		Has: func(slug string) bool {
			_, ok := p.Function(slug)
			return ok
		},
		Functions: func(yield func(string) bool) {
			for f := range p.EachFunction() {
				if !yield(f.Slug) {
					return
				}
			}
		},
	}
}

// DefaultPrice implements billing.Catalogue: invocations of an unknown plan cost
// nothing.
func (c billingCatalogue) DefaultPrice() usage.Price {
	return usage.Price{Included: -1, Currency: c.app.currency()}
}

// Regions implements billing.Catalogue.
func (c billingCatalogue) Regions() []string { return c.app.network.Set.Names() }

// Sinks implements billing.Catalogue.
func (c billingCatalogue) Sinks() []usage.Sink {
	sinks := make([]usage.Sink, len(c.app.exporters))
	for i, e := range c.app.exporters {
		sinks[i] = e
	}
	return sinks
}

// organizations returns the organizations of the projects in force, sorted by their
// ids. If a project has no organization, nil is among them.
func (a *App) organizations() []*projects.Organization {
	byID := make(map[string]*projects.Organization)
	for p := range a.Projects() {
		byID[organizationID(p)] = p.Organization
	}
	list := make([]*projects.Organization, 0, len(byID))
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		list = append(list, byID[id])
	}
	return list
}

// organizationID returns the id of the organization that a project belongs to, ""
// for none.
func organizationID(p *projects.Project) string {
	if p.Organization == nil {
		return ""
	}
	return p.Organization.ID
}

// allowanceOf returns the id of an organization and its allowance. Projects without an
// organization, which is nil, have no limits.
func allowanceOf(o *projects.Organization) (id string, a quota.Allowance) {
	if o == nil {
		return "", quota.Allowance{Quota: -1}
	}
	a.Quota, a.Hard = o.Allowance()
	a.Grace, a.Cycle, a.Open = o.Grace, cycleOf(o), isUnmetered(o)
	return o.ID, a
}

// isUnmetered reports whether invocations of an organization are served even if they
// cannot be recorded.
func isUnmetered(o *projects.Organization) bool { return o != nil && o.Plan != nil && o.Plan.Unmetered }

// cycleOf returns the billing cycle of an organization.
func cycleOf(o *projects.Organization) metering.Cycle {
	return metering.Cycle{Anchor: o.CycleStart, Zone: o.TimeZone}
}

// subjectOf returns the subject under which the ledger counts calls of a function.
func subjectOf(p *projects.Project, function string) metering.Subject {
	s := metering.Subject{Project: p.Ref, Function: function}
	if o := p.Organization; o != nil {
		s.Organization, s.Cycle = o.ID, cycleOf(o)
	}
	return s
}

// Interface guards
var _ billing.Catalogue = billingCatalogue{}
