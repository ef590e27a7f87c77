package quota

import (
	"context"
	"slices"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// noLimit is the limit of claims that only give back, or take stock, made without
// knowing the configured one. An authority concludes nothing from it.
const noLimit = 1 << 53

// MaxLimit is the highest limit that an organization can have: Lua has no whole numbers
// beyond, so claim.lua would not count them one by one.
const MaxLimit = noLimit - 1

// settleHoldings gives back what the previous process of a ledger was granted and
// has not used, in all periods: perhaps no request here ever claims for those
// organizations again, while other holders are starved. number is that of the
// claims.
func (m *Manager) settleHoldings(ctx context.Context, authority Authority, instance string, number uint64) (in settledEpochs, err error) {
	h, ok := authority.(HoldingsAuthority)
	if !ok {
		return nil, nil
	}
	held, err := h.HeldBy(ctx, instance)
	if err != nil {
		return nil, err
	}
	used, err := m.usedBy(instance)
	if err != nil {
		return nil, err
	}
	// An authority that lost grants may not know of what was used since.
	now, err := m.ledger.UsedNow()
	if err != nil {
		return nil, err
	}
	for _, u := range now {
		same := func(c Claim) bool { return c.Organization == u.Organization && c.Period.ID == u.Period.ID }
		if u.Instance == instance && !slices.ContainsFunc(held, same) {
			held = append(held, Claim{
				Holder:       instance,
				Organization: u.Organization,
				Period:       u.Period,
				Limit:        noLimit,
			})
		}
	}
	in = make(settledEpochs)
	for _, c := range held {
		c.Holds = used[c.Period.ID+"|"+c.Organization]
		if instance == m.ledger.Instance() {
			c.Number = number
		} else { // it has ended, and may have counted by a clock that was ahead
			c.Number = max(c.Number+1, number)
		}
		answer, err := authority.Claim(ctx, c)
		if f, ok := authority.(EpochAuthority); ok && err == nil {
			err = in.note(f.Shard(c.Organization), answer.Epoch)
		}
		if err != nil {
			return nil, err
		}
	}
	return in, nil
}

// usedBy returns how many units a ledger says were used, by `PERIOD|ORGANIZATION`.
func (m *Manager) usedBy(instance string) (map[string]int64, error) {
	all, err := m.ledger.Usage()
	if err != nil {
		return nil, err
	}
	used := make(map[string]int64)
	for i := range all {
		if u := &all[i]; u.Instance == instance && u.Span == metering.Monthly && metering.TakesQuota(u.Region) {
			used[u.Cycle.At(u.Start).ID+"|"+u.Organization] += int64(u.Invocations)
		}
	}
	return used, nil
}

// settledOrphans counts the logs of other processes (Ledger.Orphans) whose
// holdings were settled with an authority.
type settledOrphans struct {
	authority Authority
	n         int
}

// OnTakeover has f called when the log of a process that ended was taken over, and what it
// held and had not used is given back.
func (m *Manager) OnTakeover(f func(gateway string)) { m.takeover.Store(&f) }

// settleOrphans settles the holdings of the logs that were taken over since the
// last time.
func (m *Manager) settleOrphans() {
	authority, orphans := *m.authority.Load(), m.ledger.Orphans()
	if m.orphans.authority != authority || len(orphans) < m.orphans.n {
		m.orphans = settledOrphans{authority: authority}
	}
	for ; m.orphans.n < len(orphans); m.orphans.n++ {
		orphan := orphans[m.orphans.n]
		in, err := m.settleHoldings(m.ctx, authority, orphan, m.newNumber())
		if err != nil {
			return // the next round tries again
		}
		if f, ok := authority.(EpochAuthority); ok {
			for shard := range f.Shards() {
				if err := f.Leave(m.ctx, orphan, shard, in[shard]); err != nil {
					return
				}
			}
		}
		if tell := m.takeover.Load(); tell != nil {
			(*tell)(orphan)
		}
	}
}
