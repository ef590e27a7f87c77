package quota

import (
	"context"
	"time"
)

// prepare joins an authority before the first claim: gives back what the process
// before had left, and says what the ledgers here say was used, in case the
// authority lost it. number is below those of all claims of requests, which know
// better.
func (m *Manager) joinAuthority(authority Authority, number uint64) {
	known := m.epochs.Load()
	join := func() error {
		_, err := m.settleHoldings(m.ctx, authority, m.ledger.Instance(), number)
		if f, ok := authority.(EpochAuthority); ok && err == nil {
			err = m.joinAll(f, known, number)
		}
		return err
	}
	m.stopped.Go(func() {
		for join() != nil {
			select {
			case <-m.ctx.Done():
				return
			case <-time.After(maintainEvery):
			}
		}
	})
}

// joinAll claims what was used, and joins all shards.
func (m *Manager) joinAll(f EpochAuthority, known *epochs, number uint64) error {
	used, err := m.ledger.UsedNow()
	if err != nil {
		return err
	}
	in := make(settledEpochs)
	for _, u := range used {
		answer, err := f.Claim(m.ctx, Claim{
			Holder: u.Instance, Organization: u.Organization, Period: u.Period, Number: number, Holds: int64(u.Units),
		})
		if err == nil {
			err = in.note(f.Shard(u.Organization), answer.Epoch)
		}
		if err != nil {
			return err
		}
	}
	for shard := range f.Shards() {
		if err := m.claimShard(f, shard, in); err != nil {
			return err
		}
		epoch, err := f.Join(m.ctx, m.ledger.Instance(), shard, in[shard])
		if err != nil {
			return err
		}
		known.end(shard, epoch)
	}
	return nil
}

// observe sees to it that a new epoch learns what is held here.
func (m *Manager) observe(f EpochAuthority, shard int, epoch string) {
	known := m.epochs.Load()
	if !known.begin(shard, epoch) {
		return
	}
	m.stopped.Go(func() {
		joined, in := "", make(settledEpochs)
		if m.claimShard(f, shard, in) == nil {
			joined, _ = f.Join(m.ctx, m.ledger.Instance(), shard, in[shard]) // the next beat tries again
		}
		known.end(shard, joined)
	})
}

// claimShard claims everything that is held in a shard.
func (m *Manager) claimShard(f EpochAuthority, shard int, in settledEpochs) error {
	for _, w := range m.windowsIn(f, shard) {
		select {
		case <-w.claiming:
		case <-m.ctx.Done():
			return m.ctx.Err()
		}
		w.claimUngranted()
		err := m.settle(m.ctx, w, &Allowance{Quota: w.limit.Load()}, Claim{Holds: w.granted.Load()})
		if err == nil {
			err = in.note(shard, w.settledIn)
		}
		w.claiming <- struct{}{}
		if err != nil {
			return err
		}
	}
	return nil
}

// claimed returns the windows with grants in a shard.
func (m *Manager) windowsIn(f EpochAuthority, shard int) (windows []*window) {
	for _, a := range m.accounts.Range {
		if f.Shard(a.organization) != shard {
			continue
		}
		a.mu.Lock()
		for _, w := range []*window{a.current.Load(), a.next} {
			if w != nil && w.hasGrants() {
				windows = append(windows, w)
			}
		}
		a.mu.Unlock()
	}
	return windows
}

// idleRounds is how many beats of the shards with grants there are to one of those
// without.
const idleRounds = 3

// pollAll finds out for each shard whether it has forgotten what was granted, and
// gives back what others need.
func (m *Manager) pollAll(f EpochAuthority) {
	byShard := make(map[int][]*window)
	for _, a := range m.accounts.Range {
		if w := a.current.Load(); w != nil && w.hasGrants() {
			shard := f.Shard(a.organization)
			byShard[shard] = append(byShard[shard], w)
		}
	}
	for shard := range f.Shards() {
		windows := byShard[shard]
		if len(windows) == 0 && (m.rounds/2+shard)%idleRounds != 0 {
			continue
		}
		claims := make([]Claim, len(windows))
		for i, w := range windows {
			claims[i] = Claim{Organization: w.account.organization, Period: w.period}
		}
		epoch, reclaim, err := f.Poll(m.ctx, m.ledger.Instance(), shard, claims)
		if err != nil {
			return // nor will the others
		}
		m.observe(f, shard, epoch)
		for i, w := range windows {
			if reclaim[i] && w.unspent.Load() > 0 {
				m.withClaim(w, func(ctx context.Context) error { return m.giveBack(ctx, w, &Allowance{Quota: w.limit.Load()}) })
			}
		}
	}
}

// leaveAll says of a holder that it has nothing but what was settled.
func (m *Manager) leaveAll(ctx context.Context, holder string, shards []int, in settledEpochs) {
	f, ok := (*m.authority.Load()).(EpochAuthority)
	if !ok {
		return
	}
	for _, shard := range shards {
		if ctx.Err() != nil {
			return
		}
		// One who does not leave is waited for when the server is lost, for a while.
		_ = f.Leave(ctx, holder, shard, in[shard])
	}
}
