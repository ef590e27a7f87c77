package handover

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func TestKeep(t *testing.T) {
	server := &caddyhttp.Server{Listen: []string{":80", "tcp/127.0.0.1:8080", "unix//run/a.sock", "tcp4/:81", "udp/:82", "a:b"}}
	for range 2 { // each handler of a server calls it
		Keep(server)
	}
	want := []string{"edgegate/:80", "edgegate/127.0.0.1:8080", "unix//run/a.sock", "tcp4/:81", "udp/:82", "a:b"}
	if got := strings.Join(server.Listen, " "); got != strings.Join(want, " ") {
		t.Errorf("listen %s, want %s", got, strings.Join(want, " "))
	}
}

// TestProcessEnds: without a successor everything is closed for good.
func TestProcessEnds(t *testing.T) {
	noLeak(t)
	g := newGated()
	server := serveGeneration(t, g.handler("only"))
	idle, fresh, part, busy := dial(t, server.address()), dial(t, server.address()), dial(t, server.address()), dial(t, server.address())
	idle.send(t, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
	idle.expectAnswer(t, "200 only/a")
	part.send(t, "GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET ")
	part.expectAnswer(t, "200 only/a")
	busy.send(t, heldGET)
	await(t, "the handler runs", g.entered)
	_ = fresh.Close() // net/http waits five seconds for the first request
	var stopped sync.WaitGroup
	stopped.Go(func() { server.stop(t) })
	idle.expectEnd(t)
	part.expectEnd(t)
	close(g.release)
	busy.expectAnswer(t, "200 only/hold")
	busy.expectEnd(t)
	stopped.Wait()
	if conn, err := net.Dial("tcp", server.address()); err == nil {
		_ = conn.Close()
		t.Error("the socket still listens")
	}
	server.use.mu.Lock()
	known := len(server.use.conns)
	server.use.mu.Unlock()
	if known != 0 {
		t.Errorf("the listener still knows %d connections", known)
	}
	sharedListeners.Lock()
	open := len(sharedListeners.open)
	sharedListeners.Unlock()
	if open != 0 {
		t.Errorf("%d sockets are still shared", open)
	}
	if err := server.use.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
}

// TestStatefulConnectionsStay: TLS and HTTP/2 have a state beside the socket. Their requests end, then the connections;
// new ones reach the new server.
func TestStatefulConnectionsStay(t *testing.T) {
	secure := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	secure.Close()
	h2c := new(http.Protocols)
	h2c.SetUnencryptedHTTP2(true)
	tests := map[string]struct {
		tls       bool
		transport func() *http.Transport
	}{
		"TLS": {true, func() *http.Transport {
			return &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		}},
		"HTTP/2 over TLS": {true, func() *http.Transport {
			return &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
		}},
		"HTTP/2 with prior knowledge": {false, func() *http.Transport { return &http.Transport{Protocols: h2c} }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			noLeak(t)
			g := newGated()
			serve := func(name string) *generation {
				if !tt.tls {
					return serveGeneration(t, g.handler(name))
				}
				return serveTLS(t, g.handler(name), secure.TLS)
			}
			old := serve("old")
			url := map[bool]string{true: "https://", false: "http://"}[tt.tls] + old.address()
			client := &http.Client{Transport: tt.transport(), Timeout: eventually}
			defer client.CloseIdleConnections()
			held := make(chan string, 1)
			go func() { held <- get(client, url+"/hold") }()
			await(t, "the handler runs", g.entered)
			next := serve("new")
			var stopped sync.WaitGroup
			stopped.Go(func() { old.stop(t) })
			await(t, "the server stops", old.use.closed)
			other := &http.Client{Transport: tt.transport(), Timeout: eventually}
			defer other.CloseIdleConnections()
			if got := get(other, url+"/other"); got != "new/other" {
				t.Errorf("a new connection: %s", got)
			}
			close(g.release)
			if got := <-held; got != "old/hold" {
				t.Errorf("the request under way: %s", got)
			}
			stopped.Wait()
			if got := get(client, url+"/after"); got != "new/after" {
				t.Errorf("the next request: %s", got)
			}
			client.CloseIdleConnections()
			other.CloseIdleConnections()
			next.stop(t)
		})
	}
}

func serveTLS(t *testing.T, handler http.Handler, config *tls.Config) *generation {
	t.Helper()
	g := &generation{
		Server: &http.Server{Handler: handler, ConnState: connChanged, ConnContext: connContext, TLSConfig: config.Clone()},
		use:    listenOn(t, "0"), served: make(chan error, 1),
	}
	go func() { g.served <- g.ServeTLS(g.use, "", "") }()
	t.Cleanup(func() { _ = g.Close() })
	return g
}

// get returns the body, or what went wrong.
func get(client *http.Client, url string) string {
	res, err := client.Get(url)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

// TestHijackedConnections live on over a handover, and closing them closes them.
func TestHijackedConnections(t *testing.T) {
	noLeak(t)
	hijacked := make(chan net.Conn, 1)
	old := serveGeneration(t, handling(func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
		}
		_, _ = buffered.WriteString("HTTP/1.1 101 Switching Protocols\r\n\r\n")
		_ = buffered.Flush()
		hijacked <- conn
	}))
	client := dial(t, old.address())
	client.send(t, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
	conn := <-hijacked
	next := serveGeneration(t, handling(echo))
	old.stop(t)
	client.send(t, "ping")
	ping := make([]byte, 4)
	if _, err := io.ReadFull(conn, ping); err != nil || string(ping) != "ping" {
		t.Errorf("the hijacker reads %q, %v", ping, err)
	}
	if _, err := io.WriteString(conn, "pong"); err != nil {
		t.Error(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(client.in); err != nil || !strings.HasSuffix(string(got), "\r\n\r\npong") {
		t.Errorf("the client reads %q, %v", got, err)
	}
	next.stop(t)
}

// TestFailedStart: a configuration that opened its listeners and then failed gives them back; what left the old server
// meanwhile comes back to it.
func TestFailedStart(t *testing.T) {
	noLeak(t)
	g := serveGeneration(t, handling(echo))
	client := dial(t, g.address())
	client.send(t, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
	client.expectAnswer(t, "200 /1 ")
	failing := listenOn(t, "0")
	if failing.Addr().String() != g.address() {
		t.Fatalf("another socket: %v", failing.Addr())
	}
	var conns []*sharedConn
	g.use.mu.Lock()
	for c := range g.use.conns {
		conns = append(conns, c)
	}
	g.use.mu.Unlock()
	for _, c := range conns { // the old server's idle timeout
		awaitIdle(t, c)
		_ = c.Close()
	}
	if err := failing.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := failing.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept of the failed one: %v", err)
	}
	client.send(t, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
	client.expectAnswer(t, "200 /2 ")
	again := dial(t, g.address())
	again.send(t, "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n")
	again.expectAnswer(t, "200 /3 ")
	_, _ = client.Close(), again.Close()
	g.stop(t)
}

// awaitIdle waits until the server waits for the next request: the client has its answer a little earlier.
func awaitIdle(t *testing.T, c *sharedConn) {
	t.Helper()
	for deadline := time.Now().Add(eventually); time.Now().Before(deadline); runtime.Gosched() {
		c.mu.Lock()
		idle := c.reading && !c.begun
		c.mu.Unlock()
		if idle {
			return
		}
	}
	t.Fatal("the connection never became idle")
}

// TestListenErrors: what cannot be opened is nobody's.
func TestListenErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	for name, tt := range map[string]struct{ host, port string }{
		"no port number": {"127.0.0.1", "x"},
		"not our host":   {"192.0.2.1", port},
	} {
		t.Run(name, func(t *testing.T) {
			if use, err := listenShared(t.Context(), network, tt.host, tt.port, 0, net.ListenConfig{}); err == nil {
				t.Errorf("opened %v", use)
			}
			if n := len(sharedListeners.open); n != 0 {
				t.Errorf("%d sockets are shared", n)
			}
		})
	}
}

// TestAcquireAndRelease opens and closes uses of one socket side by side: it is open as long as one use is.
func TestAcquireAndRelease(t *testing.T) {
	noLeak(t)
	base := listenOn(t, "0")
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for range 50 {
				use, err := listenShared(context.Background(), network, "127.0.0.1", "0", 0, net.ListenConfig{})
				if err != nil {
					t.Error(err)
					return
				}
				if use.(*listenerUse).Addr().String() != base.Addr().String() {
					t.Error("another socket")
				}
				base.replaced()
				if err := use.(*listenerUse).Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	workers.Wait()
	if base.replaced() {
		t.Error("the last one left is replaced")
	}
	client := dial(t, base.Addr().String())
	conn, err := base.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Close(), client.Close()
	if err := base.Close(); err != nil {
		t.Error(err)
	}
}

// brokenListener is a socket whose Accept fails at first.
type brokenListener struct {
	net.Listener
	errs chan error
}

func (l *brokenListener) Accept() (net.Conn, error) {
	select {
	case err := <-l.errs:
		return nil, err
	default:
		return l.Listener.Accept()
	}
}

type temporary struct{ error }

func (temporary) Timeout() bool   { return true }
func (temporary) Temporary() bool { return true }

// TestAcceptErrors: errors reach the server, which waits out those that pass and ends with the others.
func TestAcceptErrors(t *testing.T) {
	noLeak(t)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	broken := &brokenListener{inner, make(chan error, 2)}
	broken.errs <- temporary{errors.New("too many open files")}
	shared := &sharedListener{Listener: broken, key: "broken", accepted: make(chan acceptance), done: make(chan struct{})}
	use := &listenerUse{sharedListener: shared, closed: make(chan struct{}), conns: make(map[*sharedConn]struct{})}
	shared.uses = []*listenerUse{use}
	go shared.accept()
	server := &http.Server{Handler: handling(echo), ConnState: connChanged, ConnContext: connContext}
	served := make(chan error, 1)
	go func() { served <- server.Serve(use) }()
	client := dial(t, inner.Addr().String())
	fatal := errors.New("no listener any more")
	client.send(t, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
	client.expectAnswer(t, "200 /a ")
	broken.errs <- fatal
	second := dial(t, inner.Addr().String()) // ends the accept that waits
	select {
	case err := <-served:
		if !errors.Is(err, fatal) {
			t.Errorf("the server ended with %v", err)
		}
	case <-time.After(eventually):
		t.Error("the server does not hear of the error")
	}
	_, _ = second.Close(), client.Close()
	if err := server.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// A connection that nobody takes any more is closed with the socket.
func TestOfferedToNobody(t *testing.T) {
	noLeak(t)
	shared := &sharedListener{accepted: make(chan acceptance), done: make(chan struct{})}
	close(shared.done)
	server, client := net.Pipe()
	shared.offer(acceptance{conn: server})
	shared.offer(acceptance{err: fmt.Errorf("whatever")})
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the client reads %v, want the end", err)
	}
}
