package quota

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// Allowance is what an organization may use in a billing period, and what happens
// at its limit.
type Allowance struct {
	Quota int64 // units in a period; negative: unlimited
	// Hard has invocations refused at the quota. A soft quota needs no grants: its
	// units are only counted.
	Hard  bool
	Grace time.Duration // how long invocations go on past a hard quota; default: not at all
	// Open admits invocations that need a grant while the authority cannot be
	// reached. They are counted, and settled by the next claim. Default: refused.
	Open  bool
	Cycle metering.Cycle // of the billing periods
}

// ErrExhausted says that an organization's quota is used up.
var ErrExhausted = errors.New("the quota is used up")

const (
	// claimWait bounds how long an invocation waits for a grant where nothing is
	// left here.
	claimWait = 3 * time.Second
	// recoveryWait is how long it waits between claims while the authority recovers.
	recoveryWait = 20 * time.Millisecond
	// beat is how often what was used is compared with what was granted.
	beat = time.Second
	// forOutage is how much of the own rate is asked for beforehand, so that an
	// authority that is away is not noticed far from the limit.
	forOutage = 10 * time.Minute
	// mostPart is the part of a limit that is asked for at once, at most.
	mostPart = 20
	// leastAsked is asked for where the rate is not known yet.
	leastAsked = 100
	// idleFor is after how long without a unit grants go back.
	idleFor = 30 * time.Second
	// The grants of the next period are asked for at a random moment between these
	// before it begins.
	prefetchFirst, prefetchLast = 10 * time.Minute, 30 * time.Second
	// patience bounds how long a gateway without units waits until it asks again.
	patience = 5 * time.Second
)

// Manager keeps organizations within their quotas. It is safe for concurrent use.
type Manager struct {
	ledger    *metering.Ledger
	authority atomic.Pointer[Authority]
	accounts  *xsync.Map[string, *account]
	overrides atomic.Pointer[map[string]int64] // by organization; a copy of the authority's
	number    atomic.Uint64
	epochs    atomic.Pointer[epochs] // of the authority
	beats     int                    // of run
	orphans   settledOrphans         // for run
	stop      context.CancelFunc
	stopped   sync.WaitGroup
	ctx       context.Context //nolint:containedctx // of claims that no request waits for
}

// NewManager returns the quotas over what a ledger records. Close it before the
// ledger.
func NewManager(ledger *metering.Ledger, authority Authority) *Manager {
	m := &Manager{ledger: ledger, accounts: xsync.NewMap[string, *account]()}
	m.overrides.Store(new(map[string]int64))
	m.epochs.Store(newEpochs())
	m.authority.Store(&authority)
	m.number.Store(m.now()) // above those of the process before
	m.ctx, m.stop = context.WithCancel(context.Background())
	m.refreshOverrides(m.ctx)
	number := m.number.Add(1)
	m.stopped.Go(m.run)
	m.prepare(authority, number)
	return m
}

// now is a number above those of all claims of processes that are gone, also if
// the clock was set back since.
func (m *Manager) now() uint64 {
	return uint64(max(time.Now().UnixMicro(), m.ledger.Now().UnixMicro()))
}

// SetAuthority has another authority asked from now on. The one before gets back
// what is not used; the new one is told what was used with the first claim.
func (m *Manager) SetAuthority(ctx context.Context, authority Authority) {
	number := m.number.Add(1)
	before := *m.authority.Swap(&authority)
	m.refreshOverrides(ctx)
	m.epochs.Store(newEpochs())
	m.prepare(authority, number)
	for _, a := range m.accounts.Range {
		a.mu.Lock()
		for _, w := range []*window{a.current.Load(), a.next} {
			if w == nil || !w.wasClaimed() {
				continue
			}
			<-w.claiming
			w.drop()
			c := m.complete(w, Claim{Holds: w.granted.Load(), Limit: w.limit.Load()})
			w.known = false
			w.since.Store(0)
			w.total.Store(0)
			// What does not arrive is asserted if it is ever asked again.
			_, _ = before.Claim(ctx, c)
			w.claiming <- struct{}{}
		}
		a.mu.Unlock()
	}
}

// Unit is one that was taken. The zero Unit is none.
type Unit struct {
	At        time.Time // when; what is recorded of it must have this time
	Remaining int64     // what is left of a hard quota, at least; -1: there is none
	Limit     int64     // of it
	window    *window
	over      bool
}

// Return gives the unit back: nothing was sent. It may be called once.
func (u Unit) Return() {
	switch {
	case u.window == nil:
	case u.over:
		u.window.over.Add(-1)
	default:
		u.window.unspent.Add(1)
	}
}

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
	over       atomic.Int64 // used without a grant, and not claimed yet
	granted    atomic.Int64 // changes under claiming
	total      atomic.Int64 // of all holders, as far as known
	limit      atomic.Int64 // in force when it was last asked
	since      atomic.Int64 // when nothing was left, in microseconds; 0: something is
	chunk      atomic.Int64 // how many units are asked for at once; changes under claiming
	recovering atomic.Bool  // the authority grants nothing yet
	retryAt    atomic.Int64 // when asking again makes sense, in microseconds

	claiming chan struct{} // holds one token: who has it claims
	asked    atomic.Bool   // a claim that nobody waits for is under way
	known    bool          // the authority has answered once; under claiming
	settled  string        // the epoch of its last answer; under claiming
	adopted  int           // of how many logs of others it was told; under claiming

	// For the beat:
	usedBefore int64
	usedAt     time.Time    // when something was last used
	failures   int          // in a row; under claiming
	paced      time.Time    // when chunk was settled; under claiming
	empty      int          // claims in a row that brought nothing; under claiming
	rate       atomic.Int64 // units a second
}

func (w *window) contains(at time.Time) bool {
	micro := at.UnixMicro()
	return micro >= w.begins && micro < w.ends
}

func (w *window) used() int64 { return w.granted.Load() - w.unspent.Load() + w.over.Load() }

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
	return prefetchLast + rand.N(prefetchFirst-prefetchLast) //nolint:gosec // spreads load, guards nothing
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
	w.over.Store(int64(by[m.ledger.Instance()]))
	w.claiming <- struct{}{}
	return w, nil
}

// bound reports whether a limit holds, and which.
func (m *Manager) bound(organization string, allowance *Allowance) (int64, bool) {
	limit := m.effectiveLimit(organization, allowance)
	return limit, allowance.Hard && limit >= 0
}

// Restricted returns how long an organization's invocations will be refused, 0
// if the next one may not be. It takes nothing.
func (m *Manager) Restricted(organization string, allowance *Allowance) time.Duration {
	limit, hard := m.bound(organization, allowance)
	if !hard {
		return 0
	}
	w, at, err := m.window(organization, allowance)
	if err != nil || !m.refuses(w, allowance, limit, at) {
		return 0
	}
	return w.period.End.Sub(at)
}

// refuses reports whether a window is known to have nothing left. It sees to it
// that this is found out again from time to time.
func (m *Manager) refuses(w *window, allowance *Allowance, limit int64, at time.Time) bool {
	since := w.since.Load()
	if since == 0 || w.unspent.Load() > 0 || w.limit.Load() != limit || at.Before(time.UnixMicro(since).Add(allowance.Grace)) {
		return false
	}
	if at.UnixMicro() >= w.retryAt.Load() {
		m.ask(w, allowance, true)
	}
	return true
}

// Take takes a unit, which must be recorded in the ledger or given back. The
// error is ErrExhausted, or ErrUnavailable where a grant is needed and nobody
// can be asked for it.
func (m *Manager) Take(ctx context.Context, organization string, allowance *Allowance) (Unit, error) {
	for waited := false; ; waited = true {
		limit, hard := m.bound(organization, allowance) // a claim may bring another
		w, at, err := m.window(organization, allowance)
		if err != nil {
			return Unit{}, err
		}
		if !hard {
			w.over.Add(1)
			return Unit{At: at, Remaining: -1, window: w, over: true}, nil
		}
		for w.limit.Load() == limit {
			left := w.unspent.Load()
			if left <= 0 {
				break
			}
			if w.unspent.CompareAndSwap(left, left-1) {
				ungranted := max(0, w.limit.Load()-w.total.Load())
				if left-1 < w.low() && ungranted > 0 {
					m.ask(w, allowance, false)
				}
				return Unit{At: at, Remaining: left - 1 + ungranted, Limit: limit, window: w}, nil
			}
		}
		if m.refuses(w, allowance, limit, at) {
			return Unit{}, ErrExhausted
		}
		if w.since.Load() != 0 && w.limit.Load() == limit && w.unspent.Load() <= 0 { // grace
			w.over.Add(1)
			return Unit{At: at, Remaining: 0, Limit: limit, window: w, over: true}, nil
		}
		if waited && ctx.Err() != nil {
			return w.without(allowance, at, ErrUnavailable)
		}
		if !waited {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, claimWait)
			defer cancel()
		}
		if err := m.claim(ctx, w, allowance, true); err != nil {
			return w.without(allowance, at, err)
		}
		if w.recovering.Load() && w.unspent.Load() <= 0 {
			select {
			case <-ctx.Done():
			case <-time.After(recoveryWait):
			}
		}
	}
}

// without is a unit for which nobody could be asked, if the allowance says so. It is
// settled with the next claim.
func (w *window) without(allowance *Allowance, at time.Time, err error) (Unit, error) {
	if !allowance.Open {
		return Unit{}, err
	}
	w.over.Add(1)
	return Unit{At: at, Remaining: -1, window: w, over: true}, nil
}

// low is how few unspent units make a window ask for more.
func (w *window) low() int64 { return max(1, w.chunk.Load()*3/10) }

// pace settles how many units a window asks for: what it needs in an outage, and
// more than the last time if that was used up at once. The caller claims.
func (w *window) pace(now time.Time, limit int64) {
	next := max(w.rate.Load()*int64(forOutage/time.Second), leastAsked)
	if now.Sub(w.paced) < beat {
		next = max(next, 4*w.chunk.Load())
	}
	w.paced = now
	w.chunk.Store(min(next, max(1, limit/mostPart)))
}

// ask claims without anybody waiting.
func (m *Manager) ask(w *window, allowance *Allowance, starved bool) {
	if !w.asked.CompareAndSwap(false, true) {
		return
	}
	copied := *allowance
	m.stopped.Go(func() {
		defer w.asked.Store(false)
		// The next beat, or request, tries again.
		_ = m.claim(m.ctx, w, &copied, starved)
	})
}
