package handover

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

const tlsHandshake = 0x16 // RFC 8446, section 5.1

var http2Preface = []byte("PRI") // of RFC 9113, section 3.4, what tells it from HTTP/1

// maxStray is the number of bytes of line breaks that may come before the first request
// on a connection that was handed over. Old clients send some after a body (RFC
// 9112, section 2.2), and net/http takes as many, if it read the body itself.
const maxStray = 4

// unknownLength is the rest of a body whose end is not known here.
const unknownLength = -1

// sharedConn is a client's connection. net/http drops requests that it reads
// while it shuts down, and closes connections between two requests; when that
// happens because another configuration took over, the connection goes on to
// that one, with what was read of a request that nobody began to answer.
// Connections that keep a state beside the socket, TLS and HTTP/2, stay, and so
// do those that a listener wrapper sits on: what the server does is not known.
//
// What the server holds in its own buffer cannot be handed over. So it gets no
// byte beyond the head or the body that it asks for; a body without a known
// length makes the connection blurred, until the server's buffer is empty.
type sharedConn struct {
	net.Conn
	use   *listenerUse
	early []byte // read from the socket, not yet by the server; for the reader alone
	stray int    // how many line breaks may be dropped ahead of the next byte; for the reader alone

	mu       sync.Mutex // guards the fields below
	direct   bool       // the server has this very connection
	reading  bool
	active   bool   // a head was read: what comes next is a handler's, or Close
	begun    bool   // a handler has the request, or an answer is on its way
	rest     int64  // bytes of the body still to be read, or unknownLength
	blurred  bool   // the server may hold bytes of the next request
	full     int    // how much the server asks for when its buffer is empty
	recorded []byte // what was read of a request that has not begun
	large    bool   // recorded is one of the large ones
	ahead    []byte // what was read beyond the request that has begun
	foreign  bool   // not HTTP/1
	seen     bool   // the first bytes were looked at
	moving   bool   // to be handed over when the pending read ends
	moved    bool
}

type sharedConnKey struct{}

// Begin notes that a request is being handled: it must not be given to
// another server any more.
func Begin(r *http.Request) {
	if c, ok := r.Context().Value(sharedConnKey{}).(*sharedConn); ok && r.ProtoMajor == 1 {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.begin()
		if !c.blurred {
			c.rest = r.ContentLength
		}
	}
}

// ResetOnClose has the end of the request's TCP connection reach the client as
// a reset, which no client takes for the end of an answer. It does nothing for
// connections that are not of a server passed to Keep.
func ResetOnClose(r *http.Request) {
	conn, ok := r.Context().Value(sharedConnKey{}).(*sharedConn)
	if !ok {
		return
	}
	if tcp, ok := conn.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// begin is called with c.mu held.
func (c *sharedConn) begin() {
	if !c.begun {
		c.begun, c.rest = true, unknownLength
		c.forgetHead()
	}
}

// attached notes that the server has the connection as it is.
func (c *sharedConn) attached() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.direct = true
}

// changed follows the server's view of the connection.
func (c *sharedConn) changed(state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateActive:
		// A head was read, or failed to be. The server may drop the request
		// now; if it does anything but close, a handler has it.
		c.active = true
	case http.StateIdle:
		// An answer is complete, the next request is awaited.
		c.blurred = c.blurred || c.rest > 0
		c.active, c.begun = false, false
		c.recorded = append(c.recorded[:0], c.ahead...)
		c.ahead = c.ahead[:0]
	case http.StateNew, http.StateHijacked, http.StateClosed:
	}
}

// Read implements net.Conn.
func (c *sharedConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	if c.moved {
		c.mu.Unlock()
		return 0, io.EOF
	}
	asked := len(p)
	if c.active {
		c.begin()
	}
	switch {
	case c.use.stopping() && c.movable():
		c.handOver()
		c.mu.Unlock()
		return 0, io.EOF
	case c.begun:
		if c.rest > 0 {
			p = p[:min(int64(asked), c.rest)]
		}
	case asked >= c.full:
		c.full = asked
		// The server's buffer is empty: it holds nothing.
		if c.blurred {
			c.blurred = false
			c.forgetHead()
		}
	}
	c.reading = true
	c.mu.Unlock()

	n, err := c.read(p)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = false
	if n > 0 {
		n = c.record(p[:n], asked)
	}
	if c.moving {
		c.handOver()
		return 0, io.EOF
	}
	return n, err
}

// read reads without the line breaks that belong to no request.
func (c *sharedConn) read(p []byte) (int, error) {
	for {
		n, err := c.readAll(p)
		dropped := 0
		for dropped < n && c.stray > 0 && (p[dropped] == '\r' || p[dropped] == '\n') {
			dropped++
			c.stray--
		}
		if dropped < n {
			c.stray = 0
		}
		if n = copy(p, p[dropped:n]); n > 0 || dropped == 0 || err != nil {
			return n, err
		}
	}
}

// readAll reads what is next, from the other server or the socket.
func (c *sharedConn) readAll(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil // or all of it stays in memory
		}
		return n, nil
	}
	return c.Conn.Read(p)
}

// record keeps what may have to be read again by another server, and returns
// how much of it the server may have now. c.mu is held.
func (c *sharedConn) record(read []byte, asked int) int {
	switch {
	case c.begun && c.rest > 0:
		c.rest -= int64(len(read))
	case c.begun && asked == 1:
		// While a request is answered, net/http waits for one byte of the next.
		c.ahead = append(c.ahead[:0], read[0])
	case c.begun:
		c.blurred = true
	default:
		return c.recordHead(read)
	}
	return len(read)
}

// recordHead takes bytes of a request that has not begun. What lies beyond its
// head waits for the next read.
func (c *sharedConn) recordHead(read []byte) int {
	before := len(c.recorded)
	if !c.keepHead(read) {
		c.begin()
		c.blurred = true
		return len(read)
	}
	if !c.seen {
		c.foreign = c.recorded[0] == tlsHandshake || bytes.HasPrefix(c.recorded, http2Preface)
		c.seen = c.foreign || !bytes.HasPrefix(http2Preface, c.recorded)
	}
	if c.foreign {
		c.begin()
		c.recorded = nil
		return len(read)
	}
	if end := headEnd(c.recorded, before); end >= 0 && end < len(c.recorded) {
		c.early = append(bytes.Clone(c.recorded[end:]), c.early...)
		c.recorded = c.recorded[:end]
	}
	return len(c.recorded) - before
}

// headEnd returns where the empty line after a head ends, or -1. An end within
// the first bytes was seen before.
func headEnd(b []byte, seen int) int {
	for i := seen; i < len(b); i++ {
		if b[i] == '\n' && (bytes.HasSuffix(b[:i], []byte("\n")) || bytes.HasSuffix(b[:i], []byte("\n\r"))) {
			return i + 1
		}
	}
	return -1
}

// Write implements net.Conn.
func (c *sharedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.moved {
		c.mu.Unlock()
		return 0, net.ErrClosed
	}
	c.begin()
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
	case !c.movable():
		c.forgetHead()
		c.use.forget(c)
		return c.Conn.Close()
	case c.reading:
		c.moving = true
		return c.Conn.SetReadDeadline(longAgo)
	}
	c.handOver()
	return nil
}

// longAgo makes a pending read end, and with it the handover begin.
var longAgo = time.Unix(1, 0)

// movable reports whether another server may have the connection; c.mu is held.
func (c *sharedConn) movable() bool {
	return c.direct && !c.begun && !c.foreign && !c.blurred && c.use.replaced()
}

// moveIfWaiting hands the connection over if the server waits for a request.
func (c *sharedConn) moveIfWaiting() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reading && !c.moving && c.movable() {
		// A socket that cannot have a deadline is broken: the read ends anyway.
		c.moving = c.Conn.SetReadDeadline(longAgo) == nil
	}
}

// handOver gives the socket to the server that took over; c.mu is held. For
// the old server the connection has ended.
func (c *sharedConn) handOver() {
	c.moving, c.moved = false, true
	c.use.forget(c)
	defer c.forgetHead()
	if err := c.Conn.SetDeadline(time.Time{}); err != nil {
		_ = c.Conn.Close()
		return
	}
	early := append(bytes.Clone(c.recorded), c.early...)
	go c.use.offer(acceptance{conn: c.Conn, early: early, stray: maxStray})
}

// deadline runs set unless the connection is the other server's.
func (c *sharedConn) deadline(set func(time.Time) error, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.moved || c.moving {
		return nil
	}
	if c.active {
		c.begin()
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
