package auth

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"hash"
	randv2 "math/rand/v2"
	"runtime"
	"sync"
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
	// badFor is the time for which a bad token is remembered.
	badFor = 5 * time.Second
	// One part in badShare of the cache's size is for bad tokens, so that a flood of
	// them cannot push out good ones.
	badShare = 16
	// mostWaiting is the most tokens that wait at a time, for a slot or for keys that
	// are fetched: each holds its request (contract 9.6). One Verifier may have
	// half of them.
	mostWaiting = 2048
	// overhead is the most memory of an entry beside its texts, in bytes. A test
	// measures it.
	overhead = 640
)

// SharedConfig sizes a Shared. Zero values mean the defaults.
type SharedConfig struct {
	// CacheBytes bounds the memory of the remembered tokens, in bytes.
	CacheBytes int64
	// Slots is the number of public-key signatures checked at a time. Default:
	// GOMAXPROCS.
	Slots int
	// Wait is the longest wait of a token for a slot, after which it is refused
	// (ErrBusy).
	Wait time.Duration
}

// Shared is the state of all Verifiers of a process: the verified tokens, the slots
// for expensive signatures, and the times of keys' last uses. It lives
// over reloads, has no goroutines and needs no closing.
type Shared struct {
	good, bad *otter.Cache[cacheKey, *verdict] // nil: nothing is remembered
	hashes    [32]tokenHash                    // with one secret; many can hash at a time
	slots     chan struct{}
	wait      time.Duration
	stamps    weakmap.Map[[sha256.Size]byte, lastuse.Stamp]

	misses, badHits, busy atomic.Uint64
	waiting               atomic.Int64
}

// cacheKey is an HMAC-SHA-256 of a token and the scope it was judged in: of one
// size, whatever clients send (contract 9.7), and whole, so that no collision
// can let one in. Its secret is the process's own.
type cacheKey [sha256.Size]byte

// tokenHash has the buffers to make one cacheKey.
type tokenHash struct {
	mu   sync.Mutex // guards all
	mac  hash.Hash
	text []byte
	key  cacheKey
}

// NewShared returns a Shared with empty caches.
func NewShared(config SharedConfig) *Shared {
	s := newSlots()
	if config.Slots > 0 {
		s.slots = make(chan struct{}, config.Slots)
	}
	s.wait = cmp.Or(config.Wait, DefaultWait)
	secret := make([]byte, sha256.Size)
	_, _ = rand.Read(secret) // it never fails
	for i := range s.hashes {
		s.hashes[i].mac = hmac.New(sha256.New, secret)
	}
	s.good, s.bad = newCache(), newCache()
	s.Resize(config.CacheBytes)
	return s
}

// Resize sets how much memory the judged tokens may take, in bytes; 0 means
// DefaultCacheBytes. What is beyond that is forgotten.
func (s *Shared) Resize(bytes int64) {
	size := uint64(cmp.Or(max(bytes, 0), DefaultCacheBytes))
	s.bad.SetMaximum(size / badShare)
	s.good.SetMaximum(size - size/badShare)
}

// newSlots returns a Shared that remembers nothing.
func newSlots() *Shared {
	return &Shared{slots: make(chan struct{}, runtime.GOMAXPROCS(0)), wait: DefaultWait}
}

func newCache() *otter.Cache[cacheKey, *verdict] {
	return otter.Must(&otter.Options[cacheKey, *verdict]{
		MaximumWeight: DefaultCacheBytes,
		Weigher: func(_ cacheKey, v *verdict) uint32 {
			texts := len(v.claims.Issuer) + len(v.claims.Subject) + len(v.claims.Role) + len(v.claims.KeyID)
			return uint32(overhead + texts + texts/8) // allocations are rounded up by an eighth at most
		},
		// Upkeep runs where it arises, or there would be goroutines to wait for.
		Executor:      func(task func()) { task() },
		StatsRecorder: stats.NewCounter(),
	})
}

// key returns what stands for a token in a scope. It does not allocate.
func (s *Shared) key(scope unique.Handle[[sha256.Size]byte], token string) cacheKey {
	h := &s.hashes[randv2.IntN(len(s.hashes))] // #nosec G404 -- spreads load, guards nothing
	h.mu.Lock()
	defer h.mu.Unlock()
	sum := scope.Value()
	h.text = append(append(h.text[:0], sum[:]...), token...)
	h.mac.Reset()
	h.mac.Write(h.text)
	h.mac.Sum(h.key[:0])
	return h.key
}

// recall returns what is known about a token in a scope, nil if nothing is.
func (s *Shared) recall(scope unique.Handle[[sha256.Size]byte], token string, now time.Time) *verdict {
	if s.good == nil || len(token) > maxCached {
		return nil
	}
	key := s.key(scope, token)
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
	key := s.key(scope, token)
	if found.final != nil || found.rule != nil || inTime(found.expires, found.notBefore, leeway, now) != nil {
		found.until = now.Add(badFor)
		s.bad.Set(key, found)
		return
	}
	s.good.Set(key, found)
}

// slots are one Verifier's part of the shared ones.
type slots struct {
	free    chan struct{} // holds one for each that is taken
	waiting atomic.Int64  // tokens that wait for one, of these or the shared ones, or for keys
}

func newSlotsOf(n int) *slots { return &slots{free: make(chan struct{}, n)} }

// acquire takes a slot, first of those of one Verifier and then of all. It reports
// false when there was none for too long, or too many wait already.
func (s *Shared) acquire(own *slots) bool {
	var timeout <-chan time.Time
	for _, slots := range [...]chan struct{}{own.free, s.slots} {
		select {
		case slots <- struct{}{}:
			continue
		default:
		}
		if timeout == nil {
			if !s.enter(own) {
				return s.refuse(own, slots)
			}
			defer s.leave(own)
			timer := time.NewTimer(s.wait)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case slots <- struct{}{}:
		case <-timeout:
			return s.refuse(own, slots)
		}
	}
	return true
}

// enter counts a token in that waits for a slot or for keys, unless too many do.
func (s *Shared) enter(own *slots) bool {
	all, ours := s.waiting.Add(1), own.waiting.Add(1)
	if all > mostWaiting || ours > mostWaiting/2 {
		s.leave(own)
		return false
	}
	return true
}

func (s *Shared) leave(own *slots) {
	own.waiting.Add(-1)
	s.waiting.Add(-1)
}

// refuse counts a token that got none of the slots, and gives back what it had
// before.
func (s *Shared) refuse(own *slots, slots chan struct{}) bool {
	if slots == s.slots {
		<-own.free
	}
	s.busy.Add(1)
	return false
}

// release gives back what acquire took.
func (s *Shared) release(own *slots) {
	<-s.slots
	<-own.free
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
	// Entries and Weight are the number of remembered tokens and how many bytes they
	// take at most; Most is how many they may take.
	Entries      int
	Weight, Most uint64
	// Waiting is how many tokens wait for a slot or for keys; Busy how many were
	// refused because they found none, or too many waited (ErrBusy).
	Waiting int64
	Busy    uint64
}

// Stats returns the counts.
func (s *Shared) Stats() Stats {
	all := Stats{
		BadHits: s.badHits.Load(),
		Misses:  s.misses.Load(),
		Waiting: s.waiting.Load(),
		Busy:    s.busy.Load(),
	}
	if s.good != nil {
		all.Hits = s.good.Stats().Hits
		all.Entries = s.good.EstimatedSize() + s.bad.EstimatedSize()
		all.Weight = s.good.WeightedSize() + s.bad.WeightedSize()
		all.Most = s.good.GetMaximum() + s.bad.GetMaximum()
	}
	return all
}
