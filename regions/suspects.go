package regions

import (
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"os"
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

// watchedConn is a connection to a backend that remembers who used it last.
type watchedConn struct {
	net.Conn
	suspects *suspects

	mu     sync.Mutex // guards the fields below
	callee Callee     // of the last request
	used   bool       // there was one
	uses   int        // how many
	heard  time.Time  // when it began, or a part of an answer came after that
	unused time.Time  // since when it is among the unused ones; zero while in use
	ended  bool       // its end was read
}

// connUse is one request's use of a connection.
type connUse struct {
	conn   *watchedConn
	number int
}

// use notes that a request begins.
func (c *watchedConn) use(now time.Time, callee Callee) *connUse {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.callee, c.used, c.heard, c.unused = callee, true, now, time.Time{}
	c.uses++
	return &connUse{c, c.uses}
}

// end notes that the answer was read to its end and the connection waits for
// the next request, if that has not begun yet.
func (u *connUse) end(now time.Time) {
	c := u.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.uses == u.number {
		c.unused = now
	}
}

// Close implements net.Conn. net/http closes an unused connection on which
// something came behind the answer; it may have been read together with it.
func (c *watchedConn) Close() error {
	now := time.Now()
	c.mu.Lock()
	callee, early := c.callee, !c.ended && !c.unused.IsZero() && now.Sub(c.unused) < earlyEnd
	c.ended = true
	c.mu.Unlock()
	if early {
		c.suspects.add(now, callee)
	}
	return c.Conn.Close()
}

// Read implements net.Conn.
func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		now := time.Now()
		c.mu.Lock()
		c.heard = now
		callee, surplus := c.callee, !c.unused.IsZero()
		c.mu.Unlock()
		if surplus {
			c.suspects.addSurplus(now, callee)
		}
	}
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.mu.Lock()
		callee, used, heard := c.callee, c.used, c.heard
		c.ended = true
		c.mu.Unlock()
		if now := time.Now(); used && now.Sub(heard) < earlyEnd {
			c.suspects.add(now, callee)
		}
	}
	return n, err
}

// watched returns the connection under TLS, if it is watched.
func watched(conn net.Conn) (*watchedConn, bool) {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	w, ok := conn.(*watchedConn)
	return w, ok
}
