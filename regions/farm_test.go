package regions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgegate/edgegate/regions/discovery"
)

// farm is the backends of a region whose source is a list that the test sets, in
// virtual time.
type farm struct {
	*world
	t *testing.T

	mu      sync.Mutex // guards the fields below
	servers map[string]*farmed
	list    []discovery.Endpoint
	err     error
	hangs   bool
	lookups int
}

// farmed is one backend of a farm.
type farmed struct {
	*pipes
	server *http.Server
	mu     sync.Mutex // guards calls
	calls  []time.Time
	opened int // connections
	closed int
	holds  chan struct{} // calls of /hold wait for it
	own    atomic.Bool   // it answers probes as the gateway itself does
	echoes atomic.Bool   // its answers have the header of the probe
}

// newFarm runs f in a bubble, with a region of fixed backends and one source.
func newFarm(t *testing.T, fixed []string, f func(t *testing.T, f *farm)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		farm := &farm{t: t, servers: make(map[string]*farmed)}
		r := region(t, first, fixed...)
		r.Sources = []discovery.Source{{Name: "test", Scheme: "http", Lookup: farm.lookup}}
		for _, b := range r.Backends {
			farm.start(b.DialAddress)
		}
		farm.world = newFarmWorld(t, farm, r)
		t.Cleanup(func() {
			farm.mu.Lock()
			defer farm.mu.Unlock()
			for _, s := range farm.servers {
				_ = s.server.Close()
			}
			<-time.After(time.Second)
		})
		f(t, farm)
	})
}

func newFarmWorld(t *testing.T, f *farm, r Region) *world {
	t.Helper()
	living := newState(t)
	living.dial = f.dial
	set, err := NewSet([]Region{r})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{living: living, set: map[string]*Region{first: set.All()[0]}}
	w.Network = NewNetwork(NetworkConfig{Set: set, States: living})
	w.Transport = &Transport{Network: w.Network}
	return w
}

// run has the network run until the returned function is called.
func (f *farm) run() (stop func()) {
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan struct{})
	f.Apply(nil, nil)
	go func() { defer close(done); f.Run(ctx) }()
	synctest.Wait()
	return func() { cancel(); <-done }
}

func (f *farm) lookup(ctx context.Context) ([]discovery.Endpoint, error) {
	f.mu.Lock()
	f.lookups++
	hangs, err, list := f.hangs, f.err, slices.Clone(f.list)
	f.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return list, err
}

// start starts a backend.
func (f *farm) start(address string) *farmed {
	s := &farmed{pipes: &pipes{make(chan net.Conn), make(chan struct{})}, holds: make(chan struct{})}
	s.server = &http.Server{
		ErrorLog: log.New(io.Discard, "", 0),
		ConnState: func(_ net.Conn, state http.ConnState) {
			s.mu.Lock()
			defer s.mu.Unlock()
			switch state {
			case http.StateNew:
				s.opened++
			case http.StateClosed, http.StateHijacked:
				s.closed++
			case http.StateActive, http.StateIdle:
			}
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s.echoes.Load() {
				w.Header().Set(headerProbe, r.Header.Get(headerProbe))
			}
			if s.own.Load() && AnswerOwnProbe(w, r) {
				return
			}
			if r.UserAgent() != "edgegate-health" {
				s.mu.Lock()
				s.calls = append(s.calls, time.Now())
				s.mu.Unlock()
			}
			if r.RequestURI == "/hold" {
				<-s.holds
			}
			_, _ = io.WriteString(w, address)
		}),
	}
	go func() { _ = s.server.Serve(s.pipes) }()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.servers[address] = s
	return s
}

// kill ends a backend and its connections.
func (f *farm) kill(address string) {
	f.mu.Lock()
	s := f.servers[address]
	delete(f.servers, address)
	f.mu.Unlock()
	_ = s.server.Close()
}

func (f *farm) dial(ctx context.Context, network, address string) (net.Conn, error) {
	f.mu.Lock()
	s := f.servers[address]
	f.mu.Unlock()
	if s == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	return s.pipes.dial(ctx, network, address)
}

// lists has the source list addresses from now on.
func (f *farm) lists(addresses ...string) {
	list := make([]discovery.Endpoint, len(addresses))
	for i, a := range addresses {
		list[i].Address = a
	}
	f.answers(list...)
}

func (f *farm) answers(list ...discovery.Endpoint) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list, f.err, f.hangs = list, nil, false
}

// fails has the look-ups fail, or hang, from now on.
func (f *farm) fails(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list, f.err, f.hangs = nil, err, err == nil
}

// without has the look-ups find the list that was set, but for a part, from now on.
func (f *farm) without(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// call makes a call that names the region, and returns the address of the backend
// that answered.
func (f *farm) call(uri string) (string, error) {
	x, ctx := Begin(f.t.Context(), f.plan(ReasonExplicit, true, first), Limits{})
	defer x.End()
	req := newRequest(ctx, http.MethodPost, nil, 0)
	req.URL = opaque(uri)
	return f.exchange(req)
}

// spread makes calls, which must all be answered, and counts them by backend.
func (f *farm) spread(n int) map[string]int {
	f.t.Helper()
	counts := make(map[string]int)
	for range n {
		got, err := f.call("/x")
		if err != nil {
			f.t.Fatalf("at %s: %v", f.since(), err)
		}
		counts[got]++
	}
	return counts
}

var farmEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // of synctest

func (f *farm) since() time.Duration { return time.Since(farmEpoch) }

// only fails unless exactly these backends have calls.
func (f *farm) only(counts map[string]int, want ...string) {
	f.t.Helper()
	if got := slices.Sorted(maps.Keys(counts)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		f.t.Errorf("calls went to %v, want %v", counts, want)
	}
}

// phases returns the backends as "address state phase", in order of the view.
func (f *farm) phases() (all []string) {
	v := f.Refresh(time.Now()).Regions[0]
	for _, b := range append(slices.Clone(v.Backends), v.Others...) {
		text := fmt.Sprintf("%s %s", b.Address, b.State)
		if b.Phase != "" {
			text += " " + string(b.Phase)
		}
		all = append(all, text)
	}
	return all
}

func (f *farm) expect(want ...string) {
	f.t.Helper()
	if got := f.phases(); !slices.Equal(got, want) {
		f.t.Errorf("at %s: backends\n got %q\nwant %q", f.since(), got, want)
	}
}

// open returns how many connections to a backend are open.
func (s *farmed) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened - s.closed
}

var errNameServer = errors.New("server misbehaving")
