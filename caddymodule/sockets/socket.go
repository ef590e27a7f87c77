package sockets

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	closeGoingAway = 1001 // RFC 6455, section 7.4.1
	// closeWait bounds the time in which a peer must answer a Close frame.
	closeWait = 3 * time.Second
)

// Outcome says how a WebSocket ended.
type Outcome uint8

// The outcomes.
const (
	BackendCut   Outcome = iota // the backend ended the connection without a Close frame
	Complete                    // the client or the backend sent a Close frame
	ClientGone                  // the client ended the connection without a Close frame
	ServerClosed                // GoAway: the process stops, or the region is drained
	TimedOut                    // GoAway: a limit was reached
)

// Socket is the client's side of a WebSocket. It tracks the frames sent to the
// client, so that a Close frame can be put between two of them.
type Socket struct {
	net.Conn
	early    *bufio.Reader // bytes that the client sent before the switch
	registry *Registry
	region   string  // the region in which the function runs
	backend  string  // the backend on which it runs
	drainAt  float64 // the share of a drain, 0 to 1, at which the socket is closed; guarded by the registry's mu
	once     sync.Once

	closedHere   atomic.Bool  // errors after it say nothing of the client
	clientLost   atomic.Bool  // the client ended the connection
	fromClient   frameTracker // frames of the client; for its reader alone
	clientClosed atomic.Bool  // the client sent a Close frame

	mu         sync.Mutex   // guards the fields below and serializes writes
	toClient   frameTracker // frames of the backend
	written    uint64       // bytes of the backend
	outcome    Outcome      // of GoAway, where closeFrame is not nil
	closeFrame []byte       // to be sent at the next frame boundary
	closeSent  bool         // nothing may follow the Close frame
}

// Read reads what the client sends.
func (s *Socket) Read(p []byte) (int, error) {
	from := io.Reader(s.Conn)
	if s.early != nil && s.early.Buffered() > 0 {
		from, p = s.early, p[:min(len(p), s.early.Buffered())]
	}
	n, err := from.Read(p)
	s.fromClient.advance(p[:n], false)
	if s.fromClient.closes {
		s.clientClosed.Store(true)
	}
	s.failed(err)
	return n, err
}

// failed notes an error of the client's connection.
func (s *Socket) failed(err error) {
	if err != nil && !s.closedHere.Load() {
		s.clientLost.Store(true)
	}
}

// BytesOut returns how many bytes of the backend were written to the client.
func (s *Socket) BytesOut() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written
}

// Outcome returns how the WebSocket ended. It is meant for sockets that are
// closed: a live one has no outcome yet.
func (s *Socket) Outcome() Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closeFrame != nil:
		return s.outcome
	case s.toClient.closes, s.clientClosed.Load():
		return Complete
	case s.clientLost.Load():
		return ClientGone
	}
	return BackendCut
}

// Write passes bytes of the backend to the client.
func (s *Socket) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closeSent {
		// Taken and dropped: an error would end the connection before the
		// client has read the Close and answered it.
		return len(p), nil
	}
	n := s.toClient.advance(p, s.closeFrame != nil)
	written, err := s.Conn.Write(p[:n])
	s.written += uint64(written)
	if err != nil {
		s.failed(err)
		return written, err
	}
	if s.closeFrame != nil && s.toClient.atBoundary() {
		s.sendClose()
		return len(p), nil
	}
	return written, nil
}

// GoAway sends Close 1001 with a reason of at most 123 bytes at the next frame
// boundary, and ends the connection when the client has answered it, or after 3
// seconds. The outcome is then the one given, ServerClosed or TimedOut. Only the
// first call counts.
func (s *Socket) GoAway(outcome Outcome, reason string) {
	// A client that does not read must not hold the lock for ever.
	_ = s.SetWriteDeadline(time.Now().Add(closeWait))
	time.AfterFunc(closeWait, func() { _ = s.Close() })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closeSent || s.closeFrame != nil {
		return
	}
	frame := []byte{opcodeClose, byte(2 + len(reason))}
	frame = binary.BigEndian.AppendUint16(frame, closeGoingAway)
	s.closeFrame, s.outcome = append(frame, reason...), outcome
	if s.toClient.atBoundary() {
		s.sendClose()
	}
}

// sendClose writes the Close frame; s.mu is held.
func (s *Socket) sendClose() {
	s.closeSent = true
	_, _ = s.Conn.Write(s.closeFrame)
}

// Close ends the connection.
func (s *Socket) Close() error {
	s.closedHere.Store(true)
	err := s.Conn.Close()
	s.once.Do(func() { s.registry.remove(s) })
	return err
}
