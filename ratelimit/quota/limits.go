package quota

import "context"

// limitOf is the limit in force, by what is known here.
func (q *Quotas) limitOf(organization string, allowance *Allowance) int64 {
	if limit, ok := (*q.limits.Load())[organization]; ok {
		return limit
	}
	return allowance.Quota
}

// Refresh reads the limits that were set by people. It reports whether that
// could be done.
func (q *Quotas) Refresh(ctx context.Context) bool {
	authority := *q.authority.Load()
	limits, err := authority.Limits(ctx)
	if err != nil {
		return false
	}
	known := *q.limits.Load()
	if limits == nil && len(known) > 0 {
		// It is another store, or one that was emptied: it learns what is in force.
		return copyLimits(ctx, authority, known) == nil
	}
	q.limits.Store(&limits)
	return true
}

func copyLimits(ctx context.Context, to Authority, limits map[string]int64) error {
	for organization, limit := range limits {
		if err := to.SetLimit(ctx, organization, &limit); err != nil {
			return err
		}
	}
	return nil
}

// MoveLimits has an authority know of the limits in force, and of no others: it
// will be asked next, and what it knows is of before.
func (q *Quotas) MoveLimits(ctx context.Context, to Authority) error {
	known := *q.limits.Load()
	before, err := to.Limits(ctx)
	if err != nil {
		return err
	}
	for organization := range before {
		if _, ok := known[organization]; !ok {
			if err := to.SetLimit(ctx, organization, nil); err != nil {
				return err
			}
		}
	}
	return copyLimits(ctx, to, known)
}

// SetLimit puts a limit in force in place of the configured one; nil takes it
// back.
func (q *Quotas) SetLimit(ctx context.Context, organization string, limit *int64) error {
	if err := (*q.authority.Load()).SetLimit(ctx, organization, limit); err != nil {
		return err
	}
	q.Refresh(ctx)
	return nil
}

// agree is for a claim that was settled by another limit than the one known
// here. One was set a moment ago; or the authority lost one of the two places in
// which it keeps them, or did not get to the second: then the list is right.
func (q *Quotas) agree(ctx context.Context, organization string, allowance *Allowance, settledBy int64) {
	if !q.Refresh(ctx) || q.limitOf(organization, allowance) == settledBy {
		return
	}
	var limit *int64
	if known, ok := (*q.limits.Load())[organization]; ok {
		limit = &known
	}
	_ = (*q.authority.Load()).SetLimit(ctx, organization, limit) // the next claim finds out
}
