//go:build e2e

package e2e

import (
	"net"
	"sync"
	"testing"
)

// listenRaw accepts connections on a port of its own, until the test ends, and has each served; it returns the address.
// A connection is closed when it was served.
func listenRaw(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	acceptAll(t, l, serve)
	return l.Addr().String()
}

// acceptAll is listenRaw on a listener, which it closes.
func acceptAll(t *testing.T, l net.Listener, serve func(net.Conn)) {
	t.Helper()
	var running sync.WaitGroup
	var conns sync.Map
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Store(conn, nil)
			running.Go(func() {
				defer conns.Delete(conn)
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		conns.Range(func(conn, _ any) bool {
			_ = conn.(net.Conn).Close()
			return true
		})
		running.Wait()
	})
}
