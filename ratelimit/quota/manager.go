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
	// claimWait bounds how long an invocation waits for a grant.
	claimWait = 3 * time.Second
	// recoveryWait is the pause between its claims on a recovering authority.
	recoveryWait = 20 * time.Millisecond
	// maintainEvery is the interval of maintainLoop.
	maintainEvery = time.Second
	// outageReserve is for how long grants should last at the current rate, so that
	// an authority may be away for that long.
	outageReserve = 10 * time.Minute
	// chunksPerLimit bounds a claim: it asks for at most the limit divided by this.
	chunksPerLimit = 20
	// minChunk is how many units a claim asks for, at least, while that is allowed.
	minChunk = 100
	// idleAfter is how long an organization must use nothing until its grants go back.
	idleAfter = 30 * time.Second
	// The first grants of the next period are claimed at a random moment before it
	// begins, between these two.
	prefetchEarliest, prefetchLatest = 10 * time.Minute, 30 * time.Second
	// maxRetryDelay bounds the pause between claims that fail or bring nothing.
	maxRetryDelay = 5 * time.Second
)

// Manager keeps organizations within their quotas: it takes units from the grants
// that it claims of an Authority. It is safe for concurrent use. Make one with
// NewManager.
type Manager struct {
	ledger     *metering.Ledger
	authority  atomic.Pointer[Authority]
	accounts   *xsync.Map[string, *account]
	overrides  atomic.Pointer[overrides] // a copy of the authority's
	unread     atomic.Pointer[error]     // of the last reading of overrides
	lastNumber atomic.Uint64             // of a claim
	epochs     atomic.Pointer[epochs]    // of the authority that were joined
	others     atomic.Pointer[others]    // what other holders have, by this authority

	takeover atomic.Pointer[func(gateway string)] // of OnTakeover

	overriding sync.Mutex // held while overrides is changed; guards believe and kept
	believe    bool       // the authority is a new one: what it has of overrides is right
	kept       overrides  // on the disk

	maintaining sync.Mutex     // held during a round of maintainLoop; guards rounds and orphans
	rounds      int            // of maintainLoop
	orphans     settledOrphans // by maintainLoop

	stop    context.CancelFunc
	stopped sync.WaitGroup
	ctx     context.Context //nolint:containedctx // of claims in the background; ends with stop
}

// NewManager returns a Manager of quotas whose use a ledger records. It claims in
// the background, also after an authority was away. Close it before the ledger.
func NewManager(ledger *metering.Ledger, authority Authority) *Manager {
	m := &Manager{ledger: ledger, accounts: xsync.NewMap[string, *account]()}
	m.overrides.Store(new(overrides))
	m.epochs.Store(newEpochs())
	m.authority.Store(&authority)
	m.rememberOthers(authority)
	m.recallOverrides(authority)
	m.lastNumber.Store(max(m.newNumber(), ledger.Numbers()))
	m.ctx, m.stop = context.WithCancel(context.Background())
	m.refreshOverrides(m.ctx)
	number := m.lastNumber.Add(1)
	m.stopped.Go(m.maintainLoop)
	m.joinAuthority(authority, number)
	return m
}

// newNumber returns the time in microseconds, by whichever of the machine's and the
// billing clock is ahead: a claim number above those of processes that have ended, if
// no clock was set back since.
func (m *Manager) newNumber() uint64 {
	return uint64(max(time.Now().UnixMicro(), m.ledger.Now().UnixMicro()))
}

// SetAuthority replaces the authority while units are taken. The one before gets
// back what is not used, if it answers before ctx ends; the new one is told what
// was used by the first claim of each window.
func (m *Manager) SetAuthority(ctx context.Context, authority Authority) {
	number := m.lastNumber.Add(1)
	before := *m.authority.Swap(&authority)
	m.recallOverrides(authority)
	m.refreshOverrides(ctx)
	m.epochs.Store(newEpochs())
	m.rememberOthers(authority)
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
			w.exhausted.Store(nil)
			w.total.Store(0)
			// If this is lost, the claim that follows a return to this authority tells it.
			_, _ = before.Claim(ctx, c)
			w.claiming <- struct{}{}
		}
		a.mu.Unlock()
	}
}

// Close gives all unspent grants back, as far as the authority answers before ctx
// ends, and leaves it. Nothing may be taken any more.
func (m *Manager) Close(ctx context.Context) {
	m.stop()
	m.stopped.Wait()
	m.keepOthers()
	authority, hasEpochs := (*m.authority.Load()).(EpochAuthority)
	in := make(settledEpochs)
	for _, a := range m.accounts.Range {
		a.mu.Lock()
		for _, w := range []*window{a.current.Load(), a.next} {
			if w == nil || !w.hasGrants() || ctx.Err() != nil {
				continue
			}
			<-w.claiming
			err := m.giveBack(ctx, w, &Allowance{Quota: w.limit.Load()})
			if hasEpochs {
				shard := authority.Shard(a.organization)
				if err == nil {
					err = in.note(shard, w.settledIn)
				}
				if err != nil {
					// Leave is refused by this: what the next process finds in the ledger
					// is yet to be said.
					in[shard] = noEpoch
				}
			}
			w.claiming <- struct{}{}
		}
		a.mu.Unlock()
	}
	m.leaveAll(ctx, m.ledger.Instance(), m.epochs.Load().shards(), in)
}
