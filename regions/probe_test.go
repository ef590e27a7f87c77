package regions

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// How a backend takes probes.
const (
	answers  = "answers"
	refuses  = "refuses" // connections, and breaks those that are there
	hangs    = "hangs"   // a black hole: connections and requests are swallowed
	fails500 = "500"
	fails404 = "404"
	upgrades = "101" // answers with another protocol, and says nothing more
	endless  = "a body that never ends"
)

// patient is a backend in virtual time that a test switches.
type patient struct {
	mode   atomic.Pointer[string]
	delay  atomic.Int64 // of each answer
	uris   sync.Map
	probes atomic.Int32
}

func (p *patient) become(mode string) { p.mode.Store(&mode) }

// watch runs a network over one region with one backend, which p is, in a bubble.
func watch(t *testing.T, change func(*Region), f func(t *testing.T, w *world, p *patient)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p, over := new(patient), make(chan struct{})
		p.become(answers)
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p.uris.Store(r.RequestURI, true)
			p.probes.Add(1)
			time.Sleep(time.Duration(p.delay.Load()))
			switch *p.mode.Load() {
			case hangs:
				select {
				case <-over:
				case <-r.Context().Done():
				}
			case refuses:
				panic(http.ErrAbortHandler) // its connections break as well
			case fails500:
				w.WriteHeader(http.StatusInternalServerError)
			case fails404:
				w.WriteHeader(http.StatusNotFound)
			case upgrades:
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
				_, _ = conn.Read(make([]byte, 1)) // until the prober closes it
			case endless:
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}
		})}
		r := region(t, first, "http://backend")
		if change != nil {
			change(&r)
		}
		w := newWorld(t, r)
		dialBy(w.upstream(first), func(ctx context.Context, network, address string) (net.Conn, error) {
			switch *p.mode.Load() {
			case refuses:
				return nil, errors.New("connection refused")
			case hangs:
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return l.dial(ctx, network, address)
		})
		go func() { _ = server.Serve(l) }()
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		w.Apply(nil, nil)
		running.Go(func() { w.Run(ctx) })
		t.Cleanup(func() {
			cancel()
			running.Wait()
			close(over)
			_ = server.Close()
			w.upstream(first).Close()
			<-time.After(2 * time.Second) // the server lingers before it closes a connection
		})
		f(t, w, p)
	})
}

// becomes waits until the region is in a state and returns how long that took.
func (w *world) becomes(t *testing.T, want State) time.Duration {
	t.Helper()
	start := time.Now()
	for w.View().Regions[0].State != want {
		if time.Since(start) > time.Minute {
			t.Fatalf("it is %s after a minute, not %s", w.View().Regions[0].State, want)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return time.Since(start)
}

// Contract 9.1: however a backend goes away, it is noticed within eight seconds without a
// request, and its return after three good probes.
func TestProbesNotice(t *testing.T) {
	for _, tc := range []struct {
		mode string
		uri  string
		down bool
	}{
		{refuses, "", true},
		{hangs, "", true},
		{fails500, "", false}, // stock runtimes answer so
		{fails404, "", false},
		{fails500, "/ready", true},
		{fails404, "/ready?deep=1", true},
		{upgrades, "", false},
		{upgrades, "/ready", true},
		{endless, "", false},
	} {
		t.Run(tc.mode+" "+tc.uri, func(t *testing.T) {
			watch(t, func(r *Region) { r.HealthURI = tc.uri }, func(t *testing.T, w *world, p *patient) {
				if took := w.becomes(t, StateUp); took > time.Second {
					t.Errorf("up after %v", took)
				}
				time.Sleep(10 * time.Second)
				p.become(tc.mode)
				if !tc.down {
					time.Sleep(time.Minute)
					if state := w.View().Regions[0].State; state != StateUp {
						t.Errorf("it is %s", state)
					}
					return
				}
				if took := w.becomes(t, StateDown); took > 8*time.Second || took < 2*time.Second {
					t.Errorf("down after %v", took)
				}
				passed, failed := w.State(w.set[first]).Probes()
				if passed < 4 || failed < 3 || failed > 8 { // of 10 s, and of at most 8 s with time-outs
					t.Errorf("%d probes passed, %d failed", passed, failed)
				}
				p.become(answers)
				if took := w.becomes(t, StateUp); took > 8*time.Second || took < 3*time.Second {
					t.Errorf("up again after %v", took)
				}
				if share := w.View().Regions[0].SlowStart; share > 0.2 {
					t.Errorf("it begins with a share of %v", share)
				}
				uri := tc.uri
				if uri == "" {
					uri = DefaultHealthURI
				}
				if _, asked := p.uris.Load(uri); !asked {
					t.Errorf("%s was not asked for", uri)
				}
			})
		})
	}
}

// The round trip is measured on connections that are warm, from the first round
// of probes on.
func TestProbesMeasure(t *testing.T) {
	watch(t, nil, func(t *testing.T, w *world, p *patient) {
		p.delay.Store(int64(40 * ms))
		time.Sleep(5 * time.Second) // the first probe may have had no warm connection
		d := w.View().Regions[0].Distance
		if !d.Measured || d.RTT != 40*ms {
			t.Errorf("five seconds after the start: %+v", d)
		}
		p.delay.Store(int64(200 * ms))
		time.Sleep(time.Minute)
		if d := w.View().Regions[0].Distance; d.Base != 40*ms || d.Fast < 190*ms || w.View().Regions[0].State != StateDegraded {
			t.Errorf("five times as slow: %+v, %s", d, w.View().Regions[0].State)
		}
		if location := w.View().Location; location.Source != LocationInferred || location.Place.Region != first {
			t.Errorf("the gateway is in %+v", location)
		}
	})
}

// Another configuration goes on with what is known, and brings its settings.
func TestStateSurvivesConfigurations(t *testing.T) {
	watch(t, nil, func(t *testing.T, w *world, p *patient) {
		p.delay.Store(int64(5 * ms))
		w.becomes(t, StateUp)
		time.Sleep(20 * time.Second)
		p.become(refuses)
		w.becomes(t, StateDown)
		w.State(w.set[first]).SetDrain(Drain{Since: time.Now(), Over: time.Hour})
		since := w.View().Regions[0].Backends[0].Since

		r := region(t, first, "http://backend")
		r.Capacity, r.HealthURI = 7, "/other"
		next := NewNetwork(NetworkConfig{Set: newSet(t, r), States: w.living})
		v := next.View()
		if got := v.Regions[0]; got.Health != StateDown || got.State != StateDraining || !got.Backends[0].Since.Equal(since) || !got.Distance.Measured {
			t.Errorf("the next configuration begins with %+v", got)
		}
		if capacity := v.Regions[0].Load.Capacity(); capacity != 0 {
			t.Errorf("a configuration that does not run has set a capacity of %d", capacity)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		next.Apply(nil, nil)
		running.Go(func() { next.Run(ctx) })
		p.become(answers)
		time.Sleep(10 * time.Second)
		if got := next.View().Regions[0]; got.Health != StateUp || got.Load.Capacity() != 7 {
			t.Errorf("it became %s with a capacity of %d", got.Health, got.Load.Capacity())
		}
		if _, asked := p.uris.Load("/other"); !asked {
			t.Error("the new health URI was not asked for")
		}
		cancel()
		running.Wait()
	})
}

// A breaker that opens is seen in the view at once, not at the next probe.
func TestBreakersAreSeenAtOnce(t *testing.T) {
	watch(t, nil, func(t *testing.T, w *world, _ *patient) {
		w.becomes(t, StateUp)
		hold(t, w.upstream(first))
		synctest.Wait()
		if state := w.View().Regions[0].State; state != StateDown {
			t.Errorf("it is %s", state)
		}
	})
}
