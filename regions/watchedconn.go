package regions

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// watchedConn is a connection to a backend that records the function that used it
// last, and reports that function to suspects if the connection ends early.
type watchedConn struct {
	net.Conn
	suspects *suspects

	mu     sync.Mutex // guards the fields below
	callee Callee     // of the last request
	used   bool       // there was a request
	uses   int        // how many requests
	heard  time.Time  // when the last request began, or the last part of an answer came
	unused time.Time  // when it became unused; zero while in use
	ended  bool       // its end was read
}

// connUse is one request's use of a connection.
type connUse struct {
	conn   *watchedConn
	number int
}

// use records that a request begins.
func (c *watchedConn) use(now time.Time, callee Callee) *connUse {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.callee, c.used, c.heard, c.unused = callee, true, now, time.Time{}
	c.uses++
	return &connUse{c, c.uses}
}

// end records that the answer was read to its end and the connection is unused,
// unless the next request has begun already.
func (u *connUse) end(now time.Time) {
	c := u.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.uses == u.number {
		c.unused = now
	}
}

// Close implements net.Conn. net/http closes an unused connection on which bytes
// followed the answer; they may have been read together with it, so an early close
// makes the function a suspect.
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

// watched returns the watchedConn of a connection, below TLS if need be.
func watched(conn net.Conn) (*watchedConn, bool) {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	w, ok := conn.(*watchedConn)
	return w, ok
}
