package regions

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// silentRegion counts whole requests, and closes the connection after what
// it answers.
type silentRegion struct {
	heads  atomic.Int32
	answer string
}

func (s *silentRegion) handle(conn net.Conn) {
	if _, err := readHead(conn); err == nil {
		s.heads.Add(1)
	}
	_, _ = io.WriteString(conn, s.answer)
}

// Contract 7.2 and the retry classes: what a backend may have seen goes to
// another one if the method or an Idempotency-Key allows it, or the operator,
// and never after the first byte of an answer.
func TestSentRequests(t *testing.T) {
	keyed := http.Header{"Idempotency-Key": {"k1"}}
	for _, tc := range []struct {
		name   string
		method string
		length int64
		size   int
		header http.Header
		policy RetryPolicy
		answer string // what the first region says before it closes
		again  bool
		err    error // where it is not sent again
	}{
		{"GET", http.MethodGet, 0, 0, nil, RetryPolicy{}, "", true, nil},
		{"OPTIONS", http.MethodOptions, 0, 0, nil, RetryPolicy{}, "", true, nil},
		{"DELETE", http.MethodDelete, 0, 0, nil, RetryPolicy{}, "", false, ErrBackend},
		{"POST, kept", http.MethodPost, 100, 100, nil, RetryPolicy{}, "", false, ErrBackend},
		{"POST, chunked", http.MethodPost, -1, 100, nil, RetryPolicy{}, "", false, ErrBackend},
		{"POST, long", http.MethodPost, 1 << 20, 1 << 20, nil, RetryPolicy{}, "", false, ErrBackend},
		{"POST with a key", http.MethodPost, 100, 100, keyed, RetryPolicy{}, "", true, nil},
		{"chunked POST with a key", http.MethodPost, -1, 100, keyed, RetryPolicy{}, "", true, nil},
		{"POST with a key, too long to be kept", http.MethodPost, 1 << 20, 1 << 20, keyed, RetryPolicy{}, "", false, ErrBackend},
		{"POST with a key, kept by the operator", http.MethodPost, 1 << 20, 1 << 20, keyed, RetryPolicy{Replay: MaxReplay}, "", true, nil},
		{"POST, allowed by the operator", http.MethodPost, 100, 100, nil, RetryPolicy{Sent: true}, "", true, nil},
		{"WebSocket", http.MethodGet, 0, 0, http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}, RetryPolicy{}, "", false, ErrBackend},
		{"half a head", http.MethodGet, 0, 0, nil, RetryPolicy{Sent: true}, "HTTP/1.1 200 OK\r\nContent-", false, ErrNotHTTP},
		{"no HTTP", http.MethodGet, 0, 0, nil, RetryPolicy{Sent: true}, "SSH-2.0-OpenSSH_9.6\r\n", false, ErrNotHTTP},
		{"huge head", http.MethodGet, 0, 0, nil, RetryPolicy{Sent: true}, "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", maxResponseHeader) + "\r\n\r\n", false, ErrNotHTTP},
	} {
		t.Run(tc.name, func(t *testing.T) {
			silent, other := &silentRegion{answer: tc.answer}, &recorder{}
			one, _ := serveRaw(t, silent.handle)
			two, _ := serveRaw(t, silent.handle)
			w := newWorld(t, region(t, first, one, two), region(t, second, serve(t, other)))
			w.Retry = tc.policy
			x, ctx := w.begin(t, w.nearest(first, second), Limits{})
			req := newRequest(ctx, tc.method, nil, 0)
			if tc.length != 0 {
				req = post(ctx, pattern(tc.size), tc.length)
			}
			maps.Copy(req.Header, tc.header)
			_, err := w.exchange(req)
			if !tc.again {
				check(t, x, err, tc.err, first, ReasonNearest, 1)
				if silent.heads.Load() != 1 || len(other.got()) != 0 {
					t.Errorf("%d requests at the first, %d at the second", silent.heads.Load(), len(other.got()))
				}
				return
			}
			check(t, x, err, nil, second, ReasonFailover, 3)
			if got := other.got(); silent.heads.Load() != 2 || len(got) != 1 || len(got[0].body) != tc.size {
				t.Errorf("%d requests at the first, %d at the second", silent.heads.Load(), len(got))
			} else if tc.header.Get("Idempotency-Key") != got[0].header.Get("Idempotency-Key") {
				t.Error("the key got lost")
			}
		})
	}
}

// A named region is not left, however the request may be repeated: contract 2.5.
func TestSentRequestStaysInItsRegion(t *testing.T) {
	silent, other := &silentRegion{}, &recorder{}
	one, _ := serveRaw(t, silent.handle)
	w := newWorld(t, region(t, first, one), region(t, second, serve(t, other)))
	x, _, err := w.get(t, w.plan(ReasonExplicit, true, first))
	check(t, x, err, ErrBackend, first, ReasonExplicit, 2)
	if silent.heads.Load() != 2 || len(other.got()) != 0 {
		t.Errorf("%d requests at the named region, %d at another", silent.heads.Load(), len(other.got()))
	}
}

// Statuses that the operator lists are given up for another backend's answer,
// the last of them stays.
func TestRetryStatus(t *testing.T) {
	answer := func(status int, calls *atomic.Int32) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			w.WriteHeader(status)
		})
	}
	for _, tc := range []struct {
		name     string
		method   string
		policy   RetryPolicy
		statuses [2]int // of the two regions
		want     int
		calls    [2]int32
	}{
		{"none listed", http.MethodGet, RetryPolicy{}, [2]int{503, 200}, 503, [2]int32{1, 0}},
		{"listed", http.MethodGet, RetryPolicy{Status: []int{503}}, [2]int{503, 200}, 200, [2]int32{1, 1}},
		{"another one", http.MethodGet, RetryPolicy{Status: []int{502}}, [2]int{503, 200}, 503, [2]int32{1, 0}},
		{"everywhere", http.MethodGet, RetryPolicy{Status: []int{503}}, [2]int{503, 503}, 503, [2]int32{1, 1}},
		{"POST", http.MethodPost, RetryPolicy{Status: []int{503}}, [2]int{503, 200}, 503, [2]int32{1, 0}},
		{"POST, allowed", http.MethodPost, RetryPolicy{Status: []int{503}, Sent: true}, [2]int{503, 200}, 200, [2]int32{1, 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var calls [2]atomic.Int32
			w := newWorld(t, region(t, first, serve(t, answer(tc.statuses[0], &calls[0]))),
				region(t, second, serve(t, answer(tc.statuses[1], &calls[1]))))
			w.Retry = tc.policy
			_, ctx := w.begin(t, w.nearest(first, second), Limits{})
			res, err := w.RoundTrip(newRequest(ctx, tc.method, nil, 0))
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			got := [2]int32{calls[0].Load(), calls[1].Load()}
			if res.StatusCode != tc.want || got != tc.calls {
				t.Errorf("status %d after %v calls, want %d after %v", res.StatusCode, got, tc.want, tc.calls)
			}
		})
	}
}

// Contract 9.1, 9.5: statuses are answers: however bad, they open no breaker.
func TestStatusesBlameNobody(t *testing.T) {
	for _, status := range []int{500, 502, 503, 504, 546} {
		w := newWorld(t, region(t, first, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
		}))))
		for range 50 {
			if _, _, err := w.get(t, w.nearest(first)); err != nil {
				t.Fatal(err)
			}
		}
		if n := failures(w.upstream(first)); n != 0 || w.state(first) != StateUp {
			t.Errorf("%d: blamed %d times, %s", status, n, w.state(first))
		}
	}
}

// Retries are at most a fifth of the requests and three a second, however many
// requests ask for one.
func TestRetryBudget(t *testing.T) {
	silent, other := &silentRegion{}, &recorder{}
	address, _ := serveRaw(t, silent.handle)
	w := newWorld(t, region(t, first, address), region(t, second, serve(t, other)))
	// The breaker would hide what the budget does.
	w.upstream(first).breaker = newBreaker(func() {})
	const requests = 400
	failed := 0
	for range requests {
		w.upstream(first).breaker = newBreaker(func() {})
		if _, _, err := w.get(t, w.nearest(first, second)); err != nil {
			failed++
		}
	}
	sent := int(silent.heads.Load()) + len(other.got())
	if most := requests/5 + budgetSecond*budgetWindow; sent-requests > most || sent-requests < most/2 || failed == 0 || w.Network.RetriesLeft(time.Now()) > requests/5 {
		t.Errorf("%d retries of %d requests, at most %d; %d failed", sent-requests, requests, most, failed)
	}
}

func TestBudget(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	for _, tc := range []struct {
		name     string
		requests int
		after    time.Duration
		want     int
	}{
		{"no requests", 0, 0, 30},
		{"many", 1000, 0, 230},
		{"many, nine seconds ago", 1000, 9 * time.Second, 230},
		{"many, ten seconds ago", 1000, 10 * time.Second, 30},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var b budget
			for range tc.requests {
				b.request(start)
			}
			got := 0
			for b.take(start.Add(tc.after)) {
				got++
			}
			if got != tc.want {
				t.Errorf("%d retries, want %d", got, tc.want)
			}
			b.spend(start.Add(tc.after))
			if left := b.left(start.Add(tc.after)); left != -1 {
				t.Errorf("%d left after one that did not ask", left)
			}
		})
	}
}

// Full regions are waited for, for a moment.
func TestFullRegion(t *testing.T) {
	for _, release := range []bool{true, false} {
		t.Run(fmt.Sprintf("room comes: %v", release), func(t *testing.T) {
			w := newWorld(t, region(t, first, serve(t, &recorder{})))
			load := &w.State(w.set[first]).load
			load.SetCapacity(1)
			load.Add(1)
			plan := w.nearest(first)
			plan.Full = true
			if release {
				time.AfterFunc(20*time.Millisecond, func() { load.Add(-1) })
			} else {
				defer load.Add(-1)
			}
			x, _, err := w.get(t, plan)
			if release {
				check(t, x, err, nil, first, ReasonNearest, 1)
			} else {
				check(t, x, err, ErrOverloaded, first, ReasonNearest, 0)
			}
		})
	}
}

// A plan without a region that may be asked asks none.
func TestUnavailablePlan(t *testing.T) {
	r := &recorder{}
	w := newWorld(t, region(t, first, serve(t, r)))
	plan := w.plan(ReasonExplicit, true, first)
	plan.Unavailable = true
	x, _, err := w.get(t, plan)
	check(t, x, err, ErrUnavailable, first, ReasonExplicit, 0)
	if len(r.got()) != 0 {
		t.Error("it was asked")
	}
}
