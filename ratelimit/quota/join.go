package quota

import (
	"context"
	"time"
)

// joinAuthority starts to join an authority in the background, until that
// succeeds: it gives back what the previous process of this ledger had left, and
// reports what the ledgers here say was used, in case the authority lost it. number
// is below those of all claims of requests, so that these prevail.
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

// joinAll claims everything that was used by the ledgers here, and joins all
// shards.
func (m *Manager) joinAll(f EpochAuthority, known *epochs, number uint64) error {
	used, err := m.ledger.UsedNow()
	if err != nil {
		return err
	}
	in := make(settledEpochs)
	for _, u := range used {
		answer, err := f.Claim(m.ctx, Claim{
			Holder:       u.Instance,
			Organization: u.Organization,
			Period:       u.Period,
			Limit:        noLimit,
			Number:       number,
			Holds:        int64(u.Units),
		})
		if err == nil {
			err = in.note(f.Shard(u.Organization), answer.Epoch)
		}
		if err != nil {
			return err
		}
	}
	for shard := range f.Shards() {
		err := m.claimShard(f, shard, in)
		if err == nil {
			err = m.witness(f, shard, in)
		}
		if err != nil {
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

// observe joins the epoch of an answer in the background if it is a new one. After
// an error, the next answer of that epoch starts it again.
func (m *Manager) observe(f EpochAuthority, shard int, epoch string) {
	known := m.epochs.Load()
	if !known.begin(shard, epoch) {
		return
	}
	m.stopped.Go(func() {
		joined, in := "", make(settledEpochs)
		if m.claimShard(f, shard, in) == nil && m.witness(f, shard, in) == nil {
			joined, _ = f.Join(m.ctx, m.ledger.Instance(), shard, in[shard])
		}
		known.end(shard, joined)
	})
}

// claimShard claims everything that this process holds in a shard, and notes the
// epoch of the answers in in.
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

// windowsIn returns the windows of a shard that have grants.
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

// idleRounds is how many polls of a shard with grants there are to one of a shard
// without.
const idleRounds = 3

// pollAll asks the shards whose turn it is for their epochs, joins new ones, and gives
// back unspent grants that starved holders reclaim. If one has lost its epoch, all are
// asked: others may have been lost too, and a gateway that knows nothing of it is granted
// units two seconds later.
func (m *Manager) pollAll(f EpochAuthority) {
	byShard := make(map[int][]*window)
	for _, a := range m.accounts.Range {
		if w := a.current.Load(); w != nil && w.hasGrants() {
			shard := f.Shard(a.organization)
			byShard[shard] = append(byShard[shard], w)
		}
	}
	var rest []int
	lost := false
	for shard := range f.Shards() {
		if !m.pollDue(shard, f.Shards(), len(byShard[shard]) > 0) {
			rest = append(rest, shard)
			continue
		}
		changed, err := m.pollShard(f, shard, byShard[shard])
		if err != nil {
			return // the other shards will not answer either
		}
		lost = lost || changed
	}
	if !lost {
		return
	}
	for _, shard := range rest {
		if _, err := m.pollShard(f, shard, byShard[shard]); err != nil {
			return
		}
	}
}

// pollDue reports whether a shard is polled in this round. Each second round asks one
// alone, to find out soon whether all are lost.
func (m *Manager) pollDue(shard, shards int, hasGrants bool) bool {
	if m.rounds%2 == 0 {
		return m.rounds/2%shards == shard
	}
	return hasGrants || (m.rounds/2+shard)%idleRounds == 0
}

// pollShard polls one shard, of which this process has grants in windows. It reports
// whether the shard has another epoch than this process has joined.
func (m *Manager) pollShard(f EpochAuthority, shard int, windows []*window) (changed bool, err error) {
	claims := make([]Claim, len(windows))
	for i, w := range windows {
		claims[i] = Claim{Organization: w.account.organization, Period: w.period}
	}
	peers, asked := m.peersToAsk(f, shard, len(windows)), m.ledger.Elapsed()
	news, err := f.Poll(m.ctx, Inquiry{
		Holder:  m.ledger.Instance(),
		Shard:   shard,
		Windows: claims,
		Peers:   peers,
	})
	if err != nil {
		return false, err
	}
	changed, earlier := m.epochs.Load().changed(shard, news.Epoch)
	if earlier { // this process holds nothing there, but says what it has seen: if all was lost, an epoch begins that is later
		_, _ = f.Join(m.ctx, m.ledger.Instance(), shard, noEpoch)
	}
	m.observe(f, shard, news.Epoch)
	if m.epochs.Load().in(shard, news.Epoch) {
		m.others.Load().learn(&news, asked, m.ownHolders())
		if m.others.Load().rescan(shard, news.Members) || len(peers) > 0 && news.hasUnknown() {
			m.scan(f, shard)
		}
	}
	for i, w := range windows {
		if news.Windows[i].Reclaim && w.unspent.Load() > 0 {
			m.withClaim(w, func(ctx context.Context) error { return m.giveBack(ctx, w, &Allowance{Quota: w.limit.Load()}) })
		}
	}
	return changed, nil
}

// peersToAsk returns the holders whose grants a poll of so many windows asks for: all
// that are known, those of this process included, so that others show by the total.
func (m *Manager) peersToAsk(f EpochAuthority, shard, windows int) []string {
	if windows == 0 {
		return nil
	}
	peers := append(m.others.Load().peers(shard, f), m.ownHolders()...)
	if every := 1 + windows*len(peers)/peerFields; m.rounds/2%every != 0 {
		return nil
	}
	return peers
}

// leaveAll has a holder leave shards, if the authority has epochs. Errors are
// dropped: in the next epoch, the authority waits for a holder that has not left,
// but not for ever.
func (m *Manager) leaveAll(ctx context.Context, holder string, shards []int, in settledEpochs) {
	f, ok := (*m.authority.Load()).(EpochAuthority)
	if !ok {
		return
	}
	for _, shard := range shards {
		if ctx.Err() != nil {
			return
		}
		_ = f.Leave(ctx, holder, shard, in[shard])
	}
}
