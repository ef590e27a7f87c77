package regions

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// The limits are tested with those of contract 6.1 and 6.2, on the clock of
// synctest: connections are pipes, so that nothing but the code takes time.

const idle = 150 * time.Second

// Contract 6.1, 6.2: what ends an exchange before response headers, when, and
// by whose fault. Unblock is called only while a read of the client's body is
// pending; no backend is marked down.
func TestLimitsBeforeHeaders(t *testing.T) {
	const chunked = -1
	for _, tc := range []struct {
		name    string
		limits  Limits // Start is set if there is a wall clock
		age     time.Duration
		body    *func() *slowly
		data    []byte // a body that is all there
		handler func(w http.ResponseWriter, r *http.Request, over <-chan struct{})
		want    error
		after   time.Duration
		blocked bool
	}{
		{"silent backend", Limits{Idle: idle}, 0, nil, nil, hang, ErrIdleTimeout, idle, false},
		{"silent backend, body sent", Limits{Idle: idle}, 0, nil, pattern(5000), hang, ErrIdleTimeout, idle, false},
		{
			"body bytes move the limit",
			Limits{Idle: idle},
			0, bodyOf(false, 100*time.Second, 100*time.Second, 100*time.Second), nil, hang,
			ErrIdleTimeout, 300*time.Second + idle, false,
		},
		{"client stalls at once", Limits{Idle: idle}, 0, bodyOf(true), nil, hang, ErrClientStalled, idle, true},
		{
			"client stalls later",
			Limits{Idle: idle},
			0, bodyOf(true, 100*time.Second, 100*time.Second), nil, hang,
			ErrClientStalled, 200*time.Second + idle, true,
		},
		{"backend takes no body", Limits{Idle: idle}, 0, nil, pattern(1 << 20), func(_ http.ResponseWriter, _ *http.Request, over <-chan struct{}) {
			<-over
		}, ErrIdleTimeout, idle, false},
		{"wall clock", Limits{Idle: idle, WallClock: 100 * time.Second}, 0, nil, nil, hang, ErrWallClock, 100 * time.Second, false},
		{"wall clock counts from the start", Limits{WallClock: 400 * time.Second}, 150 * time.Second, nil, nil, hang, ErrWallClock, 250 * time.Second, false},
		{"wall clock is over", Limits{WallClock: time.Second}, time.Minute, nil, nil, hang, ErrWallClock, 0, false},
		{
			"wall clock while the client sends",
			Limits{Idle: idle, WallClock: 250 * time.Second},
			0, bodyOf(true, 100*time.Second, 100*time.Second), nil, hang,
			ErrWallClock, 250 * time.Second, true,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, tc.handler, func(t *testing.T, w *world) {
				began := time.Now()
				if tc.limits.WallClock > 0 {
					tc.limits.Start = began.Add(-tc.age)
				}
				x, ctx := w.begin(t, w.nearest(first), tc.limits)
				req := newRequest(ctx, http.MethodPost, nil, 0)
				unblocked := 0
				x.Unblock = func() { unblocked++ }
				switch {
				case tc.body != nil:
					body := (*tc.body)()
					x.Unblock = func() { unblocked++; body.unblock() }
					req = newRequest(ctx, http.MethodPost, body, chunked)
				case tc.data != nil:
					req = post(ctx, tc.data, int64(len(tc.data)))
				}
				_, err := w.exchange(req)
				check(t, x, err, tc.want, first, ReasonNearest, 1)
				if took := time.Since(began); took != tc.after {
					t.Errorf("took %v, want %v", took, tc.after)
				}
				if cause := context.Cause(ctx); cause != tc.want {
					t.Errorf("cause %v", cause)
				}
				// Interrupts end the exchange before they unblock.
				synctest.Wait()
				if (unblocked == 1) != tc.blocked || unblocked > 1 {
					t.Errorf("unblocked %d times, want it: %v", unblocked, tc.blocked)
				}
				if state := w.state(first); state == StateDown {
					t.Error("the backend is marked down")
				}
			})
		})
	}
}

func bodyOf(endless bool, gaps ...time.Duration) *func() *slowly {
	f := func() *slowly { return newSlowly(endless, gaps...) }
	return &f
}

// step of a backend's answer: wait, then send.
type step struct {
	after time.Duration
	send  string
}

// answer sends the steps and then, if it hangs, nothing for ever.
func answer(length string, hangs bool, steps ...step) func(http.ResponseWriter, *http.Request, <-chan struct{}) {
	return func(w http.ResponseWriter, r *http.Request, over <-chan struct{}) {
		conn := http.NewResponseController(w)
		_ = conn.EnableFullDuplex()
		if length != "" {
			w.Header().Set("Content-Length", length)
		}
		_ = conn.Flush()
		for _, s := range steps {
			select {
			case <-time.After(s.after):
			case <-over:
				return
			}
			_, _ = io.WriteString(w, s.send)
			_ = conn.Flush()
		}
		if hangs {
			<-over
		}
		_, _ = io.Copy(io.Discard, r.Body)
	}
}

// Contract 6.1, 6.2: what ends an answer that has begun. A body without
// Content-Length may be silent for the idle limit, one with it for ever; only
// the wall clock ends both.
func TestLimitsAfterHeaders(t *testing.T) {
	const pace = 100 * time.Second
	three := []step{{pace, "a"}, {pace, "b"}, {pace, "c"}}
	for _, tc := range []struct {
		name    string
		handler func(http.ResponseWriter, *http.Request, <-chan struct{})
		limits  Limits
		reader  time.Duration // how long the client takes between reads
		text    string
		want    error
		after   time.Duration
	}{
		{"a byte each 100 s", answer("", false, three...), Limits{Idle: idle}, 0, "abc", nil, 3 * pace},
		{"silent from the start", answer("", true), Limits{Idle: idle}, 0, "", ErrIdleTimeout, idle},
		{"silent at the end", answer("", true, three...), Limits{Idle: idle}, 0, "abc", ErrIdleTimeout, 3*pace + idle},
		{"no idle limit", answer("", false, step{time.Hour, "a"}), Limits{}, 0, "a", nil, time.Hour},
		{"slow client", answer("", false, step{0, "a"}, step{time.Second, "b"}), Limits{Idle: idle}, time.Hour, "ab", nil, 3 * time.Hour},
		{"Content-Length", answer("2", false, step{0, "a"}, step{time.Hour, "b"}), Limits{Idle: idle}, 0, "ab", nil, time.Hour},
		{"wall clock, stream", answer("", false, three...), Limits{Idle: idle, WallClock: 250 * time.Second}, 0, "ab", ErrWallClock, 250 * time.Second},
		{"wall clock, Content-Length", answer("9", true, three...), Limits{Idle: idle, WallClock: 400 * time.Second}, 0, "abc", ErrWallClock, 400 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, tc.handler, func(t *testing.T, w *world) {
				began := time.Now()
				tc.limits.Start = began
				x, ctx := w.begin(t, w.nearest(first), tc.limits)
				res, err := w.RoundTrip(newRequest(ctx, http.MethodGet, nil, 0))
				check(t, x, err, nil, first, ReasonNearest, 1)
				if err != nil {
					return
				}
				text, err := readSlowly(res.Body, tc.reader)
				_ = res.Body.Close()
				if !errors.Is(err, tc.want) || text != tc.text {
					t.Errorf("read %q, %v; want %q, %v", text, err, tc.text, tc.want)
				}
				if cause := context.Cause(ctx); cause != tc.want {
					t.Errorf("cause %v, want %v", cause, tc.want)
				}
				if took := time.Since(began); took != tc.after {
					t.Errorf("took %v, want %v", took, tc.after)
				}
				if n := w.upstream(first).calls.Load(); n != 0 {
					t.Errorf("%d in flight", n)
				}
			})
		})
	}
}

// readSlowly reads byte by byte and waits before each; the error is nil at the
// end of the body.
func readSlowly(r io.Reader, wait time.Duration) (string, error) {
	var text []byte
	for one := make([]byte, 1); ; {
		<-time.After(wait)
		n, err := r.Read(one)
		text = append(text, one[:n]...)
		if err == io.EOF {
			return string(text), nil
		}
		if err != nil {
			return string(text), err
		}
	}
}

// A body that is still being sent must not bring the idle limit back over an
// answer that has none, nor may the client's silence end it.
func TestUploadDuringTheAnswer(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request, _ <-chan struct{}) {
		conn := http.NewResponseController(w)
		_ = conn.EnableFullDuplex()
		w.Header().Set("Content-Length", "1")
		_ = conn.Flush()
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "a")
	}
	bubble(t, handler, func(t *testing.T, w *world) {
		x, ctx := w.begin(t, w.nearest(first), Limits{Idle: idle})
		body := newSlowly(false, time.Second, time.Second, time.Hour)
		x.Unblock = body.unblock
		text, err := w.exchange(newRequest(ctx, http.MethodPost, body, -1))
		check(t, x, err, nil, first, ReasonNearest, 1)
		if text != "a" {
			t.Errorf("answer %q", text)
		}
	})
}

// Contract 6.1: once the answer has begun, its silence is the backend's fault,
// whatever the client still owes.
func TestSilentAnswerWithAPendingUpload(t *testing.T) {
	bubble(t, answer("", true, step{0, "a"}), func(t *testing.T, w *world) {
		x, ctx := w.begin(t, w.nearest(first), Limits{Idle: idle})
		body := newSlowly(true)
		x.Unblock = body.unblock
		text, err := w.exchange(newRequest(ctx, http.MethodPost, body, -1))
		// The connection may break under the upload before the read learns why.
		if text != "a" || err == nil || context.Cause(ctx) != ErrIdleTimeout {
			t.Errorf("%q, %v, cause %v", text, err, context.Cause(ctx))
		}
	})
}

// A body closed early frees the backend.
func TestAnswerClosedEarly(t *testing.T) {
	bubble(t, answer("", true, step{0, "a"}), func(t *testing.T, w *world) {
		x, ctx := w.begin(t, w.nearest(first), Limits{Idle: idle})
		res, err := w.RoundTrip(newRequest(ctx, http.MethodGet, nil, 0))
		if err != nil {
			t.Fatal(err)
		}
		if n := w.upstream(first).calls.Load(); n != 1 {
			t.Errorf("%d in flight before", n)
		}
		_ = res.Body.Close()
		x.End()
		if n := w.upstream(first).calls.Load(); n != 0 {
			t.Errorf("%d in flight after", n)
		}
		<-time.After(2 * idle)
		if cause := context.Cause(ctx); cause != context.Canceled {
			t.Errorf("a timer outlived the exchange: %v", cause)
		}
	})
}

// Neither timer fires after End, whatever else moves it then.
func TestEndStopsTheTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, _ := Begin(t.Context(), Plan{}, Limits{Idle: idle, WallClock: idle, Start: time.Now()})
		x.OnTimeout(func(cause error) { t.Errorf("fired: %v", cause) })
		x.start(nil)
		x.End()
		x.gotByte()
		x.moved()
		x.awaitByte()
		<-time.After(2 * idle)
	})
}

// The dial too is bounded by the limits, and a client that leaves meanwhile
// blames no backend.
func TestWhileConnecting(t *testing.T) {
	for _, tc := range []struct {
		name   string
		limits Limits
		leaves bool
		want   error
	}{
		{"idle", Limits{Idle: idle}, false, ErrIdleTimeout},
		{"wall clock", Limits{WallClock: idle}, false, ErrWallClock},
		{"client leaves", Limits{}, true, ErrClientGone},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, region(t, first, "http://backend"), region(t, second, "http://other"))
				for _, name := range []string{first, second} {
					dialBy(w.upstream(name), func(ctx context.Context, _, _ string) (net.Conn, error) {
						<-ctx.Done()
						return nil, ctx.Err()
					})
				}
				parent, leave := context.WithCancel(t.Context())
				defer leave()
				if tc.leaves {
					time.AfterFunc(idle, leave)
				}
				tc.limits.Start = time.Now()
				x, ctx := Begin(parent, w.nearest(first, second), tc.limits)
				defer x.End()
				_, err := w.exchange(post(ctx, pattern(10), 10))
				check(t, x, err, tc.want, first, ReasonNearest, 1)
				if took := time.Since(tc.limits.Start); took != idle {
					t.Errorf("took %v", took)
				}
				if state := w.state(first); state != StateUnknown {
					t.Errorf("the backend is %s", state)
				}
			})
		})
	}
}
