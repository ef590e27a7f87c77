package regions

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"testing"
	"time"
)

func opaque(target string) *url.URL { return &url.URL{Opaque: target} }

// Contract 2.3, 2.5, 2.6, 2.7: which region runs an invocation, why, and after
// how many attempts. Each region of the network has one backend, which is
// alive, dead, or held back after failures ("refused", and then it is dead or
// "back" again).
func TestPlanIsCarriedOut(t *testing.T) {
	type plan func(w *world) Plan
	nearest := plan(func(w *world) Plan { return w.nearest(first, second, third) })
	explicit := plan(func(w *world) Plan { return w.plan(ReasonExplicit, true, first) })
	list := plan(func(w *world) Plan { return w.plan(ReasonExplicitList, true, first, second) })
	listAny := plan(func(w *world) Plan {
		p := w.plan(ReasonExplicitList, false, first, second)
		p.Candidates = append(p.Candidates, Candidate{Region: w.set[third], Reason: ReasonFailover})
		return p
	})
	for _, tc := range []struct {
		name     string
		plan     plan
		backends [3]string
		err      error
		region   string
		reason   Reason
		attempts int
	}{
		{"contract 2.6 nearest", nearest, [3]string{"alive", "alive", "alive"}, nil, first, ReasonNearest, 1},
		{
			"contract 2.7 configuration order", func(w *world) Plan { return w.plan(ReasonDefault, false, first, second) },
			[3]string{"alive", "alive", "alive"},
			nil, first, ReasonDefault, 1,
		},
		{
			"contract 2.7 configuration order, first dead", func(w *world) Plan { return w.plan(ReasonDefault, false, first, second) },
			[3]string{"dead", "alive", "alive"},
			nil, second, ReasonFailover, 2,
		},
		{"contract 2.6 next on failure", nearest, [3]string{"dead", "alive", "alive"}, nil, second, ReasonFailover, 2},
		{"contract 2.6 next but one", nearest, [3]string{"dead", "dead", "alive"}, nil, third, ReasonFailover, 3},
		{"contract 2.6 passed over", nearest, [3]string{"refused", "alive", "alive"}, nil, second, ReasonFailover, 1},
		{"contract 2.6 passed over though back", nearest, [3]string{"back", "alive", "alive"}, nil, second, ReasonFailover, 1},
		{"contract 2.6 two passed over", nearest, [3]string{"refused", "refused", "alive"}, nil, third, ReasonFailover, 1},
		{
			"contract 2.6 fail open at the nearest", func(w *world) Plan { return w.plan(ReasonFailOpen, false, first) },
			[3]string{"back", "back", "back"},
			nil, first, ReasonFailOpen, 1,
		},
		{
			"contract 2.6 fail open in vain", func(w *world) Plan { return w.plan(ReasonFailOpen, false, first) },
			[3]string{"refused", "back", "back"},
			ErrUnavailable, first, ReasonFailOpen, 1,
		},
		{"contract 2.6 all down", nearest, [3]string{"dead", "dead", "dead"}, ErrUnavailable, first, ReasonFailOpen, 3},
		{"contract 2.6 all known to be down", nearest, [3]string{"refused", "refused", "refused"}, ErrUnavailable, first, ReasonFailOpen, 0},
		{"contract 2.6 one passed over, two dead", nearest, [3]string{"dead", "back", "dead"}, ErrUnavailable, first, ReasonFailOpen, 2},

		{"contract 2.5 named", explicit, [3]string{"alive", "alive", "alive"}, nil, first, ReasonExplicit, 1},
		{"contract 2.5 named and down", explicit, [3]string{"dead", "alive", "alive"}, ErrUnavailable, first, ReasonExplicit, 1},
		{"contract 2.5 named and known to be down", explicit, [3]string{"back", "alive", "alive"}, ErrUnavailable, first, ReasonExplicit, 0},

		{"contract 2.3 list", list, [3]string{"alive", "alive", "alive"}, nil, first, ReasonExplicitList, 1},
		{"contract 2.3 list, second", list, [3]string{"dead", "alive", "alive"}, nil, second, ReasonExplicitList, 2},
		{"contract 2.3 list, second without asking", list, [3]string{"back", "alive", "alive"}, nil, second, ReasonExplicitList, 1},
		{"contract 2.3 list, none left", list, [3]string{"back", "dead", "alive"}, ErrUnavailable, first, ReasonExplicitList, 1},
		{"contract 2.3 list is never left", list, [3]string{"dead", "dead", "alive"}, ErrUnavailable, first, ReasonExplicitList, 2},
		{"contract 2.3 list known to be down", list, [3]string{"refused", "refused", "alive"}, ErrUnavailable, first, ReasonExplicitList, 0},

		{"contract 2.3 any, listed", listAny, [3]string{"dead", "alive", "alive"}, nil, second, ReasonExplicitList, 2},
		{"contract 2.3 any, left", listAny, [3]string{"dead", "dead", "alive"}, nil, third, ReasonFailover, 3},
		{"contract 2.3 any, all down", listAny, [3]string{"dead", "dead", "dead"}, ErrUnavailable, first, ReasonFailOpen, 3},
		{"contract 2.3 any, all known to be down", listAny, [3]string{"refused", "refused", "refused"}, ErrUnavailable, first, ReasonFailOpen, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			recorders := make(map[string]*recorder)
			var rs []Region
			for i, name := range []string{first, second, third} {
				address := dead(t)
				if state := tc.backends[i]; state == "alive" || state == "back" {
					recorders[name] = &recorder{}
					address = serve(t, recorders[name])
				}
				rs = append(rs, region(t, name, address))
			}
			w := newWorld(t, rs...)
			for i, name := range []string{first, second, third} {
				if state := tc.backends[i]; state == "refused" || state == "back" {
					hold(t, w.upstream(name))
				}
			}
			x, _, err := w.get(t, tc.plan(w))
			check(t, x, err, tc.err, tc.region, tc.reason, tc.attempts)
			for name, r := range recorders {
				want := 0
				if tc.err == nil && name == tc.region {
					want = 1
				}
				if got := r.got(); len(got) != want {
					t.Errorf("%s got %d requests, want %d", name, len(got), want)
				}
			}
		})
	}
}

// Contract 1.8, 2.7: each attempt says the region it goes to, once, whatever a
// client sent; contract 1.3: the raw target passes byte for byte.
func TestEachAttemptSaysItsRegion(t *testing.T) {
	r := &recorder{}
	w := newWorld(t, region(t, first, dead(t)), region(t, second, serve(t, r)))
	for _, plan := range []Plan{w.nearest(second), w.nearest(first, second)} {
		_, ctx := w.begin(t, plan, Limits{})
		req := newRequest(ctx, http.MethodGet, nil, 0)
		req.URL = opaque("/hello//a|b/%7e/../x?q=[1]&forceFunctionRegion=any")
		req.Header[HeaderRegion] = []string{"forged", first}
		if _, err := w.exchange(req); err != nil {
			t.Fatal(err)
		}
	}
	for i, got := range r.got() {
		if values := got.header[HeaderRegion]; !slices.Equal(values, []string{second}) {
			t.Errorf("request %d: %s is %q", i, HeaderRegion, values)
		}
		if want := "/hello//a|b/%7e/../x?q=[1]&forceFunctionRegion=any"; got.uri != want {
			t.Errorf("request %d: target %q, want %q", i, got.uri, want)
		}
		if values := got.header["Accept-Encoding"]; len(values) != 0 {
			t.Errorf("request %d: asks for %q by itself", i, values)
		}
	}
}

// A response belongs to the caller's request, not to the attempt's.
func TestResponseNamesTheRequest(t *testing.T) {
	w := newWorld(t, region(t, first, serve(t, &recorder{})))
	_, ctx := w.begin(t, w.nearest(first), Limits{})
	req := newRequest(ctx, http.MethodGet, nil, 0)
	res, err := w.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.Request != req {
		t.Error("res.Request is another request")
	}
	if n := w.upstream(first).calls.Load(); n != 1 {
		t.Errorf("%d in flight while the answer is read", n)
	}
	_ = res.Body.Close()
	_ = res.Body.Close()
	if n := w.upstream(first).calls.Load(); n != 0 {
		t.Errorf("%d in flight after the answer was closed twice", n)
	}
}

func TestRoundTripNeedsAnExchange(t *testing.T) {
	w := newWorld(t, region(t, first, "http://h"))
	if _, err := w.exchange(newRequest(t.Context(), http.MethodGet, nil, 0)); err == nil {
		t.Error("no error")
	}
}

// 1xx answers are kept: httputil.ReverseProxy would pass a backend's early
// hints on without the header policy.
func TestEarlyHintsAreKept(t *testing.T) {
	w := newWorld(t, region(t, first, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusTeapot)
	}))))
	type key struct{}
	hooked := false
	parent := httptrace.WithClientTrace(context.WithValue(t.Context(), key{}, "kept"), &httptrace.ClientTrace{
		Got1xxResponse: func(int, textproto.MIMEHeader) error { hooked = true; return nil },
		GetConn:        func(string) { hooked = true },
	})
	x, ctx := Begin(parent, w.nearest(first), Limits{})
	defer x.End()
	res, err := w.RoundTrip(newRequest(ctx, http.MethodGet, nil, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusTeapot || hooked {
		t.Errorf("status %d, the caller's trace was called: %v", res.StatusCode, hooked)
	}
	if res.Request.Context().Value(key{}) != "kept" {
		t.Error("the response's request lost its context")
	}
}

// A client that goes away blames nobody.
func TestClientGone(t *testing.T) {
	asked := make(chan struct{})
	w := newWorld(t, region(t, first, serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))), region(t, second, serve(t, &recorder{})))
	ctx, cancel := context.WithCancel(t.Context())
	x, ctx := Begin(ctx, w.nearest(first, second), Limits{})
	defer x.End()
	go func() {
		<-asked
		cancel()
	}()
	_, err := w.exchange(newRequest(ctx, http.MethodGet, nil, 0))
	check(t, x, err, ErrClientGone, first, ReasonNearest, 1)
	if state := w.state(first); state == StateDown {
		t.Error("the backend is marked down")
	}
}

// Gone before anything was sent: neither is the backend asked nor blamed.
func TestClientGoneBefore(t *testing.T) {
	w := newWorld(t, region(t, first, dead(t)), region(t, second, serve(t, &recorder{})))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	x, ctx := Begin(ctx, w.nearest(first, second), Limits{})
	defer x.End()
	_, err := w.exchange(newRequest(ctx, http.MethodPost, bytes.NewReader(pattern(10)), 10))
	if !errors.Is(err, ErrClientGone) || x.Attempts > 1 {
		t.Errorf("%v after %d attempts", err, x.Attempts)
	}
	if state := w.state(first); state != StateUnknown {
		t.Errorf("the backend is %s", state)
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	w := newWorld(b, region(b, first, serve(b, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))))
	plan := w.nearest(first)
	b.ReportAllocs()
	for b.Loop() {
		x, ctx := Begin(b.Context(), plan, Limits{Idle: 150 * time.Second})
		res, err := w.RoundTrip(newRequest(ctx, http.MethodGet, nil, 0))
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		x.End()
	}
}

// Contract 2.7: fail_open means that all are down. A region that took the
// request and broke off was asked for another reason.
func TestBrokenIsNotFailOpen(t *testing.T) {
	breaks := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path != DefaultHealthURI {
			panic(http.ErrAbortHandler)
		}
	}))
	w := newWorld(t, region(t, first, breaks), region(t, second, dead(t)))
	x, _, err := w.get(t, w.nearest(first))
	check(t, x, err, ErrBackend, first, ReasonNearest, 2)
	x, _, err = w.get(t, w.nearest(second, first))
	check(t, x, err, ErrBackend, first, ReasonFailover, 3)
}
