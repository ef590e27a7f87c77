package jwks

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/edgegate/edgegate/routing/auth/internal/weakmap"
)

// The defaults of PoolConfig.
const (
	DefaultInterval     = 5 * time.Minute
	DefaultFileInterval = 5 * time.Second
	DefaultSeekInterval = 10 * time.Second // contract 3.14
	DefaultTimeout      = 5 * time.Second
)

// prefetches is the number of sets fetched at a time at start.
const prefetches = 8

// PoolConfig sets how sets are kept fresh. Zero values mean the defaults.
type PoolConfig struct {
	// Interval is the age from which on a set from a URL is fetched anew in the
	// background, give or take a tenth. Failed fetches are repeated after
	// SeekInterval, then twice that and so on, up to Interval.
	Interval time.Duration
	// FileInterval is the same for files.
	FileInterval time.Duration
	// SeekInterval is the least time between two fetches that tokens with unknown
	// keys cause, and between two failed fetches of a set that was never had.
	SeekInterval time.Duration
	// Timeout bounds a fetch.
	Timeout time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time

	random func() float64 // from 0 to 1
}

func (c PoolConfig) withDefaults() PoolConfig {
	c.Interval = cmp.Or(c.Interval, DefaultInterval)
	c.FileInterval = cmp.Or(c.FileInterval, DefaultFileInterval)
	c.SeekInterval = cmp.Or(c.SeekInterval, DefaultSeekInterval)
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.random == nil {
		c.random = rand.Float64
	}
	return c
}

// Pool shares Remotes between projects and between configurations. It keeps none
// alive: one vanishes with its last user. It is safe for concurrent use.
type Pool struct {
	config  PoolConfig
	remotes weakmap.Map[string, Remote]
}

// NewPool returns an empty Pool.
func NewPool(config PoolConfig) *Pool { return &Pool{config: config.withDefaults()} }

// Get returns the one living Remote of the place that f fetches from. Nothing is
// fetched yet.
func (p *Pool) Get(f Fetcher) *Remote {
	identity := fmt.Sprintf("%T %s", f, f.Location())
	if i, ok := f.(identified); ok {
		identity = i.identity()
	}
	return p.remotes.Get(identity, func() *Remote {
		r := &Remote{fetcher: f, config: p.config, interval: p.config.Interval}
		if _, ok := f.(*fileFetcher); ok {
			r.interval = p.config.FileInterval
		}
		r.state.Store(&state{})
		return r
	})
}

// Prefetch fetches what was never fetched, eight at a time, and returns when it
// tried all or ctx ended. What fails is in Status, and is tried again by its use.
func (p *Pool) Prefetch(ctx context.Context) {
	var group sync.WaitGroup
	slots := make(chan struct{}, prefetches)
	for _, remote := range p.remotes.Values() {
		if remote.Set() != nil {
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		group.Go(func() {
			remote.Current(ctx)
			<-slots
		})
	}
	group.Wait()
}

// PoolStatus is the state of the sets in use.
type PoolStatus struct {
	// Sets is their number, Failing that of those whose last fetch failed.
	Sets    int `json:"sets"`
	Failing int `json:"failing"`
	// OldestAge is the age of the oldest of the last good sets; 0 if there is none.
	OldestAge time.Duration `json:"oldest_age"`
	// Remotes are all of them, by location.
	Remotes []RemoteStatus `json:"remotes"`
}

// RemoteStatus is the state of one set.
type RemoteStatus struct {
	// Location is without credentials and query.
	Location string `json:"location"`
	// FetchedAt is when the last good set came; zero before any.
	FetchedAt time.Time `json:"fetched_at,omitzero"`
	// Keys is the number of its usable keys.
	Keys int `json:"keys"`
	// Error is the error of the last fetch; empty if it succeeded.
	Error string `json:"error,omitempty"`
	// Remarks are those of Parse about the last good set.
	Remarks []string `json:"remarks,omitempty"`
}

// Status returns the state of the sets in use. It fetches nothing.
func (p *Pool) Status() PoolStatus {
	var status PoolStatus
	now := p.config.Now()
	for _, remote := range p.remotes.Values() {
		one := remote.Status()
		status.Sets++
		if one.Error != "" {
			status.Failing++
		}
		if !one.FetchedAt.IsZero() {
			status.OldestAge = max(status.OldestAge, now.Sub(one.FetchedAt))
		}
		status.Remotes = append(status.Remotes, one)
	}
	slices.SortFunc(status.Remotes, func(a, b RemoteStatus) int { return cmp.Compare(a.Location, b.Location) })
	return status
}

// Status returns the state of the set. It fetches nothing.
func (r *Remote) Status() RemoteStatus {
	s := r.state.Load()
	status := RemoteStatus{
		Location:  r.Location(),
		FetchedAt: s.fetchedAt,
		Keys:      s.set.Len(),
		Remarks:   s.remarks,
	}
	if s.err != nil {
		status.Error = s.err.Error()
	}
	return status
}
