//go:build e2e

package e2e

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// TestFirstCalls calls as soon as somebody listens: Caddy starts the server and the rest in any order, and no call may come
// to something half ready.
func TestFirstCalls(t *testing.T) {
	w := startWitness(t)
	g := prepareGateway(t)
	config := config{backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("hello")}
	for range 10 {
		answered := make(chan reply, 1)
		go func() { answered <- firstReply(t.Context(), g.addr) }()
		g.start(t, config.caddyfile(g.port, g.admin))
		if got := <-answered; got.status != http.StatusOK {
			t.Errorf("the first call was answered %d %s", got.status, got.body)
		}
		if !g.stop(syscall.SIGTERM, 10*time.Second) {
			t.Fatal("it did not stop")
		}
	}
}

// firstReply is what the first call is answered at an address where somebody listens in a moment.
func firstReply(ctx context.Context, addr string) (got reply) {
	tick := time.NewTicker(200 * time.Microsecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			<-tick.C
			continue
		}
		defer conn.Close()
		if _, err = io.WriteString(conn, rawRequest("GET", "/functions/v1/hello", "any.example", "")); err == nil {
			got, err = readReply(conn, "GET")
		}
		if err != nil {
			got.body = err.Error()
		}
		return got
	}
	return got
}

// TestTermination stops the process while it has work: contract 6.6 and the promise that requests finish.
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
	eventually(t, "the request is on its way", func() bool {
		var said struct {
			Regions []struct {
				InFlight int `json:"in_flight"`
			}
		}
		adminGet(t, g, "/edge_functions/regions", &said)
		running := 0
		for _, r := range said.Regions {
			running += r.InFlight
		}
		return running == 1 // WebSockets are counted apart (contract 9.6)
	})
	stopped := make(chan bool)
	go func() { stopped <- g.stop(syscall.SIGTERM, 15*time.Second) }()

	t.Run("contract 6.6 each WebSocket gets Close 1001", func(t *testing.T) {
		for i, ws := range sockets {
			if code, err := ws.closeCode(); code != 1001 {
				t.Errorf("socket %d got close code %d, %v", i, code, err)
			}
			ws.conn.Close()
		}
	})
	t.Run("contract 6.6 a request in flight is finished", func(t *testing.T) {
		got, err := readReply(slow, "GET")
		if err != nil || got.status != 200 || !strings.Contains(got.body, "sleptMs") {
			t.Errorf("answered %d %q, %v", got.status, got.body, err)
		}
	})
	t.Run("contract 6.6 the process goes by itself with exit code 0", func(t *testing.T) {
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
		if strings.Contains(g.output(), "not recorded in the ledger") {
			t.Errorf("the end of a call was not recorded:\n%s", g.tail())
		}
	})
}

// TestStopWhileRedisHangs: what is said to Redis for the last time has one deadline, also where much is to be said.
func TestStopWhileRedisHangs(t *testing.T) {
	w, server := startWitness(t), redistest.Single(t)
	g := startGateway(t, config{
		options:  "\t\tstore redis " + server.URL(),
		backends: []backend{{region: "eu-central-1", address: w.address()}},
		project:  "\t\t\tplan free", functions: public("hello"),
	})
	waitUntil(t, "a grant", func() bool {
		res, err := http.Get(g.url + "/functions/v1/hello")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	server.Pause()
	defer server.Resume()
	began := time.Now()
	if !g.stop(syscall.SIGTERM, 30*time.Second) {
		t.Error("it had to be killed")
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	t.Log(time.Since(began))
}
