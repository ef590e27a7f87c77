package regions

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgegate/edgegate/regions/discovery"
)

// seenWithin bounds how long after a look-up could say so a backend that left still
// gets calls: the longest interval between look-ups, and the time of one.
const seenWithin = discovery.DefaultInterval*11/10 + discovery.LookupTimeout

// TestChurn has lists change at random, with backends that are started before they are
// listed and stopped after they left, and a source that fails or answers nothing now and
// then: no call fails, none goes to a backend that left a while ago, and at the end
// nothing is held but what is listed.
func TestChurn(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			fixed := []string{"http://10.0.0.1"}[:seed%2]
			newFarm(t, fixed, func(t *testing.T, f *farm) { churn(t, f, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func churn(t *testing.T, f *farm, random *rand.Rand) {
	all := make([]string, 8)
	for i := range all {
		all[i] = fmt.Sprintf("10.0.0.%d:80", i+1)
	}
	listed := []string{all[1], all[2]} // what the source says, or said last
	left := make(map[string]time.Duration)
	started := map[string]bool{all[0]: len(f.Set.All()[0].Backends) > 0}
	list := func(next ...string) {
		for _, a := range next {
			if !started[a] {
				f.start(a)
				started[a] = true
			}
			delete(left, a)
		}
		for _, a := range listed {
			if !slices.Contains(next, a) {
				left[a] = f.since()
			}
		}
		listed = next
		f.lists(next...)
	}
	list(listed...)
	stop := f.run()
	failing := time.Duration(-1) // since when
	for range 60 {
		switch random.IntN(4) {
		case 0, 1:
			next := make([]string, 0, len(all))
			for _, i := range random.Perm(len(all))[:1+random.IntN(5)] {
				next = append(next, all[i])
			}
			// A rolling update: one of the old ones stays until the new ones can work.
			if !slices.ContainsFunc(next, func(a string) bool { return slices.Contains(listed, a) }) {
				next = append(next, listed[0])
			}
			if failing >= 0 {
				for a := range left { // they were kept meanwhile
					left[a] = f.since()
				}
				failing = -1
			}
			list(next...)
		case 2:
			if failing < 0 {
				failing = f.since()
			}
			[]func(){func() { f.fails(errNameServer) }, func() { f.fails(nil) }, func() { f.lists() }}[random.IntN(3)]()
		case 3:
			for a, at := range left { // what left long ago is gone
				if failing < 0 && f.since()-at > time.Minute && !(a == all[0] && len(f.Set.All()[0].Backends) > 0) {
					f.kill(a)
					delete(started, a)
					delete(left, a)
				}
			}
		}
		time.Sleep(time.Duration(random.Int64N(int64(20 * time.Second))))
		for range 1 + random.IntN(20) {
			got, err := f.call("/x")
			if err != nil {
				t.Fatalf("at %s, with %v listed: %v", f.since(), listed, err)
			}
			if at, gone := left[got]; gone && failing < 0 && f.since()-at > seenWithin && !(got == all[0] && len(f.Set.All()[0].Backends) > 0) {
				t.Fatalf("at %s a call went to %s, which left at %s", f.since(), got, at)
			}
		}
	}
	list(all[3])
	time.Sleep(20 * time.Second)
	want := 1 + len(f.Set.All()[0].Backends)
	if n := f.living.held(); n != want {
		t.Errorf("%d backends are held at the end, want %d", n, want)
	}
	for a, s := range f.servers {
		if n := s.open(); n != 0 && a != all[3] && !(a == all[0] && want == 2) {
			t.Errorf("%d connections to %s are open, which left", n, a)
		}
	}
	stop()
	synctest.Wait()
}

// BenchmarkFirst is what the choice of a backend costs a call.
func BenchmarkFirst(b *testing.B) {
	for _, n := range []int{1, 2, 200, 1000} {
		for _, weighted := range []bool{false, true} {
			from := make([]listed, n)
			for i := range from {
				u := newTestUpstream()
				from[i] = listed{upstream: u, state: StateUp, weight: 1, counted: true}
				if weighted {
					from[i].weight = float64(1 + i%7)
				}
			}
			list := newMemberList(from)
			b.Run(fmt.Sprintf("%d backends, weighted %t", n, weighted), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if list.first(time.Now(), false) == nil {
						b.Fatal("none")
					}
				}
			})
		}
	}
}

// BenchmarkRefresh is the work in the background, which is done four times a second and
// after changes.
func BenchmarkRefresh(b *testing.B) {
	living := newState(b)
	var rs []Region
	for i := range 14 {
		r := Region{Name: fmt.Sprintf("r%d", i), HasCoordinates: true}
		r.Sources = []discovery.Source{{Name: "s", Scheme: "http"}}
		list := make([]discovery.Endpoint, 200)
		for j := range list {
			list[j].Address = fmt.Sprintf("10.%d.0.%d:80", i, j)
		}
		found, err := listOf(&r.Sources[0], list)
		if err != nil {
			b.Fatal(err)
		}
		living.Region(r.Name).lists.took(time.Now(), r.Sources, &r.Sources[0], found, nil)
		rs = append(rs, r)
	}
	set, err := NewSet(rs)
	if err != nil {
		b.Fatal(err)
	}
	n := NewNetwork(NetworkConfig{Set: set, States: living})
	n.Apply(nil, nil)
	n.setRunning(true)
	b.ReportAllocs()
	for b.Loop() {
		n.Refresh(time.Now())
	}
}

// BenchmarkRoundTripWhileListsChange is what lists cost calls: 14 regions with 200
// backends each, of which one changes every second, beside one region with a fixed
// backend.
func BenchmarkRoundTripWhileListsChange(b *testing.B) {
	const each = 200
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	listener, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		b.Fatal(err)
	}
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	b.Cleanup(server.Close)
	port := listener.Addr().(*net.TCPAddr).Port
	names := []string{first, second, third}
	for i := range 11 {
		names = append(names, fmt.Sprintf("r%d", i))
	}
	for _, many := range []bool{false, true} {
		name := "one fixed backend"
		if many {
			name = fmt.Sprintf("%d regions of %d backends, a change each second", len(names), each)
		}
		b.Run(name, func(b *testing.B) {
			var rs []Region
			for i, name := range names {
				r := Region{Name: name, HasCoordinates: true}
				if !many {
					backend, err := ParseBackend(fmt.Sprintf("http://127.0.0.1:%d", port))
					if err != nil {
						b.Fatal(err)
					}
					rs = append(rs, Region{Name: name, HasCoordinates: true, Backends: []Backend{backend}})
					break
				}
				at := 0
				r.Sources = []discovery.Source{{Name: name, Scheme: "http", Interval: time.Second, Lookup: func(context.Context) ([]discovery.Endpoint, error) {
					at++
					list := make([]discovery.Endpoint, each)
					for j := range list {
						k := j
						if j == 0 {
							k = each + at%50
						}
						list[j].Address = fmt.Sprintf("127.%d.%d.%d:%d", 1+i, k/250, 1+k%250, port)
					}
					return list, nil
				}}}
				rs = append(rs, r)
			}
			set, err := NewSet(rs)
			if err != nil {
				b.Fatal(err)
			}
			living := newState(b)
			n := NewNetwork(NetworkConfig{Set: set, States: living})
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan struct{})
			n.Apply(nil, nil)
			go func() { defer close(done); n.Run(ctx) }()
			defer func() { cancel(); <-done }()
			n.AwaitLists(ctx)
			transport := &Transport{Network: n}
			plan := Plan{Candidates: []Candidate{{Region: set.All()[0], Reason: ReasonNearest}}}
			call := func() {
				x, ctx := Begin(b.Context(), plan, Limits{Idle: 150 * time.Second})
				res, err := transport.RoundTrip(newRequest(ctx, http.MethodGet, nil, 0))
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				x.End()
			}
			time.Sleep(5 * time.Second) // the probes of the start
			for range 10 * each {       // connections to all
				call()
			}
			b.ReportAllocs()
			for b.Loop() {
				call()
			}
			b.ReportMetric(float64(runtime.NumGoroutine()), "goroutines")
		})
	}
}
