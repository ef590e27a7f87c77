package demo

import (
	"net"
	"sync"
	"time"
)

// maxInFlight bounds the bytes of one connection that are under way: over a round trip of 164 ms it still lets 25 MB/s through.
const maxInFlight = 4 << 20

// lingerLimit bounds how long a closed connection may take to hand over what was written before, to a peer that does not read.
const lingerLimit = 2 * time.Second

// latencyConn is a connection to a place a round trip away: what is written arrives delay later, in order and without holding up the
// writer, as on a long line. Reads are not delayed: the whole round trip is on the way back, which a client cannot tell from a half each
// way. It works below HTTP, so streams and WebSockets are as far away as plain answers.
type latencyConn struct {
	net.Conn
	delay time.Duration

	mu     sync.Mutex // guards what follows
	change *sync.Cond
	queue  []parcel
	queued int // bytes in queue and in the write under way
	closed bool
	err    error // the first failed write
}

// parcel is a write, or the half-close after the last one when data is nil.
type parcel struct {
	due  time.Time
	data []byte
}

// newLatencyConn wraps conn; done is called once when the connection is wholly gone.
func newLatencyConn(conn net.Conn, delay time.Duration, done func(*latencyConn)) *latencyConn {
	c := &latencyConn{Conn: conn, delay: delay}
	c.change = sync.NewCond(&c.mu)
	go func() {
		c.deliver()
		done(c)
	}()
	return c
}

// Write queues a copy of p. It waits only while more than maxInFlight bytes are under way.
func (c *latencyConn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed && c.err == nil && c.queued > 0 && c.queued+len(p) > maxInFlight {
		c.change.Wait()
	}
	if c.err != nil {
		return 0, c.err
	}
	if c.closed {
		return 0, net.ErrClosed
	}
	c.put(append([]byte(nil), p...))
	return len(p), nil
}

// CloseWrite half-closes after everything written so far: net/http uses it to spare a client that is still sending a reset.
func (c *latencyConn) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.put(nil)
	return nil
}

// Close ends reading now and the connection itself once what was written has arrived.
func (c *latencyConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed = true
	c.change.Broadcast()
	now := time.Now()
	_ = c.Conn.SetReadDeadline(now)
	return c.Conn.SetWriteDeadline(now.Add(c.delay + lingerLimit))
}

// put appends to the queue; the caller holds mu.
func (c *latencyConn) put(data []byte) {
	c.queue = append(c.queue, parcel{due: time.Now().Add(c.delay), data: data})
	c.queued += len(data)
	c.change.Broadcast()
}

// next waits for a parcel; false means closed and empty.
func (c *latencyConn) next() (parcel, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) == 0 {
		if c.closed {
			return parcel{}, false
		}
		c.change.Wait()
	}
	p := c.queue[0]
	c.queue = c.queue[1:]
	return p, true
}

// deliver hands parcels over when they are due, until the connection is closed or a write fails, and then closes the real one.
func (c *latencyConn) deliver() {
	defer c.Conn.Close()
	for {
		p, ok := c.next()
		if !ok {
			return
		}
		time.Sleep(time.Until(p.due))
		var err error
		if p.data != nil {
			_, err = c.Conn.Write(p.data)
		} else if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
			err = half.CloseWrite()
		}
		c.mu.Lock()
		c.queued -= len(p.data)
		if err != nil {
			c.err, c.queue, c.queued = err, nil, 0
		}
		c.change.Broadcast()
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// latencyListener gives each accepted connection the same delay and knows them all, also those a handler has taken over.
type latencyListener struct {
	net.Listener
	delay time.Duration

	mu    sync.Mutex // guards conns
	conns map[*latencyConn]struct{}
	live  sync.WaitGroup
}

// Accept waits for the next connection.
func (l *latencyListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live.Add(1)
	c := newLatencyConn(conn, l.delay, l.gone)
	if l.conns == nil {
		l.conns = make(map[*latencyConn]struct{})
	}
	l.conns[c] = struct{}{}
	return c, nil
}

func (l *latencyListener) gone(c *latencyConn) {
	l.mu.Lock()
	delete(l.conns, c)
	l.mu.Unlock()
	l.live.Done()
}

// closeAll closes every connection, hijacked ones included, and returns when the last byte has been handed over or given up.
func (l *latencyListener) closeAll() {
	l.mu.Lock()
	for c := range l.conns {
		_ = c.Close()
	}
	l.mu.Unlock()
	l.live.Wait()
}
