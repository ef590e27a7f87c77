//go:build e2e

package e2e

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestTermination stops the process while it has work: 6.6 and the promise that requests finish.
func TestTermination(t *testing.T) {
	g := startGateway(t, config{functions: publicSlow})
	var sockets []*webSocket
	for range 10 {
		ws := openWebSocket(t, g.addr)
		if err := ws.echo("hello"); err != nil {
			t.Fatal(err)
		}
		sockets = append(sockets, ws)
	}
	slow := dial(t, g.addr)
	write(t, slow, rawRequest("GET", "/functions/v1/slow?ms=1200", "any.example", ""))
	<-time.After(300 * time.Millisecond) // the request is at the function
	stopped := make(chan bool)
	go func() { stopped <- g.stop(syscall.SIGTERM, 15*time.Second) }()

	t.Run("6.6 each WebSocket gets Close 1001", func(t *testing.T) {
		for i, ws := range sockets {
			if code, err := ws.closeCode(); code != 1001 {
				t.Errorf("socket %d got close code %d, %v", i, code, err)
			}
			ws.conn.Close()
		}
	})
	t.Run("6.6 a request in flight is finished", func(t *testing.T) {
		got, err := readReply(slow, "GET")
		if err != nil || got.status != 200 || !strings.Contains(got.body, "sleptMs") {
			t.Errorf("answered %d %q, %v", got.status, got.body, err)
		}
	})
	t.Run("6.6 the process goes by itself with exit code 0", func(t *testing.T) {
		if !<-stopped {
			t.Errorf("it had to be killed")
		}
		if code := g.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if conn, err := net.Dial("tcp", g.addr); err == nil {
			conn.Close()
			t.Errorf("somebody still listens")
		}
	})
}
