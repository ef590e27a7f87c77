package billing

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// UsageQuery says which usage is asked for.
type UsageQuery struct {
	Query

	// Daily asks for the invocations of each day, too. It brings the line items up to
	// date first.
	Daily bool
}

// Usage returns what organizations used, by all gateways that share the store, or what
// this one counted while the store is away: UsageAnswer.Partial says so. The
// error is an UnknownError for an organization that is neither in the catalogue nor
// was ever counted, and ErrNotOpen before the engine is in use.
func (e *Engine) Usage(ctx context.Context, q UsageQuery) (UsageAnswer, error) {
	o, catalogue, err := e.inForce()
	if err != nil {
		return UsageAnswer{}, err
	}
	report := newUsageReport(&q.Query, o.ledger.Now())
	if q.Month.IsZero() {
		for a := range catalogue.Accounts() {
			report.of(a.ID, a.Allowance.Cycle.At(report.now))
		}
	}
	if err := report.addOwn(o.ledger); err != nil {
		return UsageAnswer{}, err
	}
	others, partial := o.others(ctx, q.Organization)
	report.addOthers(others, cyclesOf(catalogue))
	if err := checkKnown(q.Organization, report.counted, catalogue); err != nil {
		return UsageAnswer{}, err
	}
	answer := report.answer()
	answer.Partial = partial
	if q.Daily && partial == "" {
		err = e.addDays(ctx, &answer)
	}
	return answer, err
}

// others returns the sums of the other gateways that share the store, and why they are
// not known: "" if they are.
func (o *opened) others(ctx context.Context, organization string) (sums []metering.Entry, partial string) {
	s := o.shared.Load()
	if s == nil {
		return nil, o.beside()
	}
	ctx, cancel := context.WithTimeout(ctx, lastWait)
	defer cancel()
	sums, err := s.peers.PeerSums(ctx, organization)
	if err != nil {
		return nil, "the store does not answer, so this is only what this gateway counted; `edgegate status` says what is wrong with the store"
	}
	return sums, ""
}

// beside says that other gateways count in the same directory, without a Redis to share
// their sums; "" if none does.
func (o *opened) beside() string {
	switch n, err := o.ledger.Beside(); {
	case err != nil:
		return "whether other gateways count in the same directory is not known: " + err.Error()
	case n > 0:
		return fmt.Sprintf("this is what 1 of the %d gateways counted that have this directory; ask each, or have them share a Redis (`store redis`)", n+1)
	}
	return ""
}

// checkKnown returns an UnknownError for an organization that is neither in the
// catalogue nor among those of which anything was counted. All organizations, which is
// "", are known.
func checkKnown(id string, counted map[string]bool, c Catalogue) error {
	if id == "" || counted[id] {
		return nil
	}
	ids := slices.Collect(maps.Keys(counted))
	for a := range c.Accounts() {
		ids = append(ids, a.ID)
	}
	if slices.Contains(ids, id) {
		return nil
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return id == "" })
	return &UnknownError{
		What:    "organization",
		Name:    id,
		Problem: "no project in force has it, and nothing was counted of it",
		Known:   ids,
	}
}

// usageReport adds up sums for a UsageAnswer.
type usageReport struct {
	query         *Query
	now           time.Time
	counted       map[string]bool // organizations with any count, whether it was asked for or not
	organizations map[accountPeriod]*OrganizationUsage
	functions     map[accountPeriod]map[string]map[FunctionUsage]metering.Sums // by project; without counts in the key
}

// accountPeriod names a billing period of an organization.
type accountPeriod struct{ organization, period string }

func newUsageReport(q *Query, now time.Time) *usageReport {
	return &usageReport{
		query:         q,
		now:           now,
		counted:       make(map[string]bool),
		organizations: make(map[accountPeriod]*OrganizationUsage),
		functions:     make(map[accountPeriod]map[string]map[FunctionUsage]metering.Sums),
	}
}

// of returns the element of an organization and period, a new one if need be.
func (r *usageReport) of(id string, p metering.Period) *OrganizationUsage {
	key := accountPeriod{id, p.ID}
	o := r.organizations[key]
	if o == nil {
		o = &OrganizationUsage{ID: id, Period: periodOf(p), Refused: make(map[string]uint64)}
		r.organizations[key] = o
		r.functions[key] = make(map[string]map[FunctionUsage]metering.Sums)
	}
	return o
}

// addOwn adds the sums and the refused requests of the logs of this process.
func (r *usageReport) addOwn(ledger *metering.Ledger) error {
	sums, err := ledger.Usage()
	if err != nil {
		return err
	}
	refusals, err := ledger.Refusals()
	if err != nil {
		return err
	}
	for i := range sums {
		u := &sums[i]
		r.counted[u.Organization] = true
		if u.Span == metering.Monthly && HasUnits(&u.Sums) {
			r.add(u, u.Cycle.At(u.Start))
		}
	}
	for _, u := range refusals {
		r.counted[u.Organization] = true
		if p := u.Cycle.At(u.Start); r.query.WantsPeriod(p, u.Cycle, r.now) {
			r.of(u.Organization, p).Refused[strconv.Itoa(u.Status)] += u.Requests
		}
	}
	return nil
}

// addOthers adds the sums that other gateways have in Redis.
func (r *usageReport) addOthers(sums []metering.Entry, cycles Cycles) {
	for i := range sums {
		r.counted[sums[i].Subject.Organization] = true
		if u, p, ok := cycles.Monthly(&sums[i]); ok {
			r.add(&u, p)
		}
	}
}

// add adds the sum of a period, if that was asked for.
func (r *usageReport) add(u *metering.Usage, p metering.Period) {
	if !r.query.WantsPeriod(p, u.Cycle, r.now) {
		return
	}
	o := r.of(u.Organization, p)
	o.Invocations += u.Invocations
	o.Adjusted += u.Adjusted()
	o.Unfinished += u.Invocations - min(u.Completed, u.Invocations)
	projects := r.functions[accountPeriod{u.Organization, p.ID}]
	if projects[u.Project] == nil {
		projects[u.Project] = make(map[FunctionUsage]metering.Sums)
	}
	key := FunctionUsage{Slug: u.Function, Region: u.Region}
	n := projects[u.Project][key]
	n.Invocations += u.Invocations
	n.Added += u.Added
	n.Deducted += u.Deducted
	projects[u.Project][key] = n
}

// answer returns what was added of the organization that was asked for, sorted.
func (r *usageReport) answer() UsageAnswer {
	answer := UsageAnswer{Organizations: []OrganizationUsage{}}
	for key, o := range r.organizations {
		if only := r.query.Organization; only != "" && only != o.ID {
			continue
		}
		o.Projects = projectsUsage(r.functions[key])
		answer.Organizations = append(answer.Organizations, *o)
	}
	slices.SortFunc(answer.Organizations, func(a, b OrganizationUsage) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), a.Period.Start.Compare(b.Period.Start))
	})
	return answer
}

// projectsUsage sorts sums of functions by project, function and region.
func projectsUsage(byProject map[string]map[FunctionUsage]metering.Sums) []ProjectUsage {
	list := make([]ProjectUsage, 0, len(byProject))
	for _, ref := range slices.Sorted(maps.Keys(byProject)) {
		p := ProjectUsage{Ref: ref}
		for f, n := range byProject[ref] {
			f.Invocations, f.Adjusted = n.Invocations, n.Adjusted()
			p.Invocations += n.Invocations
			p.Functions = append(p.Functions, f)
		}
		slices.SortFunc(p.Functions, func(a, b FunctionUsage) int {
			return cmp.Or(cmp.Compare(a.Slug, b.Slug), cmp.Compare(a.Region, b.Region))
		})
		list = append(list, p)
	}
	return list
}
