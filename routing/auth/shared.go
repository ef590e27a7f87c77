package auth

import (
	"cmp"
	"crypto/sha256"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
	"unique"

	"github.com/maypok86/otter/v2"
	"github.com/maypok86/otter/v2/stats"

	"github.com/edgegate/edgegate/routing/auth/internal/lastuse"
	"github.com/edgegate/edgegate/routing/auth/internal/weakmap"
)

// The defaults of SharedConfig.
const (
	DefaultCacheBytes = 64 << 20
	DefaultWait       = time.Second
)

const (
	// maxCached is the longest token that is remembered, in bytes.
	maxCached = 8 << 10
	// badFor is how long a bad token is remembered.
	badFor = 5 * time.Second
	// badShare is which part of the cache's size bad tokens have to themselves: a
	// flood of them cannot push out good ones.
	badShare = 16
	// overhead is about what an entry takes beside its texts, in bytes.
	overhead = 512
)

// SharedConfig sizes a Shared. Zero values mean the defaults.
type SharedConfig struct {
	// CacheBytes is about how much memory the verified tokens may take.
	CacheBytes int64
	// Slots is how many signatures by public keys are checked at a time. Default:
	// GOMAXPROCS.
	Slots int
	// Wait is how long a token waits for a slot before it is refused (ErrBusy).
	Wait time.Duration
}

// Shared is what all Verifiers of a process have in common: the verified tokens,
// the slots for expensive signatures, and the times of keys' last uses. It lives
// over reloads, has no goroutines and needs no closing.
type Shared struct {
	good, bad *otter.Cache[cacheKey, *verdict] // nil: nothing is remembered
	slots     chan struct{}
	wait      time.Duration
	stamps    weakmap.Map[[sha256.Size]byte, lastuse.Stamp]

	misses, badHits, busy atomic.Uint64
	waiting               atomic.Int64
}

// cacheKey has the whole token, so that no collision can let one in, and the
// scope it was judged in.
type cacheKey struct {
	scope unique.Handle[[sha256.Size]byte]
	token string
}

// NewShared returns a Shared with empty caches.
func NewShared(config SharedConfig) *Shared {
	s := newSlots()
	if config.Slots > 0 {
		s.slots = make(chan struct{}, config.Slots)
	}
	s.wait = cmp.Or(config.Wait, DefaultWait)
	size := uint64(cmp.Or(max(config.CacheBytes, 0), DefaultCacheBytes))
	s.good, s.bad = newCache(size), newCache(max(size/badShare, 1))
	return s
}

// newSlots returns a Shared that remembers nothing.
func newSlots() *Shared {
	return &Shared{slots: make(chan struct{}, runtime.GOMAXPROCS(0)), wait: DefaultWait}
}

func newCache(size uint64) *otter.Cache[cacheKey, *verdict] {
	return otter.Must(&otter.Options[cacheKey, *verdict]{
		MaximumWeight: size,
		Weigher: func(key cacheKey, v *verdict) uint32 {
			return uint32(overhead + len(key.token) + len(v.claims.Issuer) + len(v.claims.Subject) + len(v.claims.Role))
		},
		// Upkeep runs where it arises, or there would be goroutines to wait for.
		Executor:      func(task func()) { task() },
		StatsRecorder: stats.NewCounter(),
	})
}

// recall returns what is known about a token in a scope, nil if nothing is.
func (s *Shared) recall(scope unique.Handle[[sha256.Size]byte], token string, now time.Time) *verdict {
	if s.good == nil || len(token) > maxCached {
		return nil
	}
	key := cacheKey{scope: scope, token: token}
	if known, ok := s.good.GetIfPresent(key); ok {
		return known
	}
	// A clock that was set back must not keep a bad token for longer.
	if known, ok := s.bad.GetIfPresent(key); ok && now.Before(known.until) && known.until.Sub(now) <= badFor {
		s.badHits.Add(1)
		return known
	}
	return nil
}

// remember keeps what was found about a token in a scope.
func (s *Shared) remember(scope unique.Handle[[sha256.Size]byte], token string, found *verdict, leeway time.Duration, now time.Time) {
	if s.good == nil || len(token) > maxCached {
		return
	}
	s.misses.Add(1)
	// Cloned, or the entry might keep a whole request alive.
	key := cacheKey{scope: scope, token: strings.Clone(token)}
	if found.final != nil || found.rule != nil || inTime(found.expires, found.notBefore, leeway, now) != nil {
		found.until = now.Add(badFor)
		s.bad.Set(key, found)
		return
	}
	s.good.Set(key, found)
}

// acquire takes a slot, first of those of one Verifier and then of all. It reports
// false when there was none for too long.
func (s *Shared) acquire(own chan struct{}) bool {
	var timeout <-chan time.Time
	for _, slots := range [...]chan struct{}{own, s.slots} {
		select {
		case slots <- struct{}{}:
			continue
		default:
		}
		if timeout == nil {
			timer := time.NewTimer(s.wait)
			defer timer.Stop()
			timeout = timer.C
			s.waiting.Add(1)
			defer s.waiting.Add(-1)
		}
		select {
		case slots <- struct{}{}:
		case <-timeout:
			if slots == s.slots {
				<-own
			}
			s.busy.Add(1)
			return false
		}
	}
	return true
}

// release gives back what acquire took.
func (s *Shared) release(own chan struct{}) {
	<-s.slots
	<-own
}

// stamp returns the last use of a key, which configurations share that have the
// same one at the same time.
func (s *Shared) stamp(kind string, sum [sha256.Size]byte) *lastuse.Stamp {
	id := sha256.Sum256(append([]byte(kind), sum[:]...))
	return s.stamps.Get(id, func() *lastuse.Stamp { return new(lastuse.Stamp) })
}

// Stats are counts since the start of the process, and sizes of now.
type Stats struct {
	// Hits are tokens that were remembered as good, BadHits as bad; Misses are
	// those that had to be verified and could be remembered.
	Hits, BadHits, Misses uint64
	// Entries and Weight are the number of remembered tokens and about how many
	// bytes they take.
	Entries int
	Weight  uint64
	// Waiting is how many tokens wait for a slot; Busy how many were refused
	// because they found none (ErrBusy).
	Waiting int64
	Busy    uint64
}

// Stats returns the counts.
func (s *Shared) Stats() Stats {
	all := Stats{BadHits: s.badHits.Load(), Misses: s.misses.Load(), Waiting: s.waiting.Load(), Busy: s.busy.Load()}
	if s.good != nil {
		all.Hits = s.good.Stats().Hits
		all.Entries = s.good.EstimatedSize() + s.bad.EstimatedSize()
		all.Weight = s.good.WeightedSize() + s.bad.WeightedSize()
	}
	return all
}
