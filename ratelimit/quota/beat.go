package quota

import (
	"context"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// run keeps what is known here and what the authority knows together.
func (q *Quotas) run() {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-q.ctx.Done():
			return
		case <-tick.C:
		}
		q.lookAll()
	}
}

func (q *Quotas) lookAll() {
	q.takeOver()
	if q.beats%2 == 0 {
		q.Refresh(q.ctx)
	}
	for _, a := range q.accounts.Range {
		if q.ctx.Err() != nil {
			return
		}
		q.look(a)
	}
	if f, ok := (*q.authority.Load()).(Forgetful); ok && q.beats%2 == 1 {
		q.beatAll(f)
	}
	q.beats++
}

// look is the beat of one account.
func (q *Quotas) look(a *account) {
	t := a.current.Load()
	if t == nil || !t.wasClaimed() {
		return
	}
	now := q.ledger.Now()
	used := t.used()
	if used != t.usedBefore || t.usedAt.IsZero() {
		t.usedAt = now
	}
	t.rate.Store((t.rate.Load()*9 + (used - t.usedBefore)) / 10)
	t.usedBefore = used
	allowance := &Allowance{Quota: t.limit.Load(), Hard: true, Cycle: t.cycle}
	switch {
	case !t.period.Contains(now):
	case t.unspent.Load() > 0 && now.Sub(t.usedAt) >= idleFor:
		q.hold(t, func(ctx context.Context) error { return q.giveBack(ctx, t, allowance) })
	case t.unspent.Load() > 0 && q.others(t):
		// Somebody may need what is not used here.
		q.hold(t, func(ctx context.Context) error {
			t.assert()
			return q.settle(ctx, t, allowance, Claim{Holds: t.granted.Load()})
		})
	}
	q.prefetch(a, t, allowance, now)
}

func (t *term) wasClaimed() bool { return t.limit.Load() > 0 && t.granted.Load() > 0 }

// others reports whether anybody else holds grants,
// where it is not asked for all at once.
func (q *Quotas) others(t *term) bool {
	_, all := (*q.authority.Load()).(Forgetful)
	return !all && t.total.Load() > t.granted.Load()
}

// hold runs f as the one who claims, unless somebody does.
func (q *Quotas) hold(t *term, f func(context.Context) error) {
	select {
	case <-t.claiming:
	default:
		return
	}
	defer func() { t.claiming <- struct{}{} }()
	// The next beat tries again.
	_ = f(q.ctx)
}

// prefetch has the first grants of the next period ready before it begins.
func (q *Quotas) prefetch(a *account, t *term, allowance *Allowance, now time.Time) {
	if t.period.End.Sub(now) > a.lead || t.used() == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.next == nil {
		next, err := q.newTerm(a, t.cycle, t.cycle.Next(t.period))
		if err != nil {
			return
		}
		next.rate.Store(t.rate.Load())
		a.next = next
	}
	if !a.next.wasClaimed() {
		_ = q.claim(q.ctx, a.next, allowance, false) // the period's first request asks again
	}
}

// Close gives back what is not used, as far as that can be done before ctx ends.
// Nothing may be taken any more.
func (q *Quotas) Close(ctx context.Context) {
	q.stop()
	q.stopped.Wait()
	f, forgets := (*q.authority.Load()).(Forgetful)
	in := make(settledIn)
	for _, a := range q.accounts.Range {
		a.mu.Lock()
		for _, t := range []*term{a.current.Load(), a.next} {
			if t != nil && t.wasClaimed() && ctx.Err() == nil {
				<-t.claiming
				err := q.giveBack(ctx, t, &Allowance{Quota: t.limit.Load()})
				if forgets && err == nil {
					err = in.note(f.Shard(a.organization), t.settled)
				}
				if forgets && err != nil { // the next process finds in the ledger what it has to say
					in[f.Shard(a.organization)] = never
				}
				t.claiming <- struct{}{}
			}
		}
		a.mu.Unlock()
	}
	q.leaveAll(ctx, q.ledger.Instance(), q.epochs.Load().shards(), in)
}

// State is how far an organization's quota is used in the current period.
type State struct {
	Period   metering.Period
	Used     int64 // by this process; all of it where nobody else holds grants
	Total    int64 // granted to all holders, or used here without
	Limit    int64 // in force; negative: none
	Set      bool  // by people, not by the configuration
	Hard     bool
	Refusing bool
	Grace    bool // it goes on past the quota
}

// State returns how things are. It asks nobody.
func (q *Quotas) State(organization string, allowance *Allowance) (State, error) {
	t, at, err := q.term(organization, allowance)
	if err != nil {
		return State{}, err
	}
	limit, hard := q.bound(organization, allowance)
	_, set := (*q.limits.Load())[organization]
	used := t.used()
	s := State{Period: t.period, Used: used, Total: max(t.total.Load(), used), Limit: limit, Set: set, Hard: hard}
	if hard {
		s.Refusing = q.refuses(t, allowance, limit, at)
		s.Grace = !s.Refusing && t.since.Load() != 0 && t.unspent.Load() <= 0
	}
	return s, nil
}
