package regions

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// A function's requests have connections of their own for suspectFirst after
	// one that it had used ended early, and for suspectAgain if that happens again
	// within suspectAgain.
	suspectFirst = 5 * time.Second
	suspectAgain = time.Minute
	// suspectSurplus is for how long after more was sent than the answer: the next
	// request on the connection, of whoever, would take it for its own.
	suspectSurplus = time.Hour
	// sameEnd is how far apart the ends of connections are that count as one: a
	// backend that is restarted ends all at once.
	sameEnd = time.Second
	// earlyEnd is how soon after a request or a part of its answer an end is early.
	// Servers that are tired of an unused connection wait longer.
	earlyEnd = time.Second
	// maxSuspects bounds how many are remembered.
	maxSuspects = 4096
)

// suspects are the functions that used connections last which ended early, or
// that ran over connections of HTTP/2 when those broke. One that makes its
// connections end would take requests of others with it, which find the
// connection among the unused ones or share it: it does so once, and then has its
// own. The zero value has none. It is safe for concurrent use.
type suspects struct {
	some atomic.Bool

	mu   sync.Mutex // guards seen
	seen map[Callee]suspect
}

type suspect struct{ last, until time.Time }

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
		s.seen[callee] = suspect{now, later(old.until, now.Add(suspectAgain))}
	default:
		if len(s.seen) >= maxSuspects {
			maps.DeleteFunc(s.seen, func(_ Callee, one suspect) bool {
				return now.Sub(one.last) > suspectAgain && !now.Before(one.until)
			})
		}
		if again || len(s.seen) < maxSuspects {
			s.seen[callee] = suspect{now, now.Add(suspectFirst)}
		}
	}
	s.some.Store(true)
}

// addSurplus is add for a function that sends more than its answer.
func (s *suspects) addSurplus(now time.Time, callee Callee) {
	s.add(now, callee)
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.seen[callee]; ok {
		s.seen[callee] = suspect{old.last, now.Add(suspectSurplus)}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// has reports whether the function's requests have connections of their own now.
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
