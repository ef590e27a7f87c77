package jwks

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Remote is a set that lies elsewhere. It serves the last good one for as long
// as no newer one can be had (contract 3.14), and is safe for concurrent use.
// It is refreshed by its use: what nobody asks for is never fetched.
type Remote struct {
	fetcher  Fetcher
	config   PoolConfig // with its defaults
	interval time.Duration

	state atomic.Pointer[state]
	begun atomic.Uint64 // how many fetches were begun; changed under mu

	mu sync.Mutex // guards flight and sought, and orders the changes of state
	// flight is closed when the fetch that is under way ends; nil without one.
	flight chan struct{}
	// sought is when a fetch was last made for a key that the set did not have.
	sought time.Time
}

// state is what is known after a fetch; it is immutable.
type state struct {
	set       *Set      // the last good one; nil before any
	fetchedAt time.Time // when set was last confirmed
	remarks   []string  // of set, from Parse
	number    uint64    // of the last fetch
	triedAt   time.Time // when it began
	refreshAt time.Time // from when on a use starts the next one
	waitAt    time.Time // from when on a user waits for it
	failures  int       // since the last good one
	err       error     // why the last fetch failed
}

// Location says where the set lies, without credentials and query.
func (r *Remote) Location() string { return r.fetcher.Location() }

// Set returns the last good set, nil before any. It fetches nothing.
func (r *Remote) Set() *Set { return r.state.Load().set }

// Poll returns the last good set for a user who cannot wait, nil before any, and
// starts a fetch if one is due. overdue says that the set is so old, for want of
// users, that Current would wait for a newer one.
func (r *Remote) Poll() (set *Set, overdue bool) {
	s := r.state.Load()
	now := r.config.Now()
	if now.Before(s.refreshAt) {
		return s.set, false
	}
	r.start(r.due)
	return s.set, !now.Before(s.waitAt)
}

// Current returns the set to judge by, nil if none could ever be had. It waits,
// no longer than ctx, if none was fetched yet, or if the last one is older than
// twice the interval because nobody used it; else it starts what is due in the
// background.
func (r *Remote) Current(ctx context.Context) *Set {
	s := r.state.Load()
	now := r.config.Now()
	if now.Before(s.refreshAt) {
		return s.set
	}
	flight := r.start(r.due)
	if !now.Before(s.waitAt) {
		wait(ctx, flight)
	}
	return r.Set()
}

// Begun returns how many fetches were begun. Who asks before it looks for a key
// can tell Seek which fetches are too old to have it.
func (r *Remote) Begun() uint64 { return r.begun.Load() }

// Seek returns the set to judge by after have lacked the key of a token, which
// was received when Begun was since. It waits for a fetch, no longer than ctx: one
// that is under way, or a new one, at most one in the seek interval, so that
// tokens with invented keys do not multiply at the set's server.
func (r *Remote) Seek(ctx context.Context, have *Set, since uint64) *Set {
	r.mu.Lock()
	flight := r.flight
	r.mu.Unlock()
	wait(ctx, flight)
	if set := r.Set(); set != have {
		return set
	}
	wait(ctx, r.start(func(now time.Time) bool { return r.seekable(now, since) }))
	return r.Set()
}

// Ready waits until the set was fetched once, no longer than ctx, and returns
// why it could not be. It is for starts and tools; requests use Current.
func (r *Remote) Ready(ctx context.Context) error {
	if r.Current(ctx) != nil {
		return nil
	}
	if err := r.state.Load().err; err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.New("it was not fetched yet")
}

// due says whether the time has come for a fetch. It is asked again under the
// lock, since others may have fetched meanwhile.
func (r *Remote) due(now time.Time) bool { return !now.Before(r.state.Load().refreshAt) }

// seekable says whether a missing key is worth a fetch now: not when one began
// after the token came, nor soon after the last that was made for that reason or
// that failed.
func (r *Remote) seekable(now time.Time, since uint64) bool {
	s := r.state.Load()
	if s.number > since {
		return false
	}
	if s.failures > 0 && now.Sub(s.triedAt) < r.config.SeekInterval {
		return false
	}
	if !r.sought.IsZero() && now.Sub(r.sought) < r.config.SeekInterval {
		return false
	}
	r.sought = now
	return true
}

// start begins a fetch if wanted, unless one is under way. It returns what is
// closed at its end, nil without a fetch.
func (r *Remote) start(wanted func(now time.Time) bool) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flight != nil {
		return r.flight
	}
	if !wanted(r.config.Now()) {
		return nil
	}
	flight := make(chan struct{})
	r.flight = flight
	go r.fetch(flight, r.begun.Add(1))
	return flight
}

// wait waits for the end of a flight or of ctx.
func wait(ctx context.Context, flight <-chan struct{}) {
	if flight == nil {
		return
	}
	select {
	case <-flight:
	case <-ctx.Done():
	}
}

// fetch asks for the set once and notes what came of it. It runs in its own
// goroutine: the waiting may give up, the fetch serves those who come later.
func (r *Remote) fetch(flight chan struct{}, number uint64) {
	triedAt := r.config.Now()
	timeout := fmt.Errorf("it took longer than %s", r.config.Timeout)
	ctx, cancel := context.WithTimeoutCause(context.Background(), r.config.Timeout, timeout)
	defer cancel()
	var set *Set
	var remarks []string
	data, err := r.fetcher.Fetch(ctx)
	if err == nil {
		set, remarks, err = Parse(data)
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.config.Now()
	next := *r.state.Load()
	next.number, next.triedAt = number, triedAt
	if err != nil {
		next.failures++
		next.err = err
		next.refreshAt = now.Add(r.backoff(next.set == nil, next.failures))
		// Who has an old set does not wait for a server that is down.
		next.waitAt = next.refreshAt.Add(distant)
		if next.set == nil {
			next.waitAt = next.refreshAt
		}
	} else {
		next = state{
			set:       set.continuing(next.set),
			fetchedAt: now,
			remarks:   remarks,
			number:    number,
			triedAt:   triedAt,
			refreshAt: now.Add(r.jitter(r.interval)),
			waitAt:    now.Add(2 * r.interval),
		}
	}
	r.state.Store(&next)
	r.flight = nil
	close(flight)
}

// distant is longer than any process lives.
const distant = 100 * 365 * 24 * time.Hour

// backoff is how long to leave a failing server alone. Without any set, tokens
// are refused meanwhile: then it does not grow.
func (r *Remote) backoff(never bool, failures int) time.Duration {
	pause := r.config.SeekInterval
	if never {
		return pause
	}
	longest := max(pause, r.interval)
	for i := 1; i < failures && pause < longest; i++ {
		pause *= 2
	}
	return r.jitter(min(pause, longest))
}

// jitter spreads d by a tenth to both sides, or all gateways would ask at once.
func (r *Remote) jitter(d time.Duration) time.Duration {
	return d + time.Duration((r.config.random()-0.5)/5*float64(d))
}
