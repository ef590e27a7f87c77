package billing

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// Adjust adds to what an organization is billed, or deducts from it, and returns the
// adjustment with what is billed before and after it. The function must be in the
// catalogue or have been called before, the region must be in the catalogue or have been
// used: the error is an UnknownError otherwise. No more can be deducted than is billed.
func (e *Engine) Adjust(ctx context.Context, order AdjustOrder) (AdjustAnswer, error) {
	if err := order.Validate(); err != nil {
		return AdjustAnswer{}, err
	}
	e.adjusting.Lock()
	defer e.adjusting.Unlock()
	totals, err := e.updateAll(ctx)
	if err != nil {
		return AdjustAnswer{}, err
	}
	o, catalogue, err := e.inForce()
	if err != nil {
		return AdjustAnswer{}, err
	}
	at := o.ledger.Now()
	if order.At != nil {
		if err := checkAt(*order.At, at); err != nil {
			return AdjustAnswer{}, err
		}
		at = *order.At
	}
	subject, err := order.subject(catalogue, totals)
	if err != nil {
		return AdjustAnswer{}, err
	}
	subject.Cycle = totals.Cycle(order.Organization, at, subject.Cycle)
	in := subject.Cycle.At(at)
	before := totals.Billed(order.Organization, in.ID)
	after := before + order.Units
	if after < 0 {
		return AdjustAnswer{}, fmt.Errorf("organization %s is billed %d invocations in %s: no more than those can be deducted", order.Organization, before, in.ID)
	}
	origin, err := o.origin(&subject, order.Region, in.ID, at)
	if err != nil {
		return AdjustAnswer{}, err
	}
	made, err := o.ledger.Adjust(metering.Adjustment{
		Subject:  subject,
		Origin:   origin,
		Region:   order.Region,
		At:       at,
		Units:    order.Units,
		Reason:   strings.TrimSpace(order.Reason),
		Operator: strings.TrimSpace(order.Operator),
	})
	if err != nil {
		return AdjustAnswer{}, err
	}
	if o.shared.Load() == nil {
		// Other gateways with this directory know it from the line items. It is made: an
		// error is one of the next round.
		_, _ = e.Update(ctx)
	}
	period := periodOf(in)
	return AdjustAnswer{
		Adjustments: []Adjustment{adjustmentOf(made)},
		Period:      &period,
		Before:      &before,
		After:       &after,
	}, nil
}

// oldestAdjusted is how long ago an hour may be that is adjusted: a year, and a billing
// period to look at it.
const oldestAdjusted = 400 * 24 * time.Hour

// checkAt returns an error for an instant that cannot be adjusted at a time: a typing
// error would make a line in a period that nobody looks at.
func checkAt(at, now time.Time) error {
	const form = "2006-01-02T15:04:05Z"
	switch at = at.UTC(); {
	case at.After(now):
		return fmt.Errorf("at %s: is in the future, it is %s now; leave it out to adjust the current hour", at.Format(form), now.UTC().Format(form))
	case at.Before(now.Add(-oldestAdjusted)):
		return fmt.Errorf("at %s: is more than 400 days ago; the oldest that can be adjusted is %s", at.Format(form), now.Add(-oldestAdjusted).UTC().Format(form))
	}
	return nil
}

// origin returns the origin of the line item that an adjustment at a time changes; zero
// if there is none.
func (o *opened) origin(s *metering.Subject, region, period string, at time.Time) (of metering.Origin, err error) {
	asked := func(organization, id string) bool { return organization == s.Organization && id == period }
	for l, err := range o.lines.Lines(asked) {
		if err != nil {
			return of, err
		}
		if l.ProjectID == s.Project && l.FunctionID == s.Function && l.Region == region && !at.Before(l.WindowStart) && at.Before(l.WindowEnd) {
			of = l.Origin()
		}
	}
	return of, nil
}

// Adjustments returns the adjustments in the logs of this process. Without a Month in
// the query they are those of all periods.
func (e *Engine) Adjustments(q Query) (AdjustAnswer, error) {
	o, catalogue, err := e.inForce()
	if err != nil {
		return AdjustAnswer{}, err
	}
	all, err := o.ledger.Adjustments()
	if err != nil {
		return AdjustAnswer{}, err
	}
	used, err := o.ledger.Usage() // adjustments are among it
	if err != nil {
		return AdjustAnswer{}, err
	}
	counted := make(map[string]bool)
	for i := range used {
		counted[used[i].Organization] = true
	}
	if err := checkKnown(q.Organization, counted, catalogue); err != nil {
		return AdjustAnswer{}, err
	}
	answer := AdjustAnswer{Adjustments: []Adjustment{}}
	for _, one := range all {
		asked := q.Month.IsZero() || q.WantsPeriod(one.Cycle.At(one.At), one.Cycle, time.Time{})
		if asked && (q.Organization == "" || q.Organization == one.Organization) {
			answer.Adjustments = append(answer.Adjustments, adjustmentOf(one))
		}
	}
	return answer, nil
}

// subject returns the function that an order is about, with the cycle that its
// organization has now, or an UnknownError.
func (o *AdjustOrder) subject(c Catalogue, totals Totals) (metering.Subject, error) {
	s := metering.Subject{Organization: o.Organization, Project: o.Project, Function: o.Function}
	refs := totals.Projects(o.Organization)
	account, err := accountOf(c, o.Organization)
	if err != nil && len(refs) == 0 {
		if unknown := checkKnown(o.Organization, totals.organizations(), c); unknown != nil {
			return s, unknown
		}
		return s, err
	}
	s.Cycle = account.Allowance.Cycle
	var project *Project
	if account.Projects != nil {
		for p := range account.Projects {
			refs = append(refs, p.Ref)
			if p.Ref == o.Project {
				project = &p
			}
		}
	}
	if !slices.Contains(refs, o.Project) {
		return s, &UnknownError{
			What:    "project",
			Name:    o.Project,
			Problem: fmt.Sprintf("organization %s has no such project", o.Organization),
			Known:   refs,
		}
	}
	if err := o.checkFunction(project, totals); err != nil {
		return s, err
	}
	names := slices.Concat(c.Regions(), totals.Regions())
	if !slices.Contains(names, o.Region) {
		return s, &UnknownError{
			What:    "region",
			Name:    o.Region,
			Problem: "is not configured, and nothing was used there",
			Known:   names,
		}
	}
	return s, nil
}

// checkFunction returns an UnknownError for a function that the project neither has nor
// ever had a call of. A project that is no longer in the catalogue is nil.
func (o *AdjustOrder) checkFunction(project *Project, totals Totals) error {
	slugs := totals.Functions(o.Organization, o.Project)
	if project != nil {
		if project.Has(o.Function) {
			return nil
		}
		slugs = slices.AppendSeq(slugs, project.Functions)
	}
	if slices.Contains(slugs, o.Function) {
		return nil
	}
	return &UnknownError{
		What:    "function",
		Name:    o.Function,
		Problem: fmt.Sprintf("project %s has no such function, and had no call of it", o.Project),
		Known:   slugs,
	}
}

// accountOf returns the account of an organization, or an UnknownError.
func accountOf(c Catalogue, organization string) (Account, error) {
	var ids []string
	for a := range c.Accounts() {
		if a.ID == "" {
			continue
		}
		if a.ID == organization {
			return a, nil
		}
		ids = append(ids, a.ID)
	}
	return Account{}, &UnknownError{
		What:    "organization",
		Name:    organization,
		Problem: "no project in force has it",
		Known:   ids,
	}
}
