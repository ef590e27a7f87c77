package jwks

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Remote is a set in a file or behind a URL. It serves the last good one for as
// long as no newer one can be had (contract 3.14), and is safe for concurrent use.
// It is fetched again by its use: an unused set is never fetched.
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

// state is the result of the fetches so far; it is immutable.
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
// starts a fetch if one is due. overdue is true if the set is so old, for
// want of users, that Current would wait for a newer one.
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
