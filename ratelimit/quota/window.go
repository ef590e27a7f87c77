package quota

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// account is the quota account of an organization: its current window, and for a
// while before the period ends the next one.
type account struct {
	organization string
	current      atomic.Pointer[window]

	mu   sync.Mutex    // guards next and lead, and is held while a window is made
	next *window       // of the next period, with its first grants; nil before prefetch
	lead time.Duration // how long before the period's end prefetch makes next
}

// window is the quota of one organization in one period, as this process sees it.
// The units used here are granted - unspent + ungranted. Fields marked "claim
// token" change only while claiming is held.
type window struct {
	account      *account
	cycle        metering.Cycle
	period       metering.Period
	begins, ends int64 // of period, in Unix microseconds: quicker to compare

	unspent    atomic.Int64               // granted units that are left
	ungranted  atomic.Int64               // units used without a grant that no claim has reported yet
	granted    atomic.Int64               // units that the authority knows this process to hold; claim token
	total      atomic.Int64               // units that all holders held at the last answer
	limit      atomic.Int64               // that the last claim was settled by
	chunk      atomic.Int64               // units that a claim asks for; claim token
	rate       atomic.Int64               // units used a second, smoothed
	recovering atomic.Bool                // the authority grants nothing until all holders have joined
	exhausted  atomic.Pointer[exhaustion] // nil while something is left, or that is not known
	retryAt    atomic.Int64               // when another claim makes sense: Ledger.Elapsed in nanoseconds

	claiming  chan struct{} // the claim token: a channel, so that waiting can end with a context
	queued    atomic.Bool   // a claim in the background is under way
	answered  bool          // this authority has answered a claim; claim token
	settledIn string        // the epoch of the last answer; claim token
	orphans   int           // how many of Ledger.Orphans were settled; claim token
	grace     knownGrace    // claim token

	chunkSetAt  time.Duration // Ledger.Elapsed then; claim token
	failures    int           // claims in a row without an answer; claim token
	failed      error         // why the last of them had none; claim token
	emptyClaims int           // claims in a row that brought no unit; claim token

	usedBefore int64         // at the last round of maintain; of maintainLoop alone
	maintained bool          // there was a round; of maintainLoop alone
	usedAt     time.Duration // Ledger.Elapsed at the last round at which more was used; of maintainLoop alone
}

func (w *window) contains(at time.Time) bool {
	micro := at.UnixMicro()
	return micro >= w.begins && micro < w.ends
}

func (w *window) used() int64 { return w.granted.Load() - w.unspent.Load() + w.ungranted.Load() }

func (w *window) hasGrants() bool { return w.limit.Load() > 0 && w.granted.Load() > 0 }

// refillBelow returns how many unspent units are so few that more are claimed.
func (w *window) refillBelow() int64 { return max(1, w.chunk.Load()*3/10) }

// setChunk settles how many units the next claim asks for: those of
// outageReserve, and four times the last chunk if that lasted less than a second;
// at most a part of the limit. The caller holds the claim token.
func (w *window) setChunk(now time.Duration, limit int64) {
	next := max(w.rate.Load()*int64(outageReserve/time.Second), minChunk)
	if w.chunk.Load() > 0 && now-w.chunkSetAt < maintainEvery {
		next = max(next, 4*w.chunk.Load())
	}
	w.chunkSetAt = now
	w.chunk.Store(min(next, max(1, limit/chunksPerLimit)))
}

// dropUnspent takes the unspent units away, so that nobody can use them, before
// the authority is told that they are free. The caller holds the claim token and
// claims.
func (w *window) dropUnspent() {
	if back := w.unspent.Swap(0); back > 0 {
		w.granted.Add(-back)
	} else {
		w.unspent.Add(back)
	}
	w.claimUngranted()
}

// claimUngranted counts units that were used without a grant as granted, for the
// next claim to report. The caller holds the claim token and claims.
func (w *window) claimUngranted() {
	used := w.ungranted.Swap(0)
	if used < 0 { // units that were returned after a claim had reported them
		w.unspent.Add(-used)
		return
	}
	w.granted.Add(used)
}

// window returns the current window of an organization, and the time in it. While the
// billing clock is not known that is a window of no account, by a time that may be
// wrong: nothing can be taken before.
func (m *Manager) window(organization string, allowance *Allowance) (*window, time.Time, error) {
	if m.ledger.ClockSource() == metering.ClockPending {
		at := m.ledger.Now()
		w, err := m.newWindow(&account{organization: organization}, allowance.Cycle, allowance.Cycle.At(at))
		return w, at, err
	}
	a, ok := m.accounts.Load(organization)
	if !ok {
		a, _ = m.accounts.LoadOrStore(organization, &account{organization: organization, lead: randomLead()})
	}
	for {
		at := m.ledger.Now()
		w := a.current.Load()
		if w != nil && w.contains(at) && w.cycle.Equal(allowance.Cycle) {
			return w, at, nil
		}
		if err := m.begin(a, allowance.Cycle); err != nil {
			return nil, at, err
		}
	}
}

func randomLead() time.Duration {
	return prefetchLatest + rand.N(prefetchEarliest-prefetchLatest) //nolint:gosec // spreads load, guards nothing
}

// begin replaces the current window of an account when its period is over or its
// cycle was changed.
func (m *Manager) begin(a *account, cycle metering.Cycle) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	period := cycle.At(m.ledger.Now())
	if w := a.current.Load(); w != nil && w.cycle.Equal(cycle) && !period.Start.After(w.period.Start) {
		return nil
	}
	next := a.next
	if next == nil || !next.cycle.Equal(cycle) || next.period.ID != period.ID {
		var err error
		if next, err = m.newWindow(a, cycle, period); err != nil {
			return err
		}
	}
	a.next, a.lead = nil, randomLead()
	a.current.Store(next)
	return nil
}

// newWindow returns a window whose first claim reports what this process has used
// in the period, by its ledger.
func (m *Manager) newWindow(a *account, cycle metering.Cycle, period metering.Period) (*window, error) {
	by, err := m.ledger.SpentBy(a.organization, period)
	if err != nil {
		return nil, fmt.Errorf("%w: reading what organization %q has used: %w", ErrUnavailable, a.organization, err)
	}
	w := &window{
		account:  a,
		cycle:    cycle,
		period:   period,
		begins:   period.Start.UnixMicro(),
		ends:     period.End.UnixMicro(),
		claiming: make(chan struct{}, 1),
	}
	w.ungranted.Store(int64(by[m.ledger.Instance()]))
	w.claiming <- struct{}{}
	return w, nil
}
