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

// callWait bounds one call of Redis.
const callWait = 250 * time.Millisecond

var errAway = errors.New("the store of shared rate limits is away")

// secretKey is where the fleet's secret lies.
const secretKey = "gw:secret"

const (
	// tokenLife is for how long a gateway may hand out tokens that it has fetched:
	// in any window W at most burst + rate x (W + tokenLife) requests pass.
	tokenLife = 50 * time.Millisecond
	// awayFor is how long nobody asks a Redis that did not answer.
	awayFor = time.Second
)

// Tokens are the buckets of shared limits in Redis.
type Tokens struct {
	conn    *redisconn.Conn
	holders func() int
	away    atomic.Int64 // until when it is not asked, by the limiter's clock; 0: it answers
	calls   atomic.Uint64

	// The names of buckets in Redis are hashed with a secret that lies there too:
	// the first gateway's (contract 9.7).
	offered string                     // this gateway's secret, where there is none
	names   atomic.Pointer[fleetNames] // nil until a bucket is asked for
}

// fleetNames are the names of buckets with one secret.
type fleetNames struct {
	secret string
	hasher *keyHasher
}

// NewTokens returns the buckets in a Redis; holders returns how many gateways
// there are.
func NewTokens(conn *redisconn.Conn, holders func() int) *Tokens {
	return &Tokens{conn: conn, holders: holders, offered: rand.Text()}
}

// Calls returns how many commands were sent.
func (t *Tokens) Calls() uint64 { return t.calls.Load() }

// Share has limits that are not local taken from t; nil has each gateway limit
// by itself.
func (l *Limiter) Share(t *Tokens) { l.tokens.Store(t) }

// advance are tokens that were fetched of one bucket.
type advance struct {
	mu      sync.Mutex // guards all
	left    int64
	until   int64 // when those left are no longer good
	nothing int64 // until when there are none
	reset   int64 // when the bucket is full
	free    int64 // that were left in the bucket
}

// giveBack implements giver.
func (a *advance) giveBack(int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left++
}

// takeShared takes a token that was fetched, or fetches some. Where Redis is
// away each gateway has its part of the limit.
func (l *Limiter) takeShared(t *Tokens, rate *Limit, key *Key, id bucketID, now int64) (State, giver) {
	a, ok := l.advance.Load(id)
	if !ok {
		if l.bytes()+advanceBytes > l.most.Load() {
			return l.takePart(t, rate, id, now)
		}
		a, _ = l.advance.LoadOrStore(id, new(advance))
	}
	if t.away.Load() == 0 {
		a.mu.Lock()
	} else if !a.mu.TryLock() { // one waits to find out, not all
		return l.takePart(t, rate, id, now)
	}
	defer a.mu.Unlock()
	if now > a.until {
		a.left = 0
	}
	if a.left <= 0 {
		if now < a.nothing {
			return a.state(now, time.Duration(a.nothing-now)), nil
		}
		if !t.mayAsk(now) {
			return l.takePart(t, rate, id, now)
		}
		if err := t.fetch(rate, key, a, l.since); err != nil {
			t.away.Store(l.since() + int64(awayFor))
			return l.takePart(t, rate, id, now)
		}
		t.away.Store(0)
		if a.left <= 0 {
			return a.state(now, time.Duration(max(1, a.nothing-now))), nil
		}
	}
	a.left--
	return a.state(now, 0), a
}

// mayAsk reports whether Redis is to be asked: by everybody while it answers, or
// else by one from time to time.
func (t *Tokens) mayAsk(now int64) bool {
	away := t.away.Load()
	return away == 0 || now >= away && t.away.CompareAndSwap(away, now+int64(awayFor))
}

func (a *advance) state(now int64, retry time.Duration) State {
	return State{Remaining: a.left + a.free, Reset: time.Duration(max(0, a.reset-now)), Retry: retry}
}

// takePart takes a token of the part of a limit that a gateway has by itself.
func (l *Limiter) takePart(t *Tokens, rate *Limit, id bucketID, now int64) (State, giver) {
	n := int64(max(1, t.holders()))
	part := *rate
	part.interval *= n
	part.capacity = max(part.interval, rate.capacity)
	state, b := l.take(&part, id, now)
	if b == nil {
		return state, nil
	}
	return state, b
}

// fetch gets tokens of a bucket. The caller holds a's lock.
func (t *Tokens) fetch(rate *Limit, key *Key, a *advance, clock func() int64) error {
	want := int64(1)
	if rate.Mode == Shared {
		want = max(1, int64(tokenLife)/rate.interval/int64(max(1, t.holders())))
	}
	ctx, cancel := context.WithTimeout(context.Background(), callWait)
	defer cancel()
	if t.names.Load() == nil {
		if err := t.agree(ctx, t.offered); err != nil {
			return err
		}
	}
	t.calls.Add(1)
	reply, err := t.conn.Run(ctx, rateScript, t.names.Load().of(key), float64(rate.interval)/1000, float64(rate.capacity)/1000, want)
	if err != nil {
		return fmt.Errorf("%w: %w", errAway, err)
	}
	list, _ := reply.([]any)
	var numbers [4]int64
	for i := range numbers {
		if i < len(list) {
			numbers[i], _ = list[i].(int64)
		}
	}
	if len(list) != len(numbers) {
		return fmt.Errorf("%w: a bucket was answered %v", errAway, reply)
	}
	now := clock()
	a.left, a.until = numbers[0], now+int64(tokenLife)
	a.nothing = now + numbers[1]*int64(time.Microsecond)
	a.reset = now + numbers[2]*int64(time.Microsecond)
	a.free = numbers[3]
	return nil
}

// of returns the name of a bucket. It tells nobody whose it is: subjects and
// addresses are not for those who see names alone, in slow logs and dumps.
func (n *fleetNames) of(key *Key) string {
	return fmt.Sprintf("gw:{q:%02d}:r:%x", metering.Shard(key.Project), n.hasher.id(key))
}

// agree takes over the fleet's secret; where there is none it becomes offered.
func (t *Tokens) agree(ctx context.Context, offered string) error {
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
		t.names.Store(&fleetNames{secret, newKeyHasher([]byte(secret))})
	}
	return nil
}

// keepSecret puts the fleet's secret back after Redis lost it, or takes over the
// one that another gateway has put there: for a second, limits are not shared
// then.
func (t *Tokens) keepSecret(now int64) {
	names := t.names.Load()
	if names == nil || t.away.Load() > now {
		return // nothing is shared, or nobody answers
	}
	ctx, cancel := context.WithTimeout(context.Background(), callWait)
	defer cancel()
	_ = t.agree(ctx, names.secret) // or in a second
}

// sweepShared drops what says nothing any more.
func (l *Limiter) sweepShared(now int64) {
	for key, a := range l.advance.Range {
		a.mu.Lock()
		if now > a.until+int64(sweepEvery) && now > a.nothing {
			// Whoever waits for the lock takes from it once more: what it fetches is
			// counted in Redis.
			l.advance.Delete(key)
		}
		a.mu.Unlock()
	}
}
