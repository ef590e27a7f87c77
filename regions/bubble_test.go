package regions

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are made by dial.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.conns <- server
	return client, nil
}

// bubble runs f in a synctest bubble with one region, whose backend is h. What
// h waits for must end when over is closed.
func bubble(t *testing.T, h func(w http.ResponseWriter, r *http.Request, over <-chan struct{}), f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h(w, r, over) })}
		w := newWorld(t, region(t, first, "http://backend"))
		dialBy(w.upstream(first), l.dial)
		go func() { _ = server.Serve(l) }()
		t.Cleanup(func() {
			close(over)
			_ = server.Close()
			<-time.After(time.Second) // the server lingers before it closes a connection
		})
		f(t, w)
	})
}

// slowly is a body that gives a byte at each of the times after its first
// read, then its end, or waits for a deadline if it has none.
type slowly struct {
	gaps    []time.Duration
	endless bool
	cut     chan struct{} // closed by unblock
}

func newSlowly(endless bool, gaps ...time.Duration) *slowly {
	return &slowly{gaps: gaps, endless: endless, cut: make(chan struct{})}
}

func (s *slowly) Read(p []byte) (int, error) {
	if len(s.gaps) == 0 {
		if !s.endless {
			return 0, io.EOF
		}
		<-s.cut
		return 0, os.ErrDeadlineExceeded
	}
	gap := s.gaps[0]
	s.gaps = s.gaps[1:]
	select {
	case <-time.After(gap):
		p[0] = 'x'
		return 1, nil
	case <-s.cut:
		return 0, os.ErrDeadlineExceeded
	}
}

func (s *slowly) unblock() { close(s.cut) }

func hang(_ http.ResponseWriter, r *http.Request, over <-chan struct{}) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-over
}
