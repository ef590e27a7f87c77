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
	// maintainEvery is how often what was used is compared with what was granted.
	maintainEvery = time.Second
	// outageReserve is how much of the own rate is asked for beforehand, so that an
	// authority that is away is not noticed far from the limit.
	outageReserve = 10 * time.Minute
	// chunksPerLimit is the part of a limit that is asked for at once, at most.
	chunksPerLimit = 20
	// minChunk is asked for where the rate is not known yet.
	minChunk = 100
	// idleAfter is after how long without a unit grants go back.
	idleAfter = 30 * time.Second
	// The grants of the next period are asked for at a random moment between these
	// before it begins.
	prefetchEarliest, prefetchLatest = 10 * time.Minute, 30 * time.Second
	// maxRetryDelay bounds how long a gateway without units waits until it asks again.
	maxRetryDelay = 5 * time.Second
)

// Manager keeps organizations within their quotas. It is safe for concurrent use.
type Manager struct {
	ledger     *metering.Ledger
	authority  atomic.Pointer[Authority]
	accounts   *xsync.Map[string, *account]
	overrides  atomic.Pointer[map[string]int64] // by organization; a copy of the authority's
	lastNumber atomic.Uint64
	epochs     atomic.Pointer[epochs] // of the authority
	rounds     int                    // of run
	orphans    settledOrphans         // for run
	stop       context.CancelFunc
	stopped    sync.WaitGroup
	ctx        context.Context //nolint:containedctx // of claims that no request waits for
}

// NewManager returns the quotas over what a ledger records. Close it before the
// ledger.
func NewManager(ledger *metering.Ledger, authority Authority) *Manager {
	m := &Manager{ledger: ledger, accounts: xsync.NewMap[string, *account]()}
	m.overrides.Store(new(map[string]int64))
	m.epochs.Store(newEpochs())
	m.authority.Store(&authority)
	m.lastNumber.Store(m.newNumber()) // above those of the process before
	m.ctx, m.stop = context.WithCancel(context.Background())
	m.refreshOverrides(m.ctx)
	number := m.lastNumber.Add(1)
	m.stopped.Go(m.maintainLoop)
	m.joinAuthority(authority, number)
	return m
}

// now is a number above those of all claims of processes that are gone, also if
// the clock was set back since.
func (m *Manager) newNumber() uint64 {
	return uint64(max(time.Now().UnixMicro(), m.ledger.Now().UnixMicro()))
}

// SetAuthority has another authority asked from now on. The one before gets back
// what is not used; the new one is told what was used with the first claim.
func (m *Manager) SetAuthority(ctx context.Context, authority Authority) {
	number := m.lastNumber.Add(1)
	before := *m.authority.Swap(&authority)
	m.refreshOverrides(ctx)
	m.epochs.Store(newEpochs())
	m.joinAuthority(authority, number)
	for _, a := range m.accounts.Range {
		a.mu.Lock()
		for _, w := range []*window{a.current.Load(), a.next} {
			if w == nil || !w.hasGrants() {
				continue
			}
			<-w.claiming
			w.dropUnspent()
			c := m.complete(w, Claim{Holds: w.granted.Load(), Limit: w.limit.Load()})
			w.answered = false
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
	in := make(settledEpochs)
	for _, a := range m.accounts.Range {
		a.mu.Lock()
		for _, w := range []*window{a.current.Load(), a.next} {
			if w != nil && w.hasGrants() && ctx.Err() == nil {
				<-w.claiming
				err := m.giveBack(ctx, w, &Allowance{Quota: w.limit.Load()})
				if forgets && err == nil {
					err = in.note(f.Shard(a.organization), w.settledIn)
				}
				if forgets && err != nil { // the next process finds in the ledger what it has to say
					in[f.Shard(a.organization)] = noEpoch
				}
				w.claiming <- struct{}{}
			}
		}
		a.mu.Unlock()
	}
	m.leaveAll(ctx, m.ledger.Instance(), m.epochs.Load().shards(), in)
}
