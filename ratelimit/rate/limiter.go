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

// DefaultLimitBytes is the memory that the buckets of a Limiter may take unless
// Resize changes it: 64 MiB.
const DefaultLimitBytes = 64 << 20

const (
	// bucketBytes and batchBytes are what a bucket and a batch take at most, with their
	// places in the maps. A test measures them.
	bucketBytes = 128
	batchBytes  = 192
	// overflowBuckets is the number of buckets for new keys while the memory is used
	// up. Keys share them by their hash, so strangers share a limit then; but no
	// bucket that is there is reset.
	overflowBuckets = 1 << 10
	// sweepEvery is the interval of sweepLoop.
	sweepEvery = time.Second
	// dropped is the time of a bucket that was swept, for those who still hold it.
	dropped = math.MinInt64
)

// bucket is the theoretical arrival time of the next request, in nanoseconds since
// the limiter's start. A bucket whose time has passed is full.
type bucket struct{ at atomic.Int64 }

// Limiter takes tokens of buckets, in bounded memory (contract 9.7). A bucket exists
// only while it is not full. It is safe for concurrent use, and Take does not
// allocate for Local limits. Make one with NewLimiter.
type Limiter struct {
	buckets  *xsync.Map[bucketID, *bucket]
	overflow [overflowBuckets]bucket
	hasher   *keyHasher // with a random secret: nobody can choose keys that collide
	start    time.Time
	clock    func() int64 // now, made once: a method value allocates
	budget   atomic.Int64 // bytes
	stop     chan struct{}
	stopped  sync.WaitGroup
	refused  atomic.Uint64
	shadowed atomic.Uint64

	tokens  atomic.Pointer[SharedTokens] // nil: no limit is shared
	batches *xsync.Map[bucketID, *batch] // of shared tokens
}

// NewLimiter returns a Limiter whose buckets are all full, with DefaultLimitBytes of
// memory. It runs a goroutine until Close.
func NewLimiter() *Limiter {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	l := &Limiter{
		buckets: xsync.NewMap[bucketID, *bucket](),
		batches: xsync.NewMap[bucketID, *batch](),
		hasher:  newKeyHasher(secret),
		start:   time.Now(),
		stop:    make(chan struct{}),
	}
	l.clock = l.now
	l.Resize(0)
	l.stopped.Go(l.sweepLoop)
	return l
}

// Close ends the goroutine of a Limiter. It must be called once.
func (l *Limiter) Close() {
	close(l.stop)
	l.stopped.Wait()
}

// Resize sets how much memory the buckets may take, in bytes; 0 means
// DefaultLimitBytes. Existing buckets stay until they are full.
func (l *Limiter) Resize(bytes int64) { l.budget.Store(cmp.Or(bytes, DefaultLimitBytes)) }

// bytes returns how much memory the buckets and batches take, at most.
func (l *Limiter) bytes() int64 {
	return int64(l.buckets.Size())*bucketBytes + int64(l.batches.Size())*batchBytes
}

// sweepLoop drops full buckets and old batches, and keeps the secret of shared tokens
// in Redis, until Close.
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

// now returns the limiter's time: nanoseconds since its start, by a clock that never
// goes back.
func (l *Limiter) now() int64 { return int64(time.Since(l.start)) }

// sweep drops the buckets that are full.
func (l *Limiter) sweep(now int64) {
	for key, b := range l.buckets.Range {
		if at := b.at.Load(); at <= now && b.at.CompareAndSwap(at, dropped) {
			l.buckets.Delete(key) // until then takers of this key wait in takeOfBucket
		}
	}
}

// bucket returns the bucket of a key: a new, full one if there is none, or one of
// the overflow while the memory is used up.
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

// LimiterStats are the numbers of a Limiter.
type LimiterStats struct {
	Buckets  int    // in memory now; batches are not among them
	Bytes    int64  // of buckets and batches now, at most
	Budget   int64  // bytes that they may take
	Refused  uint64 // requests refused since the start
	Shadowed uint64 // requests since the start that only a limit with Shadow would have refused
}

// Stats returns the numbers of a Limiter.
func (l *Limiter) Stats() LimiterStats {
	return LimiterStats{
		Buckets:  l.buckets.Size(),
		Bytes:    l.bytes(),
		Budget:   l.budget.Load(),
		Refused:  l.refused.Load(),
		Shadowed: l.shadowed.Load(),
	}
}
