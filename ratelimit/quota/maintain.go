package quota

import (
	"context"
	"time"
)

// maintainLoop keeps the windows and the authority in step until Close.
func (m *Manager) maintainLoop() {
	tick := time.NewTicker(maintainEvery)
	defer tick.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-tick.C:
		}
		m.maintainAll()
	}
}

// maintainAll is one round. Overrides are read in every second one, and most shards of
// an EpochAuthority are polled in those between.
func (m *Manager) maintainAll() {
	m.maintaining.Lock()
	defer m.maintaining.Unlock()
	if m.ledger.AwaitClock(m.ctx) != nil {
		return
	}
	m.settleOrphans()
	if m.rounds%2 == 0 {
		m.refreshOverrides(m.ctx)
	}
	for _, a := range m.accounts.Range {
		if m.ctx.Err() != nil {
			return
		}
		m.maintain(a)
	}
	if f, ok := (*m.authority.Load()).(EpochAuthority); ok {
		m.pollAll(f)
		if m.rounds%scanEvery == 0 {
			m.scan(f, m.rounds/scanEvery%f.Shards())
		}
	}
	if m.rounds%keepEvery == 0 {
		m.keepOthers()
	}
	m.rounds++
}

// maintain measures the rate of an account, gives back grants that are idle, asks
// whether others reclaim some, and prepares the next period.
func (m *Manager) maintain(a *account) {
	w := a.current.Load()
	if w == nil || !w.hasGrants() {
		return
	}
	now, elapsed := m.ledger.Now(), m.ledger.Elapsed()
	used := w.used()
	if used != w.usedBefore || !w.maintained {
		w.usedAt, w.maintained = elapsed, true
	}
	w.rate.Store((w.rate.Load()*9 + (used - w.usedBefore)) / 10)
	w.usedBefore = used
	allowance := &Allowance{Quota: w.limit.Load(), Hard: true, Cycle: w.cycle}
	switch {
	case !w.period.Contains(now):
	case w.unspent.Load() > 0 && elapsed-w.usedAt >= idleAfter:
		m.withClaim(w, func(ctx context.Context) error { return m.giveBack(ctx, w, allowance) })
	case w.unspent.Load() > 0 && m.othersHold(w):
		// The answer says whether another holder reclaims what is not used here.
		m.withClaim(w, func(ctx context.Context) error {
			w.claimUngranted()
			return m.settle(ctx, w, allowance, Claim{Holds: w.granted.Load()})
		})
	}
	m.prefetch(a, w, allowance, now)
}

// othersHold reports whether other holders have grants of a window. It is false
// for an EpochAuthority, which is polled for all windows at once.
func (m *Manager) othersHold(w *window) bool {
	_, polled := (*m.authority.Load()).(EpochAuthority)
	return !polled && w.total.Load() > w.granted.Load()
}

// withClaim runs f with the claim token of a window, unless somebody else has it.
// After an error the next round tries again.
func (m *Manager) withClaim(w *window, f func(context.Context) error) {
	select {
	case <-w.claiming:
	default:
		return
	}
	defer func() { w.claiming <- struct{}{} }()
	_ = f(m.ctx)
}

// prefetch claims the first grants of the next period before it begins, so that no
// request waits for them.
func (m *Manager) prefetch(a *account, w *window, allowance *Allowance, now time.Time) {
	if w.period.End.Sub(now) > a.lead || w.used() == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.next == nil {
		next, err := m.newWindow(a, w.cycle, w.cycle.Next(w.period))
		if err != nil {
			return
		}
		next.rate.Store(w.rate.Load())
		a.next = next
	}
	if !a.next.hasGrants() {
		_ = m.claim(m.ctx, a.next, allowance, false) // after an error the period's first request claims
	}
}
