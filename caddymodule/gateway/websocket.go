package gateway

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgegate/edgegate/regions"
)

const (
	closeGoingAway = 1001 // RFC 6455, section 7.4.1
	opcodeClose    = 0x88 // FIN and opcode 8
	// closeWait is how long a peer may take to answer a Close.
	closeWait = 3 * time.Second
)

// socketRegistry knows the WebSockets of the process: their handlers may
// belong to configurations long gone (BEHAVIOUR.md 6.6).
type socketRegistry struct {
	mu      sync.Mutex // guards the fields below
	sockets map[*socket]struct{}
	closing bool
	empty   *sync.Cond // sockets may come while closeAll waits: no sync.WaitGroup
}

func newSocketRegistry() *socketRegistry {
	g := &socketRegistry{sockets: make(map[*socket]struct{})}
	g.empty = sync.NewCond(&g.mu)
	return g
}

// Destruct implements caddy.Destructor. The sockets live on: they hold no
// resource of the registry.
func (*socketRegistry) Destruct() error { return nil }

func (g *socketRegistry) add(s *socket) {
	g.mu.Lock()
	g.sockets[s] = struct{}{}
	closing := g.closing
	g.mu.Unlock()
	if closing {
		go s.goAway(endReloaded, "server is stopping")
	}
}

func (g *socketRegistry) remove(s *socket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.sockets, s)
	if len(g.sockets) == 0 {
		g.empty.Broadcast()
	}
}

// open returns how many WebSockets there are.
func (g *socketRegistry) open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.sockets)
}

// inRegion returns how many WebSockets run in a region.
func (g *socketRegistry) inRegion(region string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for s := range g.sockets {
		if s.region == region {
			n++
		}
	}
	return n
}

// closePart sends Close 1001 to a part of the WebSockets of a region, 0 to 1.
func (g *socketRegistry) closePart(region string, part float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for s := range g.sockets {
		if s.region == region && s.turn <= part {
			s.turn = 2 // once
			go s.goAway(endReloaded, "region is drained")
		}
	}
}

// closeAll sends Close 1001 to every client and returns when the sockets are
// gone, which closeWait bounds. It may be called more than once.
func (g *socketRegistry) closeAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	first := !g.closing
	g.closing = true
	if first {
		for s := range g.sockets {
			go s.goAway(endReloaded, "server is stopping")
		}
	}
	for len(g.sockets) > 0 {
		g.empty.Wait()
	}
}

// socketWriter hands out the client's connection as a socket.
type socketWriter struct {
	http.ResponseWriter
	call *call
}

// Unwrap lets http.ResponseController find the server's writer.
func (w *socketWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack implements http.Hijacker.
func (w *socketWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	// The server's idle deadlines end with the request.
	if err := conn.SetDeadline(time.Time{}); err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	registry := w.call.handler.app.lease.sockets
	s := &socket{
		Conn: conn, early: buffered.Reader, registry: registry,
		region: w.call.region(), turn: rand.Float64(), // #nosec G404 -- spreads the closing, guards nothing
	}
	registry.add(s)
	w.call.socket = s
	// For Caddy's access log and metrics: the head itself is written to the
	// connection.
	w.call.w.WriteHeader(http.StatusSwitchingProtocols)
	w.call.exchange.OnTimeout(func(cause error) {
		reason := "idle timeout"
		if errors.Is(cause, regions.ErrWallClock) {
			reason = "wall clock limit"
		}
		s.goAway(endTimedOut, reason)
	})
	return s, buffered, nil
}

// socket is the client's side of a WebSocket. It knows the frames that pass to
// the client, so that a Close can be put between two of them.
type socket struct {
	net.Conn
	early    *bufio.Reader // what the client sent before the switch
	registry *socketRegistry
	region   string  // where its function runs
	turn     float64 // which part of a drain closes it, 0 to 1
	once     sync.Once
	shut     atomic.Bool  // closed here: errors after it say nothing of the client
	lost     atomic.Bool  // the client ended the connection
	said     frameTracker // what the client says; for its reader alone
	bye      atomic.Bool  // the client said Close

	mu      sync.Mutex // guards the fields below and serializes writes
	frames  frameTracker
	written uint64 // bytes of the backend
	as      ending // why the Close is sent
	leaving []byte // the Close to be sent at the next frame boundary
	closed  bool   // the Close is out: nothing may follow it
}

// Read reads what the client sends.
func (s *socket) Read(p []byte) (int, error) {
	from := io.Reader(s.Conn)
	if s.early != nil && s.early.Buffered() > 0 {
		from, p = s.early, p[:min(len(p), s.early.Buffered())]
	}
	n, err := from.Read(p)
	s.said.advance(p[:n], false)
	if s.said.closes {
		s.bye.Store(true)
	}
	s.failed(err)
	return n, err
}

// failed notes an error of the client's connection.
func (s *socket) failed(err error) {
	if err != nil && !s.shut.Load() {
		s.lost.Store(true)
	}
}

// bytesOut returns how many bytes of the backend the client got.
func (s *socket) bytesOut() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written
}

// ending tells how the WebSocket ended: complete where either side said Close.
func (s *socket) ending() (ending, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.as != "":
		return s.as, nil
	case s.frames.closes, s.bye.Load():
		return endComplete, nil
	case s.lost.Load():
		return endClientGone, regions.ErrClientGone
	}
	return endBackendCut, regions.ErrBackend
}

// Write passes bytes of the backend to the client.
func (s *socket) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		// Taken and dropped: an error would end the connection before the
		// client has read the Close and answered it.
		return len(p), nil
	}
	n := s.frames.advance(p, s.leaving != nil)
	written, err := s.Conn.Write(p[:n])
	s.written += uint64(written)
	if err != nil {
		s.failed(err)
		return written, err
	}
	if s.leaving != nil && s.frames.atBoundary() {
		s.sayGoodbye()
		return len(p), nil
	}
	return written, nil
}

// goAway sends Close 1001 at the next frame boundary and ends the connection
// when the client answered, or after closeWait.
func (s *socket) goAway(as ending, reason string) {
	// A client that does not read must not hold the lock for ever.
	_ = s.SetWriteDeadline(time.Now().Add(closeWait))
	time.AfterFunc(closeWait, func() { _ = s.Close() })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.leaving != nil {
		return
	}
	frame := []byte{opcodeClose, byte(2 + len(reason))}
	frame = binary.BigEndian.AppendUint16(frame, closeGoingAway)
	s.leaving, s.as = append(frame, reason...), as
	if s.frames.atBoundary() {
		s.sayGoodbye()
	}
}

// sayGoodbye writes the Close; s.mu is held.
func (s *socket) sayGoodbye() {
	s.closed = true
	_, _ = s.Conn.Write(s.leaving)
}

// Close ends the connection.
func (s *socket) Close() error {
	s.shut.Store(true)
	err := s.Conn.Close()
	s.once.Do(func() { s.registry.remove(s) })
	return err
}

// frameTracker follows the frames of a WebSocket stream (RFC 6455, section
// 5.2) as far as their lengths.
type frameTracker struct {
	head [10]byte
	have int    // bytes of head seen
	left uint64 // payload bytes still to come
	// closes is set by the head of a Close.
	closes bool
}

func (f *frameTracker) atBoundary() bool { return f.have == 0 && f.left == 0 }

// advance takes p into account and returns how much of it: all, or up to the
// next frame boundary if stop is set.
func (f *frameTracker) advance(p []byte, stop bool) int {
	for i := 0; i < len(p); {
		if f.left > 0 {
			n := min(f.left, uint64(len(p)-i))
			f.left -= n
			i += int(n)
		} else {
			f.head[f.have] = p[i]
			f.have++
			i++
			f.parse()
		}
		if stop && f.atBoundary() {
			return i
		}
	}
	return len(p)
}

// parse reads the header once it is complete.
func (f *frameTracker) parse() {
	if f.have < 2 {
		return
	}
	var length uint64
	switch short := f.head[1] & 0x7f; {
	case short < 126:
		length = uint64(short)
	case short == 126 && f.have >= 4:
		length = uint64(binary.BigEndian.Uint16(f.head[2:4]))
	case short == 127 && f.have >= 10:
		length = binary.BigEndian.Uint64(f.head[2:10])
	default:
		return
	}
	if f.head[1]&0x80 != 0 {
		length += 4 // a server must not mask, but if it does, the key comes first
	}
	f.closes = f.closes || f.head[0] == opcodeClose
	f.have, f.left = 0, length
}
