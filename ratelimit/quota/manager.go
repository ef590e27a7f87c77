package quota

import (
	"context"
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

// Close gives back what is not used, as far as that can be done before ctx ends.
// Nothing may be taken any more.
func (m *Manager) Close(ctx context.Context) {
	m.stop()
	m.stopped.Wait()
	f, forgets := (*m.authority.Load()).(EpochAuthority)
	in := make(settledIn)
	for _, a := range m.accounts.Range {
		a.mu.Lock()
		for _, w := range []*window{a.current.Load(), a.next} {
			if w != nil && w.wasClaimed() && ctx.Err() == nil {
				<-w.claiming
				err := m.giveBack(ctx, w, &Allowance{Quota: w.limit.Load()})
				if forgets && err == nil {
					err = in.note(f.Shard(a.organization), w.settled)
				}
				if forgets && err != nil { // the next process finds in the ledger what it has to say
					in[f.Shard(a.organization)] = never
				}
				w.claiming <- struct{}{}
			}
		}
		a.mu.Unlock()
	}
	m.leaveAll(ctx, m.ledger.Instance(), m.epochs.Load().shards(), in)
}
