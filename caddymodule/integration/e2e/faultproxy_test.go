//go:build e2e

package e2e

import (
	"net"
	"sync"
	"testing"
	"time"
)

// How the way to a region is.
const (
	wayOpen   = iota
	wayRefuse // connections are refused, and those that are there break
	waySwallow
	waySwallowAnswers // one direction only
	wayReset          // every other piece of a request ends in a reset
)

// way is a TCP proxy in front of a region: it delays, and breaks when a test says so.
type way struct {
	addr   string
	target string

	mu       sync.Mutex    // guards the fields below
	delay    time.Duration // each way
	mode     int
	pieces   int // of requests
	listener net.Listener
	conns    map[net.Conn]bool
	running  sync.WaitGroup
}

func newWay(t *testing.T, target string, roundTrip time.Duration) *way {
	t.Helper()
	w := &way{target: target, delay: roundTrip / 2, conns: make(map[net.Conn]bool)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = listener.Addr().String()
	w.serve(listener)
	t.Cleanup(func() {
		w.become(t, wayRefuse)
		w.running.Wait()
	})
	return w
}

func (w *way) serve(listener net.Listener) {
	w.listener = listener
	w.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			w.running.Go(func() { w.carry(conn) })
		}
	})
}

// become changes the way. Refusing means that nobody listens, as on a machine that is gone.
func (w *way) become(t *testing.T, mode int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.mode
	w.mode = mode
	if mode == wayRefuse {
		_ = w.listener.Close()
		for conn := range w.conns {
			breakOff(conn)
		}
	} else if before == wayRefuse {
		listener, err := net.Listen("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		w.serve(listener)
	}
}

// slow makes it take another time.
func (w *way) slow(roundTrip time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay = roundTrip / 2
}

func (w *way) takes() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.delay
}

// loses reports whether a piece of a request, or of an answer, goes nowhere, and whether the connection breaks by it.
func (w *way) loses(answer bool) (lost, broken bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mode == wayReset && !answer {
		w.pieces++
		broken = w.pieces%2 == 0
	}
	return w.mode == waySwallow || w.mode == waySwallowAnswers && answer, broken
}

// breakOff ends a connection as a process that dies does.
func breakOff(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// keep notes a connection, unless it came too late.
func (w *way) keep(conn net.Conn, open bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !open {
		delete(w.conns, conn)
		return true
	}
	w.conns[conn] = true
	return w.mode != wayRefuse
}

func (w *way) carry(client net.Conn) {
	defer client.Close()
	defer w.keep(client, false)
	if !w.keep(client, true) {
		return
	}
	server, err := net.Dial("tcp", w.target)
	if err != nil {
		return
	}
	defer server.Close()
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() {
			defer pair[1].Close()
			buffer := make([]byte, 32<<10)
			for {
				n, err := pair[0].Read(buffer)
				if err != nil {
					return
				}
				<-time.After(w.takes())
				lost, broken := w.loses(pair[0] == server)
				if broken {
					breakOff(client)
					return
				}
				if lost {
					continue
				}
				if _, err := pair[1].Write(buffer[:n]); err != nil {
					return
				}
			}
		})
	}
	both.Wait()
}
