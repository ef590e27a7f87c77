package ratelimit

import (
	"context"
	_ "embed"
	"fmt"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

//go:embed rate.lua
var rateText string

var rateScript = redisconn.NewScript(rateText)

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
}

// NewTokens returns the buckets in a Redis; holders returns how many gateways
// there are.
func NewTokens(conn *redisconn.Conn, holders func() int) *Tokens {
	return &Tokens{conn: conn, holders: holders}
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
func (l *Limiter) takeShared(t *Tokens, rate *Rate, key *RateKey, now int64) (RateState, giver) {
	a, ok := l.advance.Load(*key)
	if !ok {
		if l.advance.Size() >= l.most {
			return l.takePart(t, rate, key, now)
		}
		a, _ = l.advance.LoadOrStore(*key, new(advance))
	}
	if t.away.Load() == 0 {
		a.mu.Lock()
	} else if !a.mu.TryLock() { // one waits to find out, not all
		return l.takePart(t, rate, key, now)
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
			return l.takePart(t, rate, key, now)
		}
		if err := t.fetch(rate, key, a, l.since); err != nil {
			t.away.Store(l.since() + int64(awayFor))
			return l.takePart(t, rate, key, now)
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

func (a *advance) state(now int64, retry time.Duration) RateState {
	return RateState{Remaining: a.left + a.free, Reset: time.Duration(max(0, a.reset-now)), Retry: retry}
}

// takePart takes a token of the part of a limit that a gateway has by itself.
func (l *Limiter) takePart(t *Tokens, rate *Rate, key *RateKey, now int64) (RateState, giver) {
	n := int64(max(1, t.holders()))
	part := *rate
	part.interval *= n
	part.capacity = max(part.interval, rate.capacity)
	state, b := l.take(&part, key, now)
	if b == nil {
		return state, nil
	}
	return state, b
}

// fetch gets tokens of a bucket. The caller holds a's lock.
func (t *Tokens) fetch(rate *Rate, key *RateKey, a *advance, clock func() int64) error {
	want := int64(1)
	if rate.Mode == RateShared {
		want = max(1, int64(tokenLife)/rate.interval/int64(max(1, t.holders())))
	}
	ctx, cancel := context.WithTimeout(context.Background(), callWait)
	defer cancel()
	t.calls.Add(1)
	reply, err := t.conn.Run(ctx, rateScript, tokensKey(key), float64(rate.interval)/1000, float64(rate.capacity)/1000, want)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	list, _ := reply.([]any)
	var numbers [4]int64
	for i := range numbers {
		if i < len(list) {
			numbers[i], _ = list[i].(int64)
		}
	}
	if len(list) != len(numbers) {
		return fmt.Errorf("%w: a bucket was answered %v", ErrUnavailable, reply)
	}
	now := clock()
	a.left, a.until = numbers[0], now+int64(tokenLife)
	a.nothing = now + numbers[1]*int64(time.Microsecond)
	a.reset = now + numbers[2]*int64(time.Microsecond)
	a.free = numbers[3]
	return nil
}

// tokensKey hides whose bucket it is: subjects and addresses are not for those
// who look into Redis.
func tokensKey(key *RateKey) string {
	sum := fnv.New128a()
	_, _ = fmt.Fprintf(sum, "%q %q %q %s", key.Policy, key.Project, key.Name, key.Address) // it never fails
	return fmt.Sprintf("gw:{q:%02d}:r:%x", metering.Shard(key.Project), sum.Sum(nil))
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
