package quota

import (
	"context"
	"fmt"
)

// claim asks the authority for units, after all that must be said first. A starved
// caller gets none if another claim has brought some meanwhile.
func (m *Manager) claim(ctx context.Context, w *window, allowance *Allowance, starved bool) error {
	select {
	case <-w.claiming:
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	defer func() { w.claiming <- struct{}{} }()
	limit := m.effectiveLimit(w.account.organization, allowance)
	if starved && w.unspent.Load() > 0 && w.limit.Load() == limit {
		return nil
	}
	if w.failures > 0 && !m.retryDue(w) {
		return w.failed // the next claim is not due, and would not fare better
	}
	if limit < w.limit.Load() { // what was granted under the higher limit goes back
		if err := m.giveBack(ctx, w, allowance); err != nil {
			return err
		}
	}
	if err := m.settleOrphansOf(ctx, w, allowance); err != nil {
		return err
	}
	w.claimUngranted()
	w.limit.Store(limit)
	w.setChunk(m.ledger.Elapsed(), limit)
	return m.settle(ctx, w, allowance, Claim{
		Holds:   w.granted.Load(),
		Wants:   w.used() + w.chunk.Load(),
		Starved: starved && w.unspent.Load() <= 0,
	})
}

// settle sends a claim and applies its answer to the window. The caller holds the
// claim token.
func (m *Manager) settle(ctx context.Context, w *window, allowance *Allowance, c Claim) error {
	c.Limit = allowance.Quota
	authority := *m.authority.Load()
	sent := m.ledger.Elapsed()
	answer, err := authority.Claim(ctx, m.complete(w, c))
	if err == nil && answer.Number > m.lastNumber.Load() {
		// The process before counted its claims by a clock that was ahead. Its last claim
		// prevails until one of this process has a higher number.
		m.countFrom(answer.Number)
		sent = m.ledger.Elapsed()
		answer, err = authority.Claim(ctx, m.complete(w, c))
	}
	if err != nil {
		w.failures++
		w.failed = err
		w.retryAfter(m.ledger.Elapsed(), w.failures)
		return err
	}
	w.failures, w.answered, w.settledIn = 0, true, answer.Epoch
	w.emptyClaims++
	if f, ok := authority.(EpochAuthority); ok {
		shard := f.Shard(w.account.organization)
		if !m.epochs.Load().in(shard, answer.Epoch) {
			// The answer comes from a server that was replaced, or from its successor,
			// which this process has not joined. Holders that have joined the successor
			// may not know of this grant: it must not be used.
			answer.Granted, answer.Recovering = w.granted.Load(), true
		} else if answer.Outside {
			m.epochs.Load().leave(shard) // observe joins again
		}
		m.observe(f, shard, answer.Epoch)
	}
	if more := answer.Granted - w.granted.Load(); more != 0 {
		w.granted.Add(more)
		w.unspent.Add(more)
		w.emptyClaims = 0
	}
	w.total.Store(answer.Total)
	w.limit.Store(answer.Limit)
	w.grace.hear(answer.Grace, sent)
	w.exhausted.Store(w.exhaustionBy(&answer))
	w.recovering.Store(answer.Recovering)
	w.retryAfter(m.ledger.Elapsed(), w.emptyClaims)
	if answer.Limit != m.effectiveLimit(w.account.organization, allowance) {
		m.repairOverride(ctx, w.account.organization, allowance, answer.Limit)
	}
	if answer.Reclaim && w.unspent.Load() > 0 && !c.Starved {
		return m.giveBack(ctx, w, allowance)
	}
	return nil
}

// complete fills in the holder, the window and the number of a claim.
func (m *Manager) complete(w *window, c Claim) Claim {
	c.Holder, c.Organization, c.Period = m.ledger.Instance(), w.account.organization, w.period
	now := m.ledger.Elapsed()
	if c.Grace = w.grace.from(now); c.Grace.ID == "" { // this process has not met it, but heard of it
		c.Grace = m.others.Load().grace(w.period.ID, w.account.organization, now)
	}
	c.Number = m.lastNumber.Add(1)
	return c
}

// giveBack returns the unspent grants of a window. The caller holds the claim
// token.
func (m *Manager) giveBack(ctx context.Context, w *window, allowance *Allowance) error {
	w.dropUnspent()
	return m.settle(ctx, w, allowance, Claim{Holds: w.granted.Load()})
}

// settleOrphansOf returns what ended processes, whose ledgers this one has taken
// over, were granted in a window and have not used. The caller holds the claim
// token.
func (m *Manager) settleOrphansOf(ctx context.Context, w *window, allowance *Allowance) error {
	orphans := m.ledger.Orphans()
	if !w.answered || len(orphans) < w.orphans {
		w.orphans = 0
	}
	if len(orphans) == w.orphans {
		return nil
	}
	by, err := m.ledger.SpentBy(w.account.organization, w.period)
	if err != nil {
		return fmt.Errorf("%w: reading what organization %q has used: %w", ErrUnavailable, w.account.organization, err)
	}
	for _, orphan := range orphans[w.orphans:] {
		c := Claim{
			Holder:       orphan,
			Organization: w.account.organization,
			Period:       w.period,
			Limit:        allowance.Quota,
			Number:       m.newNumber(),
			Holds:        int64(by[orphan]),
		}
		answer, err := (*m.authority.Load()).Claim(ctx, c)
		if err == nil && answer.Number > c.Number { // it counted its claims by a clock that was ahead
			c.Number = answer.Number + 1
			answer, err = (*m.authority.Load()).Claim(ctx, c)
		}
		if err != nil {
			return err
		}
		if f, ok := (*m.authority.Load()).(EpochAuthority); ok {
			shard := f.Shard(w.account.organization)
			m.leaveAll(ctx, orphan, []int{shard}, settledEpochs{shard: answer.Epoch})
		}
	}
	w.orphans = len(orphans)
	return nil
}
