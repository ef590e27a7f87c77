package regions

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Regions with coordinates out of the box, in the order that plans name them.
const (
	first  = "eu-central-1"
	second = "us-east-1"
	third  = "ap-south-1"
)

// seen is one request as a backend got it.
type seen struct {
	method, uri string
	header      http.Header
	body        []byte
	err         error // of reading the body
}

// recorder is a backend that remembers what it was sent and answers 200.
type recorder struct {
	mu       sync.Mutex // guards requests
	requests []seen
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	r.mu.Lock()
	r.requests = append(r.requests, seen{req.Method, req.RequestURI, req.Header.Clone(), body, err})
	r.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain")
	_, _ = io.WriteString(w, "done")
}

func (r *recorder) got() []seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]seen(nil), r.requests...)
}

// serve starts a backend and returns its address.
func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// serveSocket starts a backend on a unix socket.
func serveSocket(t *testing.T, path string, h http.Handler) {
	t.Helper()
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(h)
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
}

// serveRaw runs handle for each connection to the returned address, one after
// another, and closes the connection afterwards.
func serveRaw(t *testing.T, handle func(conn net.Conn)) (address string, listener net.Listener) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			handle(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return "http://" + listener.Addr().String(), listener
}

// readHead reads a request up to the empty line after its headers.
func readHead(conn net.Conn) (string, error) {
	var head []byte
	for one := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); {
		if _, err := conn.Read(one); err != nil {
			return string(head), err
		}
		head = append(head, one[0])
	}
	return string(head), nil
}

// socketPath returns a path on which nobody listens: what has this address
// refuses connections for certain, unlike a port that was free just now.
func socketPath(t testing.TB) string {
	t.Helper()
	// Not t.TempDir: a test's name may not fit in a socket's address.
	dir, err := os.MkdirTemp("", "edge")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func dead(t testing.TB) string { return "unix/" + socketPath(t) }

func region(t testing.TB, name string, addresses ...string) Region {
	t.Helper()
	r := Region{Name: name}
	for _, address := range addresses {
		b, err := ParseBackend(address)
		if err != nil {
			t.Fatal(err)
		}
		r.Backends = append(r.Backends, b)
	}
	return r
}

// world is a network with living state of its own and a transport over it.
type world struct {
	*Network
	*Transport
	living *ownState
	set    map[string]*Region
}

// ownState is living state that ends with the test.
type ownState struct {
	t      testing.TB
	states map[string]*RegionState
	ranker Ranker
	dial   func(ctx context.Context, network, address string) (net.Conn, error) // of new backends; nil for the real one

	mu         sync.Mutex // guards the fields below
	upstreams  map[string]*Upstream
	references map[string]int
}

func newState(t testing.TB) *ownState {
	return &ownState{t: t, upstreams: make(map[string]*Upstream), references: make(map[string]int), states: make(map[string]*RegionState)}
}

func (s *ownState) Upstream(region string, b Backend) *Upstream {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := region + " " + b.Key()
	if s.upstreams[key] == nil {
		s.upstreams[key] = NewUpstream(b)
		if s.dial != nil {
			dialBy(s.upstreams[key], s.dial)
		}
		s.t.Cleanup(s.upstreams[key].Close)
	}
	s.references[key]++
	return s.upstreams[key]
}

func (s *ownState) Release(region string, b Backend) {
	s.mu.Lock()
	key := region + " " + b.Key()
	u := s.upstreams[key]
	s.references[key]--
	last := s.references[key] == 0
	if last {
		delete(s.references, key)
	}
	s.mu.Unlock()
	if !last {
		return
	}
	u.Close()
	u.WhenIdle(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.references[key] == 0 && !u.Busy() {
			delete(s.upstreams, key)
		}
	})
}

// kept returns how many backends have a state, also those that none holds.
func (s *ownState) kept() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.upstreams)
}

// held returns how many backends are held.
func (s *ownState) held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.references)
}

func (s *ownState) Region(name string) *RegionState {
	if s.states[name] == nil {
		s.states[name] = new(RegionState)
	}
	return s.states[name]
}

func (s *ownState) Ranker() *Ranker { return &s.ranker }

func newWorld(t testing.TB, rs ...Region) *world {
	t.Helper()
	w := &world{living: newState(t), set: make(map[string]*Region)}
	w.Network = NewNetwork(NetworkConfig{Set: newSet(t, rs...), States: w.living})
	w.Transport = &Transport{Network: w.Network, Replay: NewReplayMemory()}
	for _, r := range w.Set.All() {
		w.set[r.Name] = r
	}
	// Whatever a test did, nothing may stay in flight (checked before the
	// connections are closed).
	t.Cleanup(func() {
		if n := w.Replay.Stats().Bytes; n != 0 {
			t.Errorf("%d bytes are kept at the end", n)
		}
		for _, r := range w.Set.All() {
			for _, socket := range []bool{false, true} {
				if n := w.State(r).load.Of(socket).Held(); n != 0 {
					t.Errorf("%s: %d places are held at the end", r.Name, n)
				}
			}
			for _, u := range w.Upstreams(r) {
				if n := u.calls.Load(); n != 0 {
					t.Errorf("%s in %s: %d in flight at the end", u.Backend.Address, r.Name, n)
				}
			}
		}
	})
	return w
}

// state returns how the only backend of a region is.
func (w *world) state(name string) State { return w.upstream(name).View(time.Now()).State }

// hold opens the breaker of a backend.
func hold(t testing.TB, u *Upstream) {
	t.Helper()
	for i := range breakerRun {
		done, ok := u.allow()
		if !ok && i == 0 {
			t.Fatal("the breaker is open already")
		}
		if !ok {
			return // one failure is enough for one that tries again
		}
		done(ErrBackend)
	}
}

// failures returns how often a backend was blamed.
func failures(u *Upstream) int { return int(u.breaker.circuit.Counts().TotalFailures) }

// dialBy has a backend's connections made by dial.
func dialBy(u *Upstream, dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	u.dial = dial
}

// upstream returns the only backend of a region.
func (w *world) upstream(name string) *Upstream { return w.Upstreams(w.set[name])[0] }

// nearest is the plan of a request that names no region.
func (w *world) nearest(names ...string) Plan {
	return w.plan(ReasonNearest, false, names...)
}

func (w *world) plan(reason Reason, strict bool, names ...string) Plan {
	p := Plan{Strict: strict}
	for _, name := range names {
		if len(p.Candidates) > 0 && reason != ReasonExplicitList {
			reason = ReasonFailover
		}
		p.Candidates = append(p.Candidates, Candidate{Region: w.set[name], Reason: reason})
	}
	return p
}

// begin starts an exchange that ends with the test.
func (w *world) begin(t testing.TB, plan Plan, limits Limits) (*Exchange, context.Context) {
	t.Helper()
	x, ctx := Begin(t.Context(), plan, limits)
	t.Cleanup(x.End)
	return x, ctx
}

// newRequest is a request as httputil.ReverseProxy hands it to the transport;
// length -1 is a chunked body.
func newRequest(ctx context.Context, method string, body io.Reader, length int64) *http.Request {
	req := (&http.Request{
		Method: method, URL: nil, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Host: "project.example.com", ContentLength: length,
	}).WithContext(ctx)
	req.URL = opaque("/hello/a%2Fb?x=1")
	if body != nil {
		req.Body = io.NopCloser(body)
	}
	return req
}

// get asks without a body and reads the answer.
func (w *world) get(t testing.TB, plan Plan) (*Exchange, string, error) {
	t.Helper()
	x, ctx := w.begin(t, plan, Limits{})
	text, err := w.exchange(newRequest(ctx, http.MethodGet, nil, 0))
	return x, text, err
}

// exchange sends a request and reads the answer to its end.
func (w *world) exchange(req *http.Request) (string, error) {
	res, err := w.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return string(text), err
}

// check compares how an exchange went; nil wantErr is an answer.
func check(t *testing.T, x *Exchange, err, wantErr error, name string, reason Reason, attempts int) {
	t.Helper()
	if !errors.Is(err, wantErr) {
		t.Errorf("error %v, want %v", err, wantErr)
	}
	if x.Region == nil || x.Region.Name != name || x.Reason != reason || x.Attempts != attempts {
		t.Errorf("region %v, reason %s, %d attempts; want %s, %s, %d", x.Region, x.Reason, x.Attempts, name, reason, attempts)
	}
}

func pattern(n int) []byte {
	return []byte(strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz-", n/37+1)[:n])
}

// checkError compares an error with its exact text, "" for none.
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("error\n got: %s\nwant: %s", got, want)
	}
}
