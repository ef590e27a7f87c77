package regions

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// idleWorld fails the test if anything runs in the world's only region.
func idleWorld(t *testing.T, w *world, after string) {
	t.Helper()
	if n := w.State(w.set[first]).load.InFlight(); n != 0 {
		t.Fatalf("%s: %d in flight in the region", after, n)
	}
	if n := w.upstream(first).calls.Load(); n != 0 {
		t.Fatalf("%s: %d in flight on the backend", after, n)
	}
}

// Contract 5.29: a place is given back when the exchange ends, whatever its
// caller did with the answer.
func TestEndGivesBack(t *testing.T) {
	talk := upgrade(func(conn net.Conn, _ *bufio.ReadWriter) {
		_, _ = io.WriteString(conn, strings.Repeat("x", 100))
		_, _ = io.Copy(io.Discard, conn)
	})
	w := newWorld(t, region(t, first, serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			talk(rw, r, nil)
			return
		}
		_, _ = io.WriteString(rw, strings.Repeat("x", 1<<20))
	}))))
	for _, tc := range []struct {
		name string
		do   func(res *http.Response)
		ends int
	}{
		{"nothing", func(*http.Response) {}, 1},
		{"a part read", func(res *http.Response) { _, _ = io.CopyN(io.Discard, res.Body, 10) }, 1},
		{"closed once", func(res *http.Response) { _ = res.Body.Close() }, 1},
		{"closed twice and ended twice", func(res *http.Response) { _ = res.Body.Close(); _ = res.Body.Close() }, 2},
	} {
		for _, upgrades := range []bool{false, true} {
			x, ctx := Begin(t.Context(), w.nearest(first), Limits{Idle: time.Minute, WallClock: time.Minute, Start: time.Now()})
			req := newRequest(ctx, http.MethodGet, nil, 0)
			if upgrades {
				req = upgradeRequest(ctx)
			}
			res, err := w.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			if n := w.upstream(first).calls.Load(); n != 1 {
				t.Errorf("%s: %d in flight at headers", tc.name, n)
			}
			tc.do(res)
			for range tc.ends {
				x.End()
			}
			idleWorld(t, w, fmt.Sprintf("%s, upgrade %v", tc.name, upgrades))
		}
	}
}

// panicky is a meter that panics.
type panicky struct{}

func (panicky) Sending(*Region) error { panic("no meter") }
func (panicky) Unsent()               {}

// Contract 5.29: a panic gives the breaker's permission back, also one of the few
// that a breaker has while it tries a backend again, and blames nobody.
func TestPanicKeepsNoPermission(t *testing.T) {
	w := newWorld(t, region(t, first, serve(t, new(recorder))))
	u := w.upstream(first)
	hold(t, u)
	u.breaker.retry()
	for range 2 * breakerTrials {
		x, ctx := Begin(t.Context(), w.nearest(first), Limits{})
		x.Meter = panicky{}
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the meter was not asked: the breaker is shut")
				}
			}()
			defer x.End()
			res, err := w.RoundTrip(newRequest(ctx, http.MethodGet, nil, 0))
			if err == nil {
				_ = res.Body.Close()
			}
		}()
		idleWorld(t, w, "a panic")
	}
	if _, text, err := w.get(t, w.nearest(first)); err != nil || text != "done" {
		t.Errorf("%q, %v", text, err)
	}
}

// answers are cut at each of their bytes by TestCutAnywhere.
var cutAnswers = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n5\r\nhello\r\n0\r\nX-End: 1\r\n\r\n",
	"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
	"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello\x88\x00",
	"HTTP/1.1 000 Nothing\r\nContent-Length: 5\r\n\r\nhello",
}

// Contract 5.29: wherever an answer breaks off, nothing stays in flight.
func TestCutAnywhere(t *testing.T) {
	var sent string
	address, _ := serveRaw(t, func(conn net.Conn) {
		if _, err := readHead(conn); err == nil {
			_, _ = io.WriteString(conn, sent)
		}
	})
	w := newWorld(t, region(t, first, address))
	random := rand.New(rand.NewPCG(3, 5))
	for _, whole := range cutAnswers {
		for n := range len(whole) + 1 {
			sent = whole[:n]
			x, ctx := Begin(t.Context(), w.nearest(first), Limits{Idle: time.Minute})
			req := newRequest(ctx, http.MethodPost, nil, 0)
			if strings.Contains(whole, "websocket") {
				req = upgradeRequest(ctx)
			}
			if res, err := w.RoundTrip(req); err == nil {
				_, _ = io.CopyN(io.Discard, res.Body, random.Int64N(10))
				if random.IntN(2) == 0 {
					_ = res.Body.Close()
				}
			}
			x.End()
			idleWorld(t, w, fmt.Sprintf("%.30q cut after %d bytes", whole, n))
			w.upstream(first).breaker = newBreaker(func() {}) // the breaker is another test's
		}
	}
}

// Contract 6.1: an interim answer is a sign of life until the final one's
// headers; when there are no more, the limit runs from the last.
func TestInterimAnswers(t *testing.T) {
	const gap = 500 * time.Millisecond
	for _, tc := range []struct {
		name   string
		status int
		times  int
		final  bool
		want   error
		after  time.Duration
	}{
		{"102 for twice the limit, then 200", http.StatusProcessing, int(2 * idle / gap), true, nil, 2 * idle},
		{"103 for twice the limit, then 200", http.StatusEarlyHints, int(2 * idle / gap), true, nil, 2 * idle},
		{"102 a while, then silence", http.StatusProcessing, 20, false, ErrIdleTimeout, 20*gap + idle},
		{"none", 0, 0, false, ErrIdleTimeout, idle},
	} {
		t.Run(tc.name, func(t *testing.T) {
			handler := func(rw http.ResponseWriter, _ *http.Request, over <-chan struct{}) {
				for range tc.times {
					select {
					case <-time.After(gap):
						rw.WriteHeader(tc.status)
					case <-over:
						return
					}
				}
				if !tc.final {
					<-over
				}
				_, _ = io.WriteString(rw, "done")
			}
			bubble(t, handler, func(t *testing.T, w *world) {
				began := time.Now()
				x, ctx := w.begin(t, w.nearest(first), Limits{Idle: idle})
				text, err := w.exchange(newRequest(ctx, http.MethodPost, nil, 0))
				check(t, x, err, tc.want, first, ReasonNearest, 1)
				if took := time.Since(began); took != tc.after || tc.final && text != "done" {
					t.Errorf("%q after %v, want it after %v", text, took, tc.after)
				}
				synctest.Wait()
			})
		})
	}
}
