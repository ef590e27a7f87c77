package jwks

import (
	"context"
	"fmt"
	"time"
)

// due reports whether a fetch is due. It is checked again under the lock, since
// others may have fetched meanwhile.
func (r *Remote) due(now time.Time) bool { return !now.Before(r.state.Load().refreshAt) }

// seekable reports whether a missing key is worth a fetch now: not when one began
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

// fetch fetches the set once and stores the result. It runs in its own goroutine:
// if those that wait give up, the result serves later ones.
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

// backoff returns the pause after a failed fetch. It does not grow while there is
// no set at all, since tokens are refused meanwhile.
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
