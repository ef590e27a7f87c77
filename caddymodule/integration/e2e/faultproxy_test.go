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
)

// way is a TCP proxy in front of a region: it delays, and breaks when a test says so.
type way struct {
	addr   string
	target string
	delay  time.Duration // each way

	mu       sync.Mutex // guards the fields below
	mode     int
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
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = conn.Close()
		}
	} else if before == wayRefuse {
		listener, err := net.Listen("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		w.serve(listener)
	}
}

func (w *way) swallows() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mode == waySwallow
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
				<-time.After(w.delay)
				if w.swallows() {
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
