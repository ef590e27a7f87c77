package rate

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"
)

// Limit is a limit over a short window, after the generic cell rate algorithm
// (ITU-T I.371): so many in a window on average, so many at once.
type Limit struct {
	Name   string        // of the policy, for clients
	Count  int64         // at least 1
	Window time.Duration // in which Count are allowed; at least a second
	Burst  int64         // how many may come at once; 0: Count
	Shadow bool          // nothing is refused, only counted
	Mode   Mode

	interval int64 // of tokens, in nanoseconds
	capacity int64 // of the bucket, in nanoseconds
}

// Mode is how gateways share a limit.
type Mode uint8

// The modes.
const (
	Local  Mode = iota // not: each has the limit for itself
	Shared             // by tokens that each has for a twentieth of a second
	Strict             // by tokens that are fetched one by one
)

// Prepare settles what follows from the settings. It must be called once before
// the Limit is used; it reports whether the settings are possible.
func (r *Limit) Prepare() bool {
	if r.Burst == 0 {
		r.Burst = r.Count
	}
	if r.Count < 1 || r.Window < time.Second || r.Burst < 1 || r.Count > int64(r.Window) {
		return false
	}
	// Rounded up: never more than Count.
	r.interval = (int64(r.Window) + r.Count - 1) / r.Count
	if r.Burst > math.MaxInt64/4/r.interval {
		return false
	}
	r.capacity = r.interval * r.Burst
	return true
}

// State is how a bucket is after a request.
type State struct {
	Remaining int64         // tokens that are left; negative: it is not known
	Reset     time.Duration // until it is full again
	Retry     time.Duration // until there is a token; 0: there was one
}

// Unasked stands for what remains in a bucket that nobody looked into: an earlier
// one had refused.
const Unasked = -1

// MaxLimits is how many limits a request can be under.
const MaxLimits = 8

// DefaultLimitBytes is how much memory the buckets may take by default.
const DefaultLimitBytes = 64 << 20

const (
	// bucketBytes and batchBytes are what a bucket, and what was fetched of a
	// shared one, take at most with their places in the maps. A test measures them.
	bucketBytes = 128
	batchBytes  = 192
	// overflowBuckets serve the keys that come while all are in use: strangers share
	// a limit then, but nobody's is reset.
	overflowBuckets = 1 << 10
	// sweepEvery is how often full buckets are dropped.
	sweepEvery = time.Second
	// dropped marks a bucket that was, for those who still hold it.
	dropped = math.MinInt64
)

// bucket is a theoretical arrival time, in nanoseconds since the limiter's start.
type bucket struct{ at atomic.Int64 }

// Limiter keeps buckets of tokens in bounded memory (contract 9.7). Full ones
// are not kept: a bucket that nobody has is full. It is safe for concurrent use.
type Limiter struct {
	buckets  *xsync.Map[bucketID, *bucket]
	overflow [overflowBuckets]bucket
	hasher   *keyHasher // with a secret of its own: what is in memory is for nobody else
	start    time.Time
	budget   atomic.Int64 // bytes
	stop     chan struct{}
	stopped  sync.WaitGroup
	refused  atomic.Uint64
	shadowed atomic.Uint64

	tokens  atomic.Pointer[SharedTokens] // nil: nothing is shared
	batches *xsync.Map[bucketID, *batch] // of tokens that are shared
}

// NewLimiter returns a Limiter with all buckets full and DefaultLimitBytes of
// memory. Close it when done.
func NewLimiter() *Limiter {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // it never fails
	l := &Limiter{
		buckets: xsync.NewMap[bucketID, *bucket](), batches: xsync.NewMap[bucketID, *batch](), hasher: newKeyHasher(secret), start: time.Now(),
		stop: make(chan struct{}),
	}
	l.Resize(0)
	l.stopped.Go(l.sweepLoop)
	return l
}

// Close ends the sweeping.
func (l *Limiter) Close() {
	close(l.stop)
	l.stopped.Wait()
}

// Resize sets how much memory the buckets may take, in bytes; 0 means
// DefaultLimitBytes. Buckets that are there stay until they are full.
func (l *Limiter) Resize(bytes int64) { l.budget.Store(cmp.Or(bytes, DefaultLimitBytes)) }

// bytes is how much memory the buckets take at most.
func (l *Limiter) bytes() int64 {
	return int64(l.buckets.Size())*bucketBytes + int64(l.batches.Size())*batchBytes
}

func (l *Limiter) sweepLoop() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
			l.sweep(l.now())
			l.sweepShared(l.now())
			if tokens := l.tokens.Load(); tokens != nil {
				tokens.maintainSecret(l.now())
			}
		}
	}
}

// since is the limiter's clock, which no change of the system's moves.
func (l *Limiter) now() int64 { return int64(time.Since(l.start)) }

// sweep drops the buckets that are full.
func (l *Limiter) sweep(now int64) {
	for key, b := range l.buckets.Range {
		if at := b.at.Load(); at <= now && b.at.CompareAndSwap(at, dropped) {
			l.buckets.Delete(key) // nobody puts another in its place before
		}
	}
}

// find returns the bucket of a key, a full one for a new key.
func (l *Limiter) bucket(id bucketID) *bucket {
	if b, ok := l.buckets.Load(id); ok {
		return b
	}
	if l.bytes()+bucketBytes > l.budget.Load() {
		return &l.overflow[binary.LittleEndian.Uint64(id[:])%overflowBuckets]
	}
	b, _ := l.buckets.LoadOrStore(id, new(bucket))
	return b
}

// Take takes a token of each bucket, or of none if one of them has none: a
// refused request uses nothing up. It fills states, which has the length of
// rates and keys, at most MaxLimits, and reports whether there were tokens.
// Shadow policies refuse nothing.
func (l *Limiter) Take(rates []*Limit, keys []Key, states []State) bool {
	return l.takeAt(l.now(), rates, keys, states)
}

func (l *Limiter) takeAt(now int64, rates []*Limit, keys []Key, states []State) bool {
	var taken [MaxLimits]token
	shadowed := false
	for i, rate := range rates {
		states[i], taken[i] = l.takeOne(rate, &keys[i], now)
		switch {
		case states[i].Retry == 0:
		case rate.Shadow:
			shadowed = true
		default:
			for k := range taken[:i] {
				if taken[k].giveBack() {
					states[k].Remaining++
				}
			}
			for k := i + 1; k < len(rates); k++ {
				states[k].Remaining = Unasked
			}
			l.refused.Add(1)
			return false
		}
	}
	if shadowed {
		l.shadowed.Add(1)
	}
	return true
}

// token is one that was taken, of a bucket or of a batch. The zero token is none.
type token struct {
	bucket   *bucket
	interval int64 // that bucket was charged
	batch    *batch
}

// giveBack puts a token back where it came from. It reports whether there was one.
func (t *token) giveBack() bool {
	switch {
	case t.bucket != nil:
		t.bucket.giveBack(t.interval)
	case t.batch != nil:
		t.batch.giveBack()
	default:
		return false
	}
	return true
}

// takeOne takes a token of a limit: of a batch if gateways share it, or else of a
// bucket.
func (l *Limiter) takeOne(rate *Limit, key *Key, now int64) (State, token) {
	id := l.hasher.id(key)
	if rate.Mode != Local {
		if tokens := l.tokens.Load(); tokens != nil {
			return l.takeShared(tokens, rate, key, id, now)
		}
	}
	return l.takeOfBucket(id, now, rate.interval, rate.capacity)
}

// takeOfBucket takes a token of a bucket with an interval and a capacity in
// nanoseconds. State.Retry is not 0 if there was none.
func (l *Limiter) takeOfBucket(id bucketID, now, interval, capacity int64) (State, token) {
	for {
		b := l.bucket(id)
		at := b.at.Load()
		if at == dropped {
			continue // sweep removes it from the map in a moment
		}
		next := max(at, now) + interval
		if wait := next - now - capacity; wait > 0 {
			return State{Reset: time.Duration(at - now), Retry: time.Duration(wait)}, token{}
		}
		if b.at.CompareAndSwap(at, next) {
			state := State{Remaining: (capacity - (next - now)) / interval, Reset: time.Duration(next - now)}
			return state, token{bucket: b, interval: interval}
		}
	}
}

// giveBack takes the charge of one token back. A bucket that was dropped is full.
func (b *bucket) giveBack(interval int64) {
	for {
		at := b.at.Load()
		if at == dropped || b.at.CompareAndSwap(at, at-interval) {
			return
		}
	}
}

// LimiterStats are numbers since the start.
type LimiterStats struct {
	Buckets  int
	Bytes    int64 // what the buckets take at most
	Budget   int64 // what they may take
	Refused  uint64
	Shadowed uint64 // passed, and would have been refused but for shadow
}

// Stats returns how things are.
func (l *Limiter) Stats() LimiterStats {
	return LimiterStats{Buckets: l.buckets.Size(), Bytes: l.bytes(), Budget: l.budget.Load(), Refused: l.refused.Load(), Shadowed: l.shadowed.Load()}
}
