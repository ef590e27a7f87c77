package regions

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// A function's requests get connections of their own for suspectFirst after a
	// connection that it had used ended early, and for suspectAgain if that happens
	// again within suspectAgain.
	suspectFirst = 5 * time.Second
	suspectAgain = time.Minute
	// suspectSurplus is the time after bytes followed the end of an answer: the
	// next request on that connection could take them for its own answer.
	suspectSurplus = time.Hour
	// Connections that end within sameEnd count as one: a backend that restarts
	// ends all of its connections at once.
	sameEnd = time.Second
	// An end within earlyEnd after a request or a part of its answer is early.
	// Servers keep unused connections open for longer.
	earlyEnd = time.Second
	// maxSuspects is the most functions that are remembered.
	maxSuspects = 4096
)

// suspects remembers functions that seem to break connections: the last users of
// connections that ended early, and those that ran over HTTP/2 connections when
// these broke. A function that breaks its connections would take requests of
// others with it, which reuse or share them. It can do so once; then its requests
// get connections of their own. The zero value has none. It is safe for concurrent
// use.
type suspects struct {
	some atomic.Bool

	mu   sync.Mutex // guards seen
	seen map[Callee]suspect
}

type suspect struct {
	last  time.Time // the last early end
	until time.Time // when its requests share connections again
}

// add records that a connection of the function ended early.
func (s *suspects) add(now time.Time, callee Callee) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = make(map[Callee]suspect)
	}
	old, again := s.seen[callee]
	switch since := now.Sub(old.last); {
	case again && since < sameEnd:
		return
	case again && since < suspectAgain:
		s.seen[callee] = suspect{last: now, until: later(old.until, now.Add(suspectAgain))}
	default:
		if len(s.seen) >= maxSuspects {
			maps.DeleteFunc(s.seen, func(_ Callee, one suspect) bool {
				return now.Sub(one.last) > suspectAgain && !now.Before(one.until)
			})
		}
		if again || len(s.seen) < maxSuspects {
			s.seen[callee] = suspect{last: now, until: now.Add(suspectFirst)}
		}
	}
	s.some.Store(true)
}

// addSurplus records that bytes followed the end of the function's answer.
func (s *suspects) addSurplus(now time.Time, callee Callee) {
	s.add(now, callee)
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.seen[callee]; ok {
		s.seen[callee] = suspect{last: old.last, until: now.Add(suspectSurplus)}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// has reports whether the function's requests get connections of their own now.
func (s *suspects) has(now time.Time, callee Callee) bool {
	if !s.some.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.seen[callee]
	if ok && now.Sub(one.last) > suspectAgain && !now.Before(one.until) {
		delete(s.seen, callee)
		s.some.Store(len(s.seen) > 0)
	}
	return ok && now.Before(one.until)
}
