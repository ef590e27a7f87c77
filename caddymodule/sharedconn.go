package caddymodule

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// maxRecorded is how much of a request is kept, in bytes, until it is known
// that the server took it. A longer head stays with its server.
const maxRecorded = 64 << 10

const tlsHandshake = 0x16 // RFC 8446, section 5.1

// sharedConn is a client's connection. net/http drops requests that it reads
// while it shuts down, and closes connections between two requests; when that
// happens because another configuration took over, the connection goes on to
// that one, with what was read of a request that nobody began to answer.
// Connections that keep a state beside the socket, TLS and HTTP/2, stay.
type sharedConn struct {
	net.Conn
	use   *listenerUse
	early []byte // what another server read; read first, by one goroutine alone

	mu       sync.Mutex // guards the fields below
	reading  bool
	begun    bool   // a handler has the request, or an answer is on its way
	recorded []byte // what was read of a request that has not begun
	ahead    []byte // what was read beyond the request that has begun
	foreign  bool   // not HTTP/1
	seen     bool   // the first bytes were looked at
	moving   bool   // to be handed over when the pending read ends
	moved    bool
}

type sharedConnKey struct{}

// beginRequest notes that the request of ctx is being handled: it must not be
// given to another server any more.
func beginRequest(ctx context.Context) {
	if c, ok := ctx.Value(sharedConnKey{}).(*sharedConn); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.begin()
	}
}

// begin is called with c.mu held.
func (c *sharedConn) begin() {
	c.begun = true
	c.recorded = c.recorded[:0]
}

// between notes that an answer is complete and the next request is awaited.
func (c *sharedConn) between() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun = false
	c.recorded = append(c.recorded[:0], c.ahead...)
	c.ahead = c.ahead[:0]
}

// Read implements net.Conn.
func (c *sharedConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	if c.moved {
		c.mu.Unlock()
		return 0, io.EOF
	}
	c.reading = true
	c.mu.Unlock()

	n, err := c.read(p)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = false
	if n > 0 {
		c.record(p[:n], len(p))
	}
	if c.moving {
		c.handOver()
		return 0, io.EOF
	}
	return n, err
}

func (c *sharedConn) read(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// record keeps what may have to be read again by another server.
func (c *sharedConn) record(read []byte, asked int) {
	if !c.seen {
		c.seen = true
		c.foreign = read[0] == tlsHandshake || bytes.HasPrefix(read, []byte("PRI"))
	}
	switch {
	case c.foreign:
	case c.begun:
		// While a request is answered, net/http waits for one byte of the
		// next; longer reads are the request's own body.
		c.ahead = c.ahead[:0]
		if asked == 1 {
			c.ahead = append(c.ahead, read[0])
		}
	case len(c.recorded)+len(read) > maxRecorded:
		c.begin()
	default:
		c.recorded = append(c.recorded, read...)
	}
}

// Write implements net.Conn.
func (c *sharedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.moved {
		c.mu.Unlock()
		return 0, net.ErrClosed
	}
	if !c.begun {
		c.begin()
	}
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// Close implements net.Conn.
func (c *sharedConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.moved || c.moving:
		return nil
	case c.begun || c.foreign || !c.use.replaced():
		return c.Conn.Close()
	case c.reading:
		// The pending read ends with the handover.
		c.moving = true
		return c.Conn.SetReadDeadline(time.Unix(1, 0))
	}
	c.handOver()
	return nil
}

// handOver gives the socket to the server that took over; c.mu is held. For
// the old server the connection has ended.
func (c *sharedConn) handOver() {
	c.moving, c.moved = false, true
	if err := c.Conn.SetDeadline(time.Time{}); err != nil {
		_ = c.Conn.Close()
		return
	}
	early := append(bytes.Clone(c.recorded), c.early...)
	go c.use.offer(acceptance{conn: c.Conn, early: early})
}

// deadline runs set unless the connection is the other server's.
func (c *sharedConn) deadline(set func(time.Time) error, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.moved || c.moving {
		return nil
	}
	return set(t)
}

// SetDeadline implements net.Conn.
func (c *sharedConn) SetDeadline(t time.Time) error { return c.deadline(c.Conn.SetDeadline, t) }

// SetReadDeadline implements net.Conn.
func (c *sharedConn) SetReadDeadline(t time.Time) error { return c.deadline(c.Conn.SetReadDeadline, t) }

// SetWriteDeadline implements net.Conn.
func (c *sharedConn) SetWriteDeadline(t time.Time) error {
	return c.deadline(c.Conn.SetWriteDeadline, t)
}

// CloseWrite lets the server end its answer before the client ends its request.
func (c *sharedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
