// Package faultproxy is a TCP proxy for tests that delays, loses and breaks what
// goes through it when it is told to. The product must not import it
// (caddymodule/archrules_test.go).
package faultproxy

import (
	"net"
	"sync"
	"testing"
	"time"
)

// Mode is what becomes of what is sent.
type Mode int

// The modes.
const (
	Open           Mode = iota // it arrives
	Refuse                     // connections are refused, and those that are there break
	Swallow                    // nothing arrives, and nobody is told
	SwallowAnswers             // the same of the target's answers only
	LoseAnswers                // one answer in loseEvery does not arrive
	Reset                      // every other piece of a request ends in a reset
)

const loseEvery = 20

// Proxy is a way to one target. It is safe for concurrent use.
type Proxy struct {
	Address string // where it listens; it keeps it

	t      testing.TB
	Target string // where it leads

	mu       sync.Mutex    // guards the fields below
	delay    time.Duration // each way
	mode     Mode
	pieces   int // of requests, or of answers, since the mode was set
	listener net.Listener
	conns    map[net.Conn]bool
	running  sync.WaitGroup
}

// New returns a proxy to host:port that ends with the test. roundTrip is added to
// what the target takes.
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

// Become changes the mode. Refuse means that nobody listens, as on a machine that
// is gone.
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

// Slow changes what is added to the round trip.
func (p *Proxy) Slow(roundTrip time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = roundTrip / 2
}

func (p *Proxy) takes() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.delay
}

// loses reports whether a piece of a request, or of an answer, goes nowhere, and
// whether the connection breaks by it.
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

// breakOff ends a connection as a process that dies does.
func breakOff(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// keep notes a connection, unless it came too late.
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
