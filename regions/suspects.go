package regions

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// suspectFor is how long a function's requests have connections of their own
	// after one of them was on a connection of HTTP/2 that broke.
	suspectFor = time.Minute
	// maxSuspects bounds how many are remembered.
	maxSuspects = 4096
)

// suspects are the functions that ran over connections of HTTP/2 when those
// broke: one of them may be why. An answer that breaks its connection takes the
// requests of others with it once, and then only its own. The zero value has
// none. It is safe for concurrent use.
type suspects struct {
	some atomic.Bool

	mu    sync.Mutex // guards until
	until map[Callee]time.Time
}

func (s *suspects) add(now time.Time, callee Callee) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.until == nil {
		s.until = make(map[Callee]time.Time)
	}
	if len(s.until) >= maxSuspects {
		maps.DeleteFunc(s.until, func(_ Callee, until time.Time) bool { return now.After(until) })
	}
	if len(s.until) < maxSuspects {
		s.until[callee] = now.Add(suspectFor)
	}
	s.some.Store(true)
}

func (s *suspects) has(now time.Time, callee Callee) bool {
	if !s.some.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	until, ok := s.until[callee]
	if ok && now.After(until) {
		delete(s.until, callee)
		s.some.Store(len(s.until) > 0)
		return false
	}
	return ok
}
