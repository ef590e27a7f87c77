package handover

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// eventually bounds everything a test waits for.
const eventually = 10 * time.Second

// noLeak fails the test when goroutines outlive it.
func noLeak(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// listenOn opens another use of a loopback socket, or the first one for port 0.
func listenOn(t *testing.T, port string) *listenerUse {
	t.Helper()
	use, err := listenShared(t.Context(), network, "127.0.0.1", port, 0, net.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return use.(*listenerUse)
}

// generation is the server of one configuration.
type generation struct {
	*http.Server
	use    *listenerUse
	served chan error
}

// serveGeneration starts a server on the socket as Caddy does. All generations of a test share port 0, which is one
// socket as long as one of them runs.
func serveGeneration(t *testing.T, handler http.Handler) *generation {
	t.Helper()
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	g := &generation{
		Server: &http.Server{Handler: handler, ConnState: connChanged, ConnContext: connContext, Protocols: &protocols},
		use:    listenOn(t, "0"), served: make(chan error, 1),
	}
	go func() { g.served <- g.Serve(g.use) }()
	t.Cleanup(func() { _ = g.Close() }) // where the test ended early
	return g
}

// stop ends the server as Caddy does.
func (g *generation) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), eventually)
	defer cancel()
	if err := g.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if err := <-g.served; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("serve: %v", err)
	}
}

func (g *generation) address() string { return g.use.Addr().String() }

// handling tells the connection that the request is being handled, as Handler does.
func handling(f http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Begin(r)
		f(w, r)
	})
}

// echo answers with the path and the body.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, "%s %s", r.URL.Path, body)
}

// tally counts how often each request was executed.
type tally struct {
	mu   sync.Mutex
	seen map[string]int
}

func (c *tally) add(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = make(map[string]int)
	}
	c.seen[id]++
}

func (c *tally) count(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[id]
}

// rawClient is a client's socket that a test writes to byte by byte.
type rawClient struct {
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, address string) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(eventually)); err != nil {
		t.Fatal(err)
	}
	return &rawClient{conn, bufio.NewReader(conn)}
}

func (c *rawClient) send(t *testing.T, bytes string) {
	t.Helper()
	if _, err := io.WriteString(c, bytes); err != nil {
		t.Fatalf("sending: %v", err)
	}
}

// answer reads one answer's body.
func (c *rawClient) answer(t *testing.T) string {
	t.Helper()
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatalf("reading an answer: %v", err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("reading a body: %v", err)
	}
	return strconv.Itoa(res.StatusCode) + " " + string(body)
}

func (c *rawClient) expectAnswer(t *testing.T, want string) {
	t.Helper()
	if got := c.answer(t); got != want {
		t.Errorf("answer %q, want %q", got, want)
	}
}

// expectEnd fails unless the server ended the connection.
func (c *rawClient) expectEnd(t *testing.T) {
	t.Helper()
	if b, err := c.in.ReadByte(); err == nil {
		t.Errorf("the server sent %q instead of the end", b)
	} else if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		t.Error("the connection is still open")
	}
}

// gated is a handler that holds the request for the path /hold until it is released.
type gated struct {
	executed tally
	entered  chan struct{}
	release  chan struct{}
}

func newGated() *gated {
	return &gated{entered: make(chan struct{}, 10), release: make(chan struct{})}
}

func (g *gated) handler(name string) http.Handler {
	return handling(func(w http.ResponseWriter, r *http.Request) {
		g.executed.add(r.URL.Path)
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		if strings.HasPrefix(r.URL.Path, "/hold") {
			// The head is out before the server knows that it stops: the connection is to be kept.
			w.Header().Set("Content-Length", strconv.Itoa(len(name)+len(r.URL.Path)))
			w.(http.Flusher).Flush()
			g.entered <- struct{}{}
			<-g.release
		}
		fmt.Fprint(w, name, r.URL.Path)
	})
}

// await waits for a channel.
func await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(eventually):
		t.Fatalf("waiting in vain: %s", what)
	}
}
