package quota

import (
	"context"
	"fmt"
)

// claim gets units, unless another claim has got some meanwhile.
func (q *Quotas) claim(ctx context.Context, t *term, allowance *Allowance, starves bool) error {
	select {
	case <-t.claiming:
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	defer func() { t.claiming <- struct{}{} }()
	limit := q.limitOf(t.account.organization, allowance)
	if starves && t.unspent.Load() > 0 && t.limit.Load() == limit {
		return nil
	}
	if t.failures > 0 && q.ledger.Now().UnixMicro() < t.retryAt.Load() {
		return fmt.Errorf("%w: it did not answer a moment ago", ErrUnavailable)
	}
	if limit < t.limit.Load() { // what was granted under the higher limit goes back
		if err := q.giveBack(ctx, t, allowance); err != nil {
			return err
		}
	}
	if err := q.adopt(ctx, t, allowance); err != nil {
		return err
	}
	t.assert()
	t.limit.Store(limit)
	t.pace(q.ledger.Now(), limit)
	return q.settle(ctx, t, allowance, Claim{Holds: t.granted.Load(), Wants: t.used() + t.chunk.Load(), Starves: starves && t.unspent.Load() <= 0})
}

// drop makes what is not used nobody's. The caller claims, and says so.
func (t *term) drop() {
	if back := t.unspent.Swap(0); back > 0 {
		t.granted.Add(-back)
	} else {
		t.unspent.Add(back)
	}
	t.assert()
}

// assert makes a grant of what was used without one.
func (t *term) assert() {
	over := t.over.Swap(0)
	if over < 0 { // given back after it was claimed
		t.unspent.Add(-over)
		return
	}
	t.granted.Add(over)
}

// settle sends a claim and takes in its answer. The caller claims.
func (q *Quotas) settle(ctx context.Context, t *term, allowance *Allowance, c Claim) error {
	c.Limit = allowance.Quota
	authority := *q.authority.Load()
	answer, err := authority.Claim(ctx, q.complete(t, c))
	if err != nil {
		t.failures++
		t.retryAt.Store(q.ledger.Now().Add(min(patience, beat<<min(t.failures, 10))).UnixMicro())
		return err
	}
	t.failures, t.known, t.settled = 0, true, answer.Epoch
	t.empty++
	if f, ok := authority.(Forgetful); ok {
		shard := f.Shard(t.account.organization)
		if !q.epochs.Load().in(shard, answer.Epoch) {
			// Of a server that was replaced, or that has replaced another: what it grants
			// may be unknown to those who have joined the later one.
			answer.Granted, answer.Learning = t.granted.Load(), true
		}
		q.observe(f, shard, answer.Epoch)
	}
	if more := answer.Granted - t.granted.Load(); more != 0 {
		t.granted.Add(more)
		t.unspent.Add(more)
		t.empty = 0
	}
	t.total.Store(answer.Total)
	t.limit.Store(answer.Limit)
	since := int64(0)
	if !answer.Since.IsZero() && !answer.Learning {
		since = answer.Since.UnixMicro()
	}
	t.since.Store(since)
	t.learning.Store(answer.Learning)
	t.retryAt.Store(q.ledger.Now().Add(min(patience, beat<<min(t.empty, 10))).UnixMicro())
	if answer.Limit != q.limitOf(t.account.organization, allowance) {
		q.agree(ctx, t.account.organization, allowance, answer.Limit)
	}
	if answer.Needed && t.unspent.Load() > 0 && !c.Starves {
		return q.giveBack(ctx, t, allowance)
	}
	return nil
}

// complete fills in who claims what.
func (q *Quotas) complete(t *term, c Claim) Claim {
	c.Holder, c.Organization, c.Period = q.ledger.Instance(), t.account.organization, t.period
	c.Number = q.number.Add(1)
	return c
}

// giveBack returns what is not used. The caller claims.
func (q *Quotas) giveBack(ctx context.Context, t *term, allowance *Allowance) error {
	t.drop()
	return q.settle(ctx, t, allowance, Claim{Holds: t.granted.Load()})
}

// adopt settles what processes that are gone have left of their grants. The
// caller claims.
func (q *Quotas) adopt(ctx context.Context, t *term, allowance *Allowance) error {
	orphans := q.ledger.Orphans()
	if !t.known {
		t.adopted = 0
	}
	if len(orphans) == t.adopted {
		return nil
	}
	by, err := q.ledger.SpentBy(t.account.organization, t.period)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	for _, orphan := range orphans[t.adopted:] {
		answer, err := (*q.authority.Load()).Claim(ctx, Claim{
			Holder: orphan, Organization: t.account.organization, Period: t.period, Limit: allowance.Quota,
			Number: q.now(), Holds: int64(by[orphan]),
		})
		if err != nil {
			return err
		}
		if f, ok := (*q.authority.Load()).(Forgetful); ok {
			shard := f.Shard(t.account.organization)
			q.leaveAll(ctx, orphan, []int{shard}, settledIn{shard: answer.Epoch})
		}
	}
	t.adopted = len(orphans)
	return nil
}
