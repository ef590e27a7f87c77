//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// tenants is a gateway with ten projects before regions whose functions sleep:
// one is noisy, the others are quiet.
type tenants struct {
	*gateway
	config config
	client *http.Client
}

const napTime = 20 * time.Millisecond

func refOf(i int) string { return strings.Repeat(string(rune('a'+i)), 20) }

// noisy and quiet are two of them.
var noisy, quiet = refOf(0), refOf(1)

// startTenants runs one backend for each region; regions are the lines of each
// region's block.
func startTenants(t *testing.T, options string, regions ...string) *tenants {
	t.Helper()
	var projects []object
	for i := range 10 {
		projects = append(projects, object{"ref": refOf(i), "organization": "acme", "functions": []object{
			{"slug": "nap", "verify_jwt": false},
			{"slug": "hang", "verify_jwt": false},
			{"slug": "socket", "verify_jwt": false},
			{"slug": "own-cors", "verify_jwt": false, "cors": "function"},
		}})
	}
	path := filepath.Join(t.TempDir(), "projects.json")
	replaceFile(t, path, document(projects...))
	c := config{source: "projects file " + path, options: options, backends: []backend{}}
	for i, lines := range regions {
		server := httptest.NewServer(http.HandlerFunc(sleeping))
		t.Cleanup(server.Close)
		c.backends = append(c.backends, backend{
			region: regionNames[i], address: strings.TrimPrefix(server.URL, "http://"), more: fmt.Sprintf("\t\t\tbias %dms\n\t\t\t%s\n", 40*i, lines),
		})
	}
	w := &tenants{gateway: startGateway(t, c), config: c, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}}
	t.Cleanup(w.client.CloseIdleConnections)
	return w
}

// sleeping is a backend that costs no processor's time.
func sleeping(rw http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/nap"):
		time.Sleep(napTime)
	case strings.HasPrefix(r.URL.Path, "/hang"), strings.HasPrefix(r.URL.Path, "/own-cors"):
		<-r.Context().Done()
	case strings.HasPrefix(r.URL.Path, "/socket"):
		holdSocket(rw)
	}
}

// seen is how calls ended: "STATUS CODE REGION REASON", and how long they took.
type seen struct {
	mu   sync.Mutex // guards the fields below
	ends map[string]int
	took []time.Duration
}

// refused counts the calls that got no 200, with an example.
func (s *seen) refused() (n int, example string) {
	for end, times := range s.ends {
		if !strings.HasPrefix(end, "200 ") {
			n, example = n+times, end
		}
	}
	return n, example
}

func (s *seen) p99() time.Duration {
	if len(s.took) == 0 {
		return 0
	}
	slices.Sort(s.took)
	return s.took[len(s.took)*99/100]
}

// ask makes one call; err is the client's own.
func (w *tenants) ask(ctx context.Context, method, ref, slug string, header ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, w.url+"/functions/v1/"+slug, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Host = ref + ".example.test"
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := w.client.Do(req)
	if err == nil {
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	return res, err
}

func endOf(res *http.Response) string {
	h := res.Header
	return fmt.Sprintf("%d %s %s %s", res.StatusCode, h.Get("Sb-Error-Code"), h.Get("X-Sb-Edge-Region"), h.Get("X-Sb-Region-Reason"))
}

// loop has workers call in a closed loop until ctx is done.
func (w *tenants) loop(ctx context.Context, wg *sync.WaitGroup, s *seen, workers int, ref string, header ...string) {
	for range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				res, err := w.ask(context.Background(), http.MethodGet, ref, "nap", header...)
				end := fmt.Sprint(err)
				if err == nil {
					end = endOf(res)
				}
				s.mu.Lock()
				s.took = append(s.took, time.Since(began))
				s.ends[end]++
				s.mu.Unlock()
			}
		})
	}
}

// others runs the nine quiet projects for a while beside what is going on.
func (w *tenants) others(d time.Duration, workers int) *seen {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	s := &seen{ends: make(map[string]int)}
	var wg sync.WaitGroup
	for i := 1; i < 10; i++ {
		w.loop(ctx, &wg, s, workers, refOf(i))
	}
	wg.Wait()
	return s
}

// hang has n calls of a project hang until the returned function is called.
// Those that are refused are over at once.
func (w *tenants) hang(n int, ref, slug string, header ...string) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { _, _ = w.ask(ctx, http.MethodGet, ref, slug, header...) })
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// open asks for a WebSocket of a project.
func (w *tenants) open(t *testing.T, ref string) (conn net.Conn, status int) {
	t.Helper()
	conn = dial(t, w.addr)
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	write(t, conn, rawRequest("GET", "/functions/v1/socket", ref+".example.test", "",
		"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return conn, res.StatusCode
}

// roomSaid is what status says of a region.
type roomSaid struct {
	Region   string
	InFlight int64 `json:"in_flight"`
	Capacity *int64
	Load     *float64
	Refused  map[string]uint64
	Sockets  struct {
		InFlight int64 `json:"in_flight"`
		Capacity *int64
		Refused  map[string]uint64
	} `json:"websockets"`
}

func (w *tenants) said(t *testing.T) (all []roomSaid) {
	t.Helper()
	var status struct{ Regions []roomSaid }
	adminGet(t, w.gateway, "/edge_functions/status", &status)
	return status.Regions
}

// holds waits until a region has so many calls and WebSockets.
func (w *tenants) holds(t *testing.T, calls, sockets int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d calls and %d WebSockets", calls, sockets), func() bool {
		r := w.said(t)[0]
		return r.InFlight == calls && r.Sockets.InFlight == sockets
	})
}

// noise is how large the tests of a noisy tenant are.
type noise struct {
	capacity int           // of the region
	workers  int           // of each quiet project; the noisy one has twenty times as many
	long     time.Duration // of each measurement
	rounds   int           // of which the median counts
	ratio    float64       // what the 99th percentile may become
	slack    time.Duration // that a busy machine adds by itself
}

// Contract 9.6: with `capacity`, nothing that one project does has a call of the others refused: twenty times their calls in a
// closed loop, as many hung calls as the region can run, as many WebSockets; and they are as fast as without it.
func TestOneTenantLeavesRoom(t *testing.T) {
	n := roomNoise
	w, calm := startTenants(t, "", fmt.Sprintf("capacity %d", n.capacity)), startTenants(t, "", fmt.Sprintf("capacity %d", n.capacity))
	for _, g := range []*tenants{w, calm} {
		eventually(t, "the projects are there", func() bool { return g.call(t, quiet, "nap", "") == http.StatusOK })
	}
	most := int64(n.capacity * 80 / 100)
	measure := func(what string) {
		t.Helper()
		n.measure(t, what, calm, w)
	}
	measure("closed loop")
	w.holds(t, 0, 0)

	end := w.hang(n.capacity*3/2, noisy, "hang")
	w.holds(t, most, 0)
	if res, err := w.ask(t.Context(), http.MethodGet, noisy, "nap"); err != nil || res.StatusCode != 503 ||
		res.Header.Get("Sb-Error-Code") != "GATEWAY_OVERLOADED" || res.Header.Get("Retry-After") == "" {
		t.Errorf("one more of the noisy project: %v, %v", res, err)
	}
	measure("hung calls")
	if r := w.said(t)[0]; r.Refused["capacity_share"] == 0 {
		t.Errorf("refused: %v", r.Refused)
	}
	end()
	w.holds(t, 0, 0)

	var sockets []net.Conn
	for range n.capacity {
		conn, status := w.open(t, noisy)
		if status != http.StatusSwitchingProtocols {
			t.Fatalf("a WebSocket got %d", status)
		}
		sockets = append(sockets, conn)
	}
	w.holds(t, 0, int64(n.capacity))
	// WebSockets are no load: calls neither wait nor go elsewhere for them.
	if load := w.said(t)[0].Load; load == nil || *load != 0 {
		t.Errorf("the load is %v beside WebSockets alone", load)
	}
	measure("WebSockets")
	for range n.capacity * 4 {
		conn, status := w.open(t, noisy)
		if status == http.StatusServiceUnavailable {
			break
		}
		sockets = append(sockets, conn)
	}
	if want := n.capacity * 4 * 80 / 100; len(sockets) != want {
		t.Errorf("the noisy project has %d WebSockets, want %d", len(sockets), want)
	}
	w.holds(t, 0, int64(len(sockets)))
	for i := 1; i < 10; i++ {
		conn, status := w.open(t, refOf(i))
		if status != http.StatusSwitchingProtocols {
			t.Errorf("a WebSocket of %s beside as many as one may have got %d", refOf(i), status)
		}
		conn.Close()
	}
	w.others(n.long/4, n.workers).unrefused(t, "beside as many WebSockets as one may have")
	for _, conn := range sockets {
		conn.Close()
	}
	w.holds(t, 0, 0)
}

// measure compares the others' 99th percentile beside the noisy project with what it is in a calm gateway: in turns, since how busy
// the machine is changes. It fails if a call of theirs is refused.
func (n noise) measure(t *testing.T, what string, calm, loud *tenants) {
	t.Helper()
	var ratios []float64
	for range n.rounds {
		alone := calm.others(n.long, n.workers)
		alone.unrefused(t, what+", in the calm gateway")
		ctx, stop := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		if what == "closed loop" {
			loud.loop(ctx, &wg, &seen{ends: make(map[string]int)}, 20*n.workers, noisy)
		}
		with := loud.others(n.long, n.workers)
		stop()
		wg.Wait()
		with.unrefused(t, what)
		ratios = append(ratios, float64(max(with.p99()-n.slack, 0))/float64(alone.p99()))
		t.Logf("%s: %d calls, 99th percentile %s; calm: %d, %s", what, len(with.took), with.p99(), len(alone.took), alone.p99())
	}
	slices.Sort(ratios)
	if got := ratios[len(ratios)/2]; got > n.ratio {
		t.Errorf("%s: the others' 99th percentile is %.2f of what it is alone (from %.2f to %.2f in %d rounds), want at most %.2f",
			what, got, ratios[0], ratios[len(ratios)-1], n.rounds, n.ratio)
	}
}

func (s *seen) unrefused(t *testing.T, what string) {
	t.Helper()
	if n, example := s.refused(); n > 0 || len(s.took) == 0 {
		t.Errorf("%s: %d of %d calls of the others were not answered 200, such as %q", what, n, len(s.took), example)
	}
}
