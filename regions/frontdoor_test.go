package regions

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The body of a real server's request under the transport: net/http's own
// errors must be told apart by the fault that they stand for.

type outcome struct {
	err     error
	stalled bool
}

// frontDoor serves requests by the transport and reports how each ended.
func frontDoor(t *testing.T, w *world, limits Limits) (address string, ended <-chan outcome) {
	t.Helper()
	results := make(chan outcome, 1)
	url := serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		conn := http.NewResponseController(rw)
		_ = conn.EnableFullDuplex()
		x, ctx := Begin(r.Context(), w.nearest(first, second), limits)
		defer x.End()
		x.Unblock = func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) }
		req := r.Clone(ctx)
		req.URL = opaque(r.RequestURI)
		_, err := w.exchange(req)
		results <- outcome{err, x.Stalled()}
	}))
	return strings.TrimPrefix(url, "http://"), results
}

// Contract 5.3, 5.9, 5.10, 7.1: what a client can do to its own upload.
func TestUploadsThatBreak(t *testing.T) {
	const head = "POST /hello HTTP/1.1\r\nHost: h\r\n"
	for _, tc := range []struct {
		name   string
		limits Limits
		send   string
		then   func(conn *net.TCPConn) error
		want   outcome
	}{
		{"whole", Limits{}, head + "Content-Length: 4\r\n\r\nbody", nil, outcome{}},
		{"whole, chunked", Limits{}, head + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", nil, outcome{}},
		{"no chunk", Limits{}, head + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\nxyz\r\n", nil, outcome{ErrBodyMalformed, false}},
		{"huge chunk size", Limits{}, head + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", nil, outcome{ErrBodyMalformed, false}},
		{"chunk without an end", Limits{}, head + "Transfer-Encoding: chunked\r\n\r\n4\r\nbodybody", nil, outcome{ErrBodyMalformed, false}},
		{"length not reached", Limits{}, head + "Content-Length: 9\r\n\r\nbody", (*net.TCPConn).CloseWrite, outcome{ErrClientGone, false}},
		{"chunks not ended", Limits{}, head + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n", (*net.TCPConn).CloseWrite, outcome{ErrClientGone, false}},
		{"reset", Limits{}, head + "Content-Length: 9\r\n\r\nbody", func(conn *net.TCPConn) error {
			_ = conn.SetLinger(0)
			return conn.Close()
		}, outcome{ErrClientGone, false}},
		{"too large", Limits{MaxBody: 3}, head + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n", nil, outcome{ErrBodyTooLarge, false}},
		{"stalls", Limits{Idle: 50 * time.Millisecond}, head + "Content-Length: 9\r\n\r\nbody", nil, outcome{ErrClientStalled, true}},
		{"stalls, chunked", Limits{Idle: 50 * time.Millisecond}, head + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n", nil, outcome{ErrClientStalled, true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			other := &recorder{}
			w := newWorld(t, region(t, first, serve(t, &recorder{})), region(t, second, serve(t, other)))
			address, ended := frontDoor(t, w, tc.limits)
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, tc.send); err != nil {
				t.Fatal(err)
			}
			if tc.then != nil {
				if err := tc.then(conn.(*net.TCPConn)); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case got := <-ended:
				if got != tc.want {
					t.Errorf("got %+v, want %+v", got, tc.want)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the exchange does not end")
			}
			if n := len(other.got()); n != 0 {
				t.Errorf("another region got %d requests", n)
			}
			if state := w.state(first); state == StateDown {
				t.Error("the backend is marked down")
			}
		})
	}
}
