package billing

import (
	"iter"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// Catalogue lists the organizations that the engine bills. The configuration in
// force implements it. Its methods are called at any time and from any
// goroutine, and return what is in force at that moment.
type Catalogue interface {
	// Loaded reports whether the projects, and with them the plans, are known. Until
	// then no hour becomes final.
	Loaded() bool
	// Accounts returns everybody who has a project, sorted by ID.
	Accounts() iter.Seq[Account]
	// DefaultPrice is the price for those that are not, or no longer, among Accounts.
	DefaultPrice() usage.Price
	// Regions are the names of the regions that functions may run in.
	Regions() []string
	// Sinks are the exporters of line items: each is a usage.Deliverer or a
	// usage.Service.
	Sinks() []usage.Sink
}

// Account is an organization that pays for the invocations of its projects.
type Account struct {
	// ID is that of the organization; "" stands for the projects without one, which
	// nobody pays for.
	ID string
	// Allowance limits what it may use, and says when its billing periods begin.
	Allowance quota.Allowance
	// Price is that of its invocations, with the name of its plan.
	Price usage.Price
	// Projects returns the projects in force of the organization.
	Projects iter.Seq[Project]
}

// Project is a project of an account.
type Project struct {
	Ref string
	// Functions returns the slugs of its functions, Wildcard among them if it has one.
	Functions iter.Seq[string]
	// Has reports whether the project answers calls of a slug, also by its wildcard.
	Has func(slug string) bool
}

// Cycles are the billing cycles of organizations by their ids.
type Cycles map[string]metering.Cycle

// cyclesOf returns the billing cycles of a catalogue.
func cyclesOf(c Catalogue) Cycles {
	cycles := make(Cycles)
	for a := range c.Accounts() {
		cycles[a.ID] = a.Allowance.Cycle
	}
	return cycles
}

// Named returns the billing period of an organization with an id, and the cycle
// that it is of: an earlier one, if the organization had another cycle then.
func (c Cycles) Named(organization, id string) (p metering.Period, cycle metering.Cycle, ok bool) {
	cycle = c[organization]
	if p, ok = cycle.Named(id); !ok {
		cycle, p, ok = metering.CycleOf(id)
	}
	return p, cycle, ok
}

// Monthly returns the sum of a billing period that another gateway has in Redis,
// and the period. It is false for the sum of an hour, and for one without units.
func (c Cycles) Monthly(e *metering.Entry) (u metering.Usage, p metering.Period, ok bool) {
	if e.Span != metering.Monthly || !HasUnits(&e.Sums) {
		return u, p, false
	}
	u = metering.Usage{
		Subject: e.Subject,
		Region:  e.Region,
		Span:    e.Span,
		Sums:    e.Sums,
	}
	p, u.Cycle, ok = c.Named(e.Subject.Organization, e.ID)
	u.Start = p.Start
	return u, p, ok
}

// HasUnits reports whether a sum has invocations or adjustments. What was admitted
// and then not sent is neither.
func HasUnits(s *metering.Sums) bool { return s.Invocations+s.Added+s.Deducted > 0 }
