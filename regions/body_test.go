package regions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
)

// bodies are the sizes around what is kept for another attempt, each with a
// known length and chunked.
var bodies = []int{0, 1, DefaultReplay, DefaultReplay + 1, 1 << 20}

// eachBody runs f for each size and kind of body; length is -1 for chunked.
func eachBody(t *testing.T, f func(t *testing.T, body []byte, length int64)) {
	t.Helper()
	for _, size := range bodies {
		for _, length := range []int64{int64(size), -1} {
			t.Run(fmt.Sprintf("%d bytes, length %d", size, length), func(t *testing.T) {
				f(t, pattern(size), length)
			})
		}
	}
}

func post(ctx context.Context, body []byte, length int64) *http.Request {
	req := newRequest(ctx, http.MethodPost, onlyReader{bytes.NewReader(body)}, length)
	if length == 0 {
		req.Body = http.NoBody
	}
	return req
}

// onlyReader hides what net/http would know of the reader.
type onlyReader struct{ io.Reader }

// Contract 2.6, 7.2: a body of any size arrives whole at the next backend
// after others refused the connection, and exactly once.
func TestBodyArrivesAtTheNextBackend(t *testing.T) {
	eachBody(t, func(t *testing.T, body []byte, length int64) {
		r := &recorder{}
		w := newWorld(t, region(t, first, dead(t), dead(t)), region(t, second, dead(t)), region(t, third, serve(t, r)))
		x, ctx := w.begin(t, w.nearest(first, second, third), Limits{})
		_, err := w.exchange(post(ctx, body, length))
		check(t, x, err, nil, third, ReasonFailover, 4)
		checkOnce(t, r, body)
	})
}

func checkOnce(t *testing.T, r *recorder, body []byte) {
	t.Helper()
	got := r.got()
	if len(got) != 1 {
		t.Fatalf("%d requests, want 1", len(got))
	}
	if got[0].err != nil || !bytes.Equal(got[0].body, body) {
		t.Errorf("%d bytes (%v), want %d", len(got[0].body), got[0].err, len(body))
	}
}

// brittle is a connection whose writes can be made to fail before a byte.
type brittle struct {
	net.Conn
	broken *atomic.Bool
}

func (b brittle) Write(p []byte) (int, error) {
	if b.broken.Load() {
		return 0, errors.New("broken")
	}
	return b.Conn.Write(p)
}

// breakable returns a world of two regions whose first has one pooled
// connection, and the switch that breaks it for the next write.
func breakable(t *testing.T, a, b http.Handler) (*world, *atomic.Bool) {
	t.Helper()
	w := newWorld(t, region(t, first, serve(t, a)), region(t, second, serve(t, b)))
	u := w.upstream(first)
	dial, current := u.dial, new(atomic.Bool)
	pooled := current
	dialBy(u, func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		broken := current
		current = new(atomic.Bool) // only the first connection breaks
		return brittle{conn, broken}, err
	})
	if _, _, err := w.get(t, w.nearest(first)); err != nil {
		t.Fatal(err)
	}
	return w, pooled
}

// A pooled connection that is dead before the first byte: a kept body is sent
// again on a new one, whole and once.
func TestKeptBodyOnADeadPooledConnection(t *testing.T) {
	for _, size := range []int{1, 5000, DefaultReplay} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			a, b := &recorder{}, &recorder{}
			w, broken := breakable(t, a, b)
			broken.Store(true)
			x, ctx := w.begin(t, w.nearest(first, second), Limits{})
			_, err := w.exchange(post(ctx, pattern(size), int64(size)))
			check(t, x, err, nil, first, ReasonNearest, 1)
			a.requests = a.requests[1:]
			checkOnce(t, a, pattern(size))
			if n := len(b.got()); n != 0 {
				t.Errorf("the second region got %d requests", n)
			}
		})
	}
}

// The same with the backend gone meanwhile: nothing was sent, so the next
// region gets the body.
func TestKeptBodyMovesOnFromADeadPooledConnection(t *testing.T) {
	a, b := &recorder{}, &recorder{}
	w, broken := breakable(t, a, b)
	broken.Store(true)
	dialBy(w.upstream(first), func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("refused")
	})
	x, ctx := w.begin(t, w.nearest(first, second), Limits{})
	_, err := w.exchange(post(ctx, pattern(5000), 5000))
	check(t, x, err, nil, second, ReasonFailover, 2)
	checkOnce(t, b, pattern(5000))
	if n := len(a.got()); n != 1 {
		t.Errorf("the first region got %d requests, want only the one before", n)
	}
}

// staleBackend answers the first request of its first connection and closes
// that on the second, as a server does whose keep-alive has just run out.
func staleBackend(t *testing.T, heads *atomic.Int32) (address string, listener net.Listener) {
	t.Helper()
	connections := 0
	return serveRaw(t, func(conn net.Conn) {
		connections++
		for i := range 2 {
			if _, err := readHead(conn); err != nil {
				return
			}
			heads.Add(1)
			if connections == 1 && i == 1 {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
			if connections > 1 {
				return
			}
		}
	})
}

// A connection that was closed while pooled: a GET is harmless to repeat at
// the same backend, or at the next one if that is gone; a POST is not.
func TestStalePooledConnection(t *testing.T) {
	for _, tc := range []struct {
		name     string
		method   string
		gone     bool // the backend stops listening before the second request
		err      error
		region   string
		reason   Reason
		attempts int
		heads    int32
	}{
		{"GET", http.MethodGet, false, nil, first, ReasonNearest, 1, 3},
		{"GET, backend gone", http.MethodGet, true, nil, second, ReasonFailover, 2, 2},
		{"POST", http.MethodPost, false, ErrBackend, first, ReasonNearest, 1, 2},
		{"POST, backend gone", http.MethodPost, true, ErrBackend, first, ReasonNearest, 1, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var heads atomic.Int32
			address, listener := staleBackend(t, &heads)
			other := &recorder{}
			w := newWorld(t, region(t, first, address), region(t, second, serve(t, other)))
			if _, _, err := w.get(t, w.nearest(first)); err != nil {
				t.Fatal(err)
			}
			if tc.gone {
				_ = listener.Close()
			}
			x, ctx := w.begin(t, w.nearest(first, second), Limits{})
			req := newRequest(ctx, tc.method, nil, 0)
			if tc.method == http.MethodPost {
				req = post(ctx, pattern(10), 10)
			}
			_, err := w.exchange(req)
			check(t, x, err, tc.err, tc.region, tc.reason, tc.attempts)
			if heads.Load() != tc.heads {
				t.Errorf("%d requests at the first, want %d", heads.Load(), tc.heads)
			}
			if want := tc.attempts - 1; len(other.got()) != want {
				t.Errorf("%d requests at the second, want %d", len(other.got()), want)
			}
		})
	}
}

// The caller's GetBody would read around the limits and the count of what was
// sent.
func TestCallersGetBodyIsNotUsed(t *testing.T) {
	a := &recorder{}
	w, broken := breakable(t, a, &recorder{})
	broken.Store(true)
	x, ctx := w.begin(t, w.nearest(first, second), Limits{})
	req := post(ctx, pattern(DefaultReplay+1), DefaultReplay+1)
	req.GetBody = func() (io.ReadCloser, error) {
		t.Error("GetBody was called")
		return io.NopCloser(bytes.NewReader(pattern(DefaultReplay + 1))), nil
	}
	_, err := w.exchange(req)
	check(t, x, err, nil, first, ReasonNearest, 1)
	if got := a.got(); len(got) != 2 || len(got[1].body) != DefaultReplay+1 {
		t.Errorf("the backend got %d requests", len(got))
	}
}

// Contract 5.10: a chunked body is counted while it passes.
func TestBodyTooLarge(t *testing.T) {
	for _, tc := range []struct {
		name  string
		size  int
		limit int64
		err   error
	}{
		{"below", 9, 10, nil},
		{"at the limit", 10, 10, nil},
		{"above", 11, 10, ErrBodyTooLarge},
		{"far above", 1 << 20, 10, ErrBodyTooLarge},
		{"no limit", 1 << 20, 0, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &recorder{}
			w := newWorld(t, region(t, first, serve(t, r)), region(t, second, serve(t, &recorder{})))
			x, ctx := w.begin(t, w.nearest(first, second), Limits{MaxBody: tc.limit})
			_, err := w.exchange(post(ctx, pattern(tc.size), -1))
			check(t, x, err, tc.err, first, ReasonNearest, 1)
			if tc.err != nil {
				for _, got := range r.got() {
					if got.err == nil || int64(len(got.body)) > tc.limit {
						t.Errorf("the backend got %d bytes, %v", len(got.body), got.err)
					}
				}
				return
			}
			checkOnce(t, r, pattern(tc.size))
		})
	}
}

// failing is a body that breaks after some bytes.
func failing(err error) io.Reader {
	return io.MultiReader(strings.NewReader("some"), readerFunc(func([]byte) (int, error) { return 0, err }))
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Contract 5.3, 5.9: whose fault a body that breaks is. No backend is
// blamed, none is asked again.
func TestBodyFaults(t *testing.T) {
	for _, tc := range []struct {
		name    string
		read    error
		want    error
		stalled bool
	}{
		{"cut short", io.ErrUnexpectedEOF, ErrClientGone, false},
		{"connection reset", &net.OpError{Op: "read", Net: "tcp", Err: errors.New("reset")}, ErrClientGone, false},
		{"canceled", fmt.Errorf("reading: %w", context.Canceled), ErrClientGone, false},
		{"deadline", &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}, ErrClientStalled, true},
		{"no chunk", errors.New("invalid byte in chunk length"), ErrBodyMalformed, false},
	} {
		for _, length := range []int64{100, DefaultReplay + 1, -1} {
			t.Run(fmt.Sprintf("%s, length %d", tc.name, length), func(t *testing.T) {
				other := &recorder{}
				w := newWorld(t, region(t, first, serve(t, &recorder{})), region(t, second, serve(t, other)))
				x, ctx := w.begin(t, w.nearest(first, second), Limits{})
				if x.Stalled() {
					t.Error("stalled before it began")
				}
				_, err := w.exchange(newRequest(ctx, http.MethodPost, failing(tc.read), length))
				check(t, x, err, tc.want, first, ReasonNearest, 1)
				if x.Stalled() != tc.stalled {
					t.Errorf("Stalled() = %v", x.Stalled())
				}
				if len(other.got()) != 0 {
					t.Error("another backend was asked")
				}
				if state := w.state(first); state == StateDown {
					t.Error("the backend is marked down")
				}
			})
		}
	}
}

// A body of which a part is lost must not go to another backend, even if
// nothing of it arrived at the first.
func TestPartOfABodyIsNotSent(t *testing.T) {
	other := &recorder{}
	w := newWorld(t, region(t, first, "http://h", "http://i"), region(t, second, serve(t, other)))
	for _, u := range w.Upstreams(w.set[first]) {
		dialBy(u, func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") })
	}
	x, ctx := w.begin(t, w.nearest(first, second), Limits{})
	body := newRequestBody(x, strings.NewReader("abcdef"), -1, 2, nil)
	if _, err := io.ReadFull(body.attempt(), make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	x.start(body)
	_, err := w.run(x, newRequest(ctx, http.MethodPost, nil, -1))
	check(t, x, err, ErrUnavailable, first, ReasonNearest, 1)
	if len(other.got()) != 0 {
		t.Error("another backend was sent the rest")
	}
}
