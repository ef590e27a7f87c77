package rate

import "time"

// Take takes a token of the bucket of each limit and its key, and reports whether all
// had one. If a limit has none, the others get theirs back: a refused request uses
// nothing up. Limits with Shadow refuse nothing, and are asked after the others; what
// they foretell is what they would do without Shadow, so they too take all or none, and
// none of a request that is refused. limits, keys and states have one length, at most
// MaxBuckets; states gets the state of each bucket. Take waits only for Redis, with
// Shared and Strict limits, a quarter of a second at most for each call.
func (l *Limiter) Take(limits []*Limit, keys []Key, states []State) bool {
	return l.take(l.clock, limits, keys, states)
}

// take is Take with a clock. It reads the time again before it refuses, and after a wait:
// others may have taken tokens by a later time, by which the bucket has more.
func (l *Limiter) take(clock func() int64, limits []*Limit, keys []Key, states []State) bool {
	for i := range states {
		states[i] = State{Remaining: Unasked}
	}
	if !l.takeAll(clock, limits, keys, states, false) {
		l.refused.Add(1)
		return false
	}
	if !l.takeAll(clock, limits, keys, states, true) {
		l.shadowed.Add(1)
	}
	return true
}

// takeAll takes a token of all limits with or without Shadow, or of none.
func (l *Limiter) takeAll(clock func() int64, limits []*Limit, keys []Key, states []State, shadow bool) bool {
	now := clock()
	var ids [MaxBuckets]bucketID
	var taken [MaxBuckets]token
	for i, limit := range limits {
		if limit.Shadow != shadow {
			continue
		}
		ids[i] = l.hasher.id(&keys[i])
		if limit.Mode == Local || l.tokens.Load() == nil {
			continue
		}
		// A bucket in Redis that is known to be empty refuses before tokens of others are
		// fetched.
		if b, ok := l.batches.Load(ids[i]); ok {
			if state, empty := b.knownEmpty(now); empty {
				states[i] = state
				return false
			}
		}
	}
	for i, limit := range limits {
		if limit.Shadow != shadow {
			continue
		}
		states[i], taken[i] = l.takeOne(limit, &keys[i], ids[i], now, clock)
		if states[i].Retry == 0 {
			continue
		}
		for k := range taken[:i] {
			if taken[k].giveBack(clock) {
				states[k].Remaining++
				states[k].Reset = max(0, states[k].Reset-time.Duration(taken[k].interval))
			}
		}
		return false
	}
	return true
}

// token is one that was taken, of a bucket or of a batch. The zero token is none.
type token struct {
	interval int64 // between two tokens of the bucket
	bucket   *bucket

	batch *batch
	from  *SharedTokens // where the tokens of batch are from
	limit *Limit        // of batch
	key   *Key          // of batch
	at    int64         // when it was taken of batch
}

// giveBack puts a token back where it came from. It reports whether there was one.
func (t *token) giveBack(clock func() int64) bool {
	switch {
	case t.bucket != nil:
		t.bucket.giveBack(t.interval)
	case t.batch != nil:
		return t.giveBackShared(clock)
	default:
		return false
	}
	return true
}

// giveBackShared puts a token back into its batch, for the next request. One that was
// fetched by itself goes back to Redis, since a slow limit would miss it for long when
// nobody takes it in a tokenLife. Within that time it may: then no more requests pass
// than burst + rate x (W + tokenLife) in any window W.
func (t *token) giveBackShared(clock func() int64) bool {
	b := t.batch
	b.mu.Lock()
	single := b.single
	if !single {
		b.left++
	}
	b.mu.Unlock()
	if !single {
		return true
	}
	if clock()-t.at > int64(tokenLife) || t.from.awayUntil.Load() != 0 {
		return false
	}
	if _, err := t.from.move(t.limit, t.key, -1); err != nil {
		return false // the limit has a token less: rather that than one too many
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remaining++
	b.emptyUntil = 0
	return true
}

// takeOne takes a token of a limit: of a batch if gateways share it, or else of a
// bucket.
func (l *Limiter) takeOne(limit *Limit, key *Key, id bucketID, now int64, clock func() int64) (State, token) {
	if limit.Mode != Local {
		if tokens := l.tokens.Load(); tokens != nil {
			return l.takeShared(tokens, limit, key, id, clock)
		}
	}
	state, taken := l.takeOfBucket(id, now, limit.interval, limit.capacity)
	if state.Retry > 0 {
		if later := clock(); later > now {
			return l.takeOfBucket(id, later, limit.interval, limit.capacity)
		}
	}
	return state, taken
}
