package quota

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// account is an organization.
type account struct {
	organization string
	current      atomic.Pointer[window]

	mu   sync.Mutex // guards next, and who makes a window
	next *window    // of the next period, with its first grants
	lead time.Duration
}

// window is an organization in one period. What it has used here is granted -
// unspent + over.
type window struct {
	account *account
	cycle   metering.Cycle
	period  metering.Period
	// Of period, in microseconds, since that is quicker to compare.
	begins, ends int64

	unspent    atomic.Int64 // of what was granted
	ungranted  atomic.Int64 // used without a grant, and not claimed yet
	granted    atomic.Int64 // changes under claiming
	total      atomic.Int64 // of all holders, as far as known
	limit      atomic.Int64 // in force when it was last asked
	since      atomic.Int64 // when nothing was left, in microseconds; 0: something is
	chunk      atomic.Int64 // how many units are asked for at once; changes under claiming
	recovering atomic.Bool  // the authority grants nothing yet
	retryAt    atomic.Int64 // when asking again makes sense, in microseconds

	claiming  chan struct{} // holds one token: who has it claims
	queued    atomic.Bool   // a claim that nobody waits for is under way
	answered  bool          // the authority has answered once; under claiming
	settledIn string        // the epoch of its last answer; under claiming
	orphans   int           // of how many logs of others it was told; under claiming

	// For the beat:
	usedBefore  int64
	usedAt      time.Time    // when something was last used
	failures    int          // in a row; under claiming
	chunkSetAt  time.Time    // when chunk was settled; under claiming
	emptyClaims int          // claims in a row that brought nothing; under claiming
	rate        atomic.Int64 // units a second
}

func (w *window) contains(at time.Time) bool {
	micro := at.UnixMicro()
	return micro >= w.begins && micro < w.ends
}

func (w *window) used() int64 { return w.granted.Load() - w.unspent.Load() + w.ungranted.Load() }

func (w *window) hasGrants() bool { return w.limit.Load() > 0 && w.granted.Load() > 0 }

// low is how few unspent units make a window ask for more.
func (w *window) refillBelow() int64 { return max(1, w.chunk.Load()*3/10) }

// pace settles how many units a window asks for: what it needs in an outage, and
// more than the last time if that was used up at once. The caller claims.
func (w *window) setChunk(now time.Time, limit int64) {
	next := max(w.rate.Load()*int64(outageReserve/time.Second), minChunk)
	if now.Sub(w.chunkSetAt) < maintainEvery {
		next = max(next, 4*w.chunk.Load())
	}
	w.chunkSetAt = now
	w.chunk.Store(min(next, max(1, limit/chunksPerLimit)))
}

// drop makes what is not used nobody's. The caller claims, and says so.
func (w *window) dropUnspent() {
	if back := w.unspent.Swap(0); back > 0 {
		w.granted.Add(-back)
	} else {
		w.unspent.Add(back)
	}
	w.claimUngranted()
}

// assert makes a grant of what was used without one.
func (w *window) claimUngranted() {
	over := w.ungranted.Swap(0)
	if over < 0 { // given back after it was claimed
		w.unspent.Add(-over)
		return
	}
	w.granted.Add(over)
}

// window returns that of an organization now, and the time it is for.
func (m *Manager) window(organization string, allowance *Allowance) (*window, time.Time, error) {
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

// begin makes the window that is now the current one.
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

// newWindow returns a window that knows what the ledger says was used.
func (m *Manager) newWindow(a *account, cycle metering.Cycle, period metering.Period) (*window, error) {
	by, err := m.ledger.SpentBy(a.organization, period)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	w := &window{
		account: a, cycle: cycle, period: period, begins: period.Start.UnixMicro(), ends: period.End.UnixMicro(), claiming: make(chan struct{}, 1),
	}
	w.ungranted.Store(int64(by[m.ledger.Instance()]))
	w.claiming <- struct{}{}
	return w, nil
}
