package rate

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

//go:embed rate.lua
var rateText string

//go:embed secret.lua
var secretText string

var (
	rateScript   = redisconn.NewScript(rateText)
	secretScript = redisconn.NewScript(secretText)
)

// callWait bounds one fetch, and one look at the secret.
const callWait = 250 * time.Millisecond

var errAway = errors.New("the store of shared rate limits is away")

// secretKey is the key in Redis of the secret that all gateways hash bucket names
// with.
const secretKey = "gw:secret"

const (
	// tokenLife is how long a gateway may hand out tokens that it has fetched: in any
	// window W at most burst + rate x (W + tokenLife) requests pass.
	tokenLife = 50 * time.Millisecond
	// awayFor is how long Redis is not called after a call that failed.
	awayFor = time.Second
)

// SharedTokens are the buckets of shared limits, in Redis. It is safe for
// concurrent use. Make one with NewSharedTokens, and give it to Limiter.Share.
type SharedTokens struct {
	conn      *redisconn.Conn
	holders   func() int
	awayUntil atomic.Int64 // when Redis is called again, by the limiter's clock; 0: it answers
	calls     atomic.Uint64

	// The names of buckets are hashed with a secret that lies in Redis too: that of the
	// first gateway to call (contract 9.7).
	ownSecret string                      // this gateway's, for a Redis that has none
	names     atomic.Pointer[bucketNames] // nil before the first fetch
}

// bucketNames makes the names of buckets with one secret.
type bucketNames struct {
	secret string
	hasher *keyHasher
}

// NewSharedTokens returns the buckets in a Redis; holders returns how many gateways
// there are now. It sends nothing.
func NewSharedTokens(conn *redisconn.Conn, holders func() int) *SharedTokens {
	return &SharedTokens{conn: conn, holders: holders, ownSecret: rand.Text()}
}

// Calls returns how many commands were sent since NewSharedTokens.
func (t *SharedTokens) Calls() uint64 { return t.calls.Load() }

// Share has the tokens of Shared and Strict limits taken from t. After nil, as at
// first, each gateway has the whole of such a limit for itself.
func (l *Limiter) Share(t *SharedTokens) { l.tokens.Store(t) }

// batch has the tokens that were fetched of one bucket, and its state at that time.
// All times are the limiter's.
type batch struct {
	mu         sync.Mutex // guards all, and is held while tokens are fetched
	left       int64      // tokens to hand out
	expires    int64      // when those left must not be handed out any more
	emptyUntil int64      // when the bucket has a token again, if it had none; otherwise 0
	fullAt     int64      // when the bucket is full
	remaining  int64      // tokens left in the bucket
	single     bool       // tokens are fetched one by one
}

// knownEmpty returns how long it is until a bucket has a token, if the gateway knows that
// it has none; otherwise 0. It waits for nobody.
func (b *batch) knownEmpty(now int64) (State, bool) {
	if !b.mu.TryLock() {
		return State{}, false
	}
	defer b.mu.Unlock()
	if now >= b.emptyUntil || b.left > 0 && now <= b.expires {
		return State{}, false
	}
	b.left = 0
	return b.state(now, time.Duration(b.emptyUntil-now)), true
}

// takeShared takes a token of the batch of a bucket, and fetches another batch if
// there is none left. While Redis is away, or where memory is short, the gateway has
// its share of the limit for itself.
func (l *Limiter) takeShared(t *SharedTokens, limit *Limit, key *Key, id bucketID, clock func() int64) (State, token) {
	now := clock()
	b, ok := l.batches.Load(id)
	if !ok {
		if l.bytes()+batchBytes > l.budget.Load() {
			return l.takeLocalShare(t, limit, id, now)
		}
		b, _ = l.batches.LoadOrStore(id, new(batch))
	}
	if t.awayUntil.Load() == 0 {
		b.mu.Lock()
	} else if !b.mu.TryLock() { // one request finds out whether Redis is back; the others do not wait for it
		return l.takeLocalShare(t, limit, id, now)
	}
	defer b.mu.Unlock()
	now = clock() // others may have fetched while this request waited
	if now > b.expires {
		b.left = 0
	}
	if b.left <= 0 {
		if now < b.emptyUntil {
			return b.state(now, time.Duration(b.emptyUntil-now)), token{}
		}
		if !t.mayCall(now) {
			return l.takeLocalShare(t, limit, id, now)
		}
		if err := t.fetch(limit, key, b, l.now); err != nil {
			t.awayUntil.Store(l.now() + int64(awayFor))
			return l.takeLocalShare(t, limit, id, now)
		}
		t.awayUntil.Store(0)
		if b.left <= 0 {
			return b.state(now, time.Duration(max(1, b.emptyUntil-now))), token{}
		}
	}
	b.left--
	return b.state(now, 0), token{
		batch:    b,
		interval: limit.interval,
		from:     t,
		limit:    limit,
		key:      key,
		at:       now,
	}
}

// mayCall reports whether the caller may call Redis: everybody while it answers, and
// one request in each awayFor while it does not.
func (t *SharedTokens) mayCall(now int64) bool {
	away := t.awayUntil.Load()
	return away == 0 || now >= away && t.awayUntil.CompareAndSwap(away, now+int64(awayFor))
}

// state returns the state of a bucket; retry is 0 if a token was taken.
func (b *batch) state(now int64, retry time.Duration) State {
	return State{Remaining: b.left + b.remaining, Reset: time.Duration(max(0, b.fullAt-now)), Retry: retry}
}

// takeLocalShare takes a token of an equal share of the limit, which this gateway
// keeps in a bucket of its own.
func (l *Limiter) takeLocalShare(t *SharedTokens, limit *Limit, id bucketID, now int64) (State, token) {
	n := int64(max(1, t.holders()))
	interval := limit.interval * n
	return l.takeOfBucket(id, now, interval, max(interval, limit.capacity))
}

// want returns how many tokens are fetched of a limit: one of a Strict one, or this
// gateway's share of those that come in a tokenLife.
func (t *SharedTokens) want(limit *Limit) int64 {
	if limit.Mode == Strict {
		return 1
	}
	return max(1, int64(tokenLife)/limit.interval/int64(max(1, t.holders())))
}

// fetch takes tokens of a bucket in Redis. The caller holds b.mu.
func (t *SharedTokens) fetch(limit *Limit, key *Key, b *batch, clock func() int64) error {
	want := t.want(limit)
	numbers, err := t.move(limit, key, want)
	if err != nil {
		return err
	}
	now := clock()
	b.single = want == 1
	b.left, b.expires = numbers[0], now+int64(tokenLife)
	b.emptyUntil = 0
	if b.left == 0 {
		b.emptyUntil = now + numbers[1]*int64(time.Microsecond)
	}
	b.fullAt = now + numbers[2]*int64(time.Microsecond)
	b.remaining = numbers[3]
	return nil
}

// move takes tokens of a bucket in Redis, or gives them back if n is negative. The answer
// is that of the script.
func (t *SharedTokens) move(limit *Limit, key *Key, n int64) (numbers [4]int64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), callWait)
	defer cancel()
	if t.names.Load() == nil {
		if err := t.adoptSecret(ctx, t.ownSecret); err != nil {
			return numbers, err
		}
	}
	t.calls.Add(1)
	reply, err := t.conn.Run(ctx, rateScript, t.names.Load().name(key), float64(limit.interval)/1000, float64(limit.capacity)/1000, n, max(1, t.holders()))
	if err != nil {
		return numbers, fmt.Errorf("%w: %w", errAway, err)
	}
	list, _ := reply.([]any)
	for i := range numbers {
		if i < len(list) {
			numbers[i], _ = list[i].(int64)
		}
	}
	if len(list) != len(numbers) {
		return numbers, fmt.Errorf("%w: a bucket was answered %v", errAway, reply)
	}
	return numbers, nil
}

// name returns the key of a bucket in Redis. It does not tell whose it is: subjects
// and addresses must not show in slow logs and dumps.
func (n *bucketNames) name(key *Key) string {
	return fmt.Sprintf("gw:{q:%02d}:r:%x", metering.Shard(key.Project), n.hasher.id(key))
}

// adoptSecret uses the secret that is in Redis from now on; where there is none,
// offered is put there first.
func (t *SharedTokens) adoptSecret(ctx context.Context, offered string) error {
	t.calls.Add(1)
	reply, err := t.conn.Run(ctx, secretScript, secretKey, offered)
	if err != nil {
		return fmt.Errorf("%w: %w", errAway, err)
	}
	secret, _ := reply.(string)
	if secret == "" {
		return fmt.Errorf("%w: %s is answered %T", errAway, secretKey, reply)
	}
	if names := t.names.Load(); names == nil || names.secret != secret {
		t.names.Store(&bucketNames{secret, newKeyHasher([]byte(secret))})
	}
	return nil
}

// maintainSecret puts the secret back after Redis lost it, or adopts the one that
// another gateway has put there meanwhile. Until all have done so, a second at most,
// gateways do not share their buckets.
func (t *SharedTokens) maintainSecret(now int64) {
	names := t.names.Load()
	if names == nil || t.awayUntil.Load() > now {
		return // no limit is shared, or Redis is away
	}
	ctx, cancel := context.WithTimeout(context.Background(), callWait)
	defer cancel()
	_ = t.adoptSecret(ctx, names.secret) // after an error: again in a second
}

// sweepShared drops batches that have neither tokens nor the time of the next one.
func (l *Limiter) sweepShared(now int64) {
	for key, b := range l.batches.Range {
		b.mu.Lock()
		if now > b.expires+int64(sweepEvery) && now > b.emptyUntil {
			// A request that waits for this lock still takes from the dropped batch: what
			// it fetches is counted in Redis all the same.
			l.batches.Delete(key)
		}
		b.mu.Unlock()
	}
}
