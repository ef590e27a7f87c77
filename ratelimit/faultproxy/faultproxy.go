// Package faultproxy is a TCP proxy for tests: it delays and loses data and breaks
// connections as a test says. The product must not import it
// (caddymodule/archrules_test.go).
//
//	proxy := faultproxy.New(t, server.Address, 40*time.Millisecond)
//	proxy.Become(faultproxy.Swallow) // nothing arrives any more
//	proxy.Become(faultproxy.Open)
package faultproxy

import (
	"net"
	"sync"
	"testing"
	"time"
)

// Mode is what a Proxy does with connections and data.
type Mode int

// The modes. Data comes in pieces, as it is read from a connection.
const (
	Open           Mode = iota // all data arrives
	Refuse                     // connections are refused, and existing ones are reset
	Swallow                    // no data arrives; connections stay
	SwallowAnswers             // no data of the target arrives; connections stay
	LoseAnswers                // one piece in loseEvery of the target does not arrive
	Reset                      // every other piece to the target resets its connection
)

const loseEvery = 20

// Proxy forwards connections to one target. It is safe for concurrent use.
type Proxy struct {
	Address string // host:port on which it listens; Refuse and Open keep it
	Target  string // host:port of the target

	t testing.TB

	mu       sync.Mutex    // guards the fields below
	delay    time.Duration // in each direction
	mode     Mode
	pieces   int // to the target, or of it, since the mode was set
	listener net.Listener
	conns    map[net.Conn]bool
	running  sync.WaitGroup
}

// New returns a proxy to host:port that ends with the test. roundTrip is the delay that
// it adds to an answer.
func New(t testing.TB, target string, roundTrip time.Duration) *Proxy {
	t.Helper()
	p := &Proxy{
		t:      t,
		Target: target,
		delay:  roundTrip / 2,
		conns:  make(map[net.Conn]bool),
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.Address = listener.Addr().String()
	p.serve(listener)
	t.Cleanup(func() {
		p.Become(Refuse)
		p.running.Wait()
	})
	return p
}

// serve accepts connections in the background.
func (p *Proxy) serve(listener net.Listener) {
	p.listener = listener
	p.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.running.Go(func() { p.carry(conn) })
		}
	})
}

// Become changes the mode.
func (p *Proxy) Become(mode Mode) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.mode
	p.mode, p.pieces = mode, 0
	if mode == Refuse {
		_ = p.listener.Close()
		for conn := range p.conns {
			breakOff(conn)
		}
	} else if before == Refuse {
		listener, err := net.Listen("tcp", p.Address)
		if err != nil {
			p.t.Fatal(err)
		}
		p.serve(listener)
	}
}

// Slow changes the delay that is added to an answer.
func (p *Proxy) Slow(roundTrip time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = roundTrip / 2
}

// takes returns the delay of each direction.
func (p *Proxy) takes() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.delay
}

// loses reports whether the next piece is dropped, and whether its connection is reset.
// answer says that the piece is of the target.
func (p *Proxy) loses(answer bool) (lost, broken bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.mode == Reset && !answer:
		p.pieces++
		return false, p.pieces%2 == 0
	case p.mode == LoseAnswers && answer:
		p.pieces++
		return p.pieces%loseEvery == 0, false
	}
	return p.mode == Swallow || p.mode == SwallowAnswers && answer, false
}

// breakOff resets a connection.
func breakOff(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// keep notes that a connection is open or closed. It reports false for a new one while
// connections are refused.
func (p *Proxy) keep(conn net.Conn, open bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !open {
		delete(p.conns, conn)
		return true
	}
	p.conns[conn] = true
	return p.mode != Refuse
}

// carry forwards one connection in both directions until one of them ends.
func (p *Proxy) carry(client net.Conn) {
	defer client.Close()
	defer p.keep(client, false)
	if !p.keep(client, true) {
		return
	}
	server, err := net.Dial("tcp", p.Target)
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
				<-time.After(p.takes())
				lost, broken := p.loses(pair[0] == server)
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
