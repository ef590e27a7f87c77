package regions

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// upgrade answers 101 and hands the connection to talk.
func upgrade(talk func(conn net.Conn, rw *bufio.ReadWriter)) func(http.ResponseWriter, *http.Request, <-chan struct{}) {
	return func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		talk(conn, rw)
	}
}

func upgradeRequest(ctx context.Context) *http.Request {
	req := newRequest(ctx, http.MethodGet, nil, 0)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	return req
}

// Contract 6.6: a 101 gives a connection for both ways that counts as in
// flight until it is closed, however often.
func TestUpgrade(t *testing.T) {
	echo := upgrade(func(conn net.Conn, rw *bufio.ReadWriter) { _, _ = io.Copy(conn, rw) })
	w := newWorld(t, region(t, first, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { echo(w, r, nil) }))))
	x, ctx := w.begin(t, w.nearest(first), Limits{Idle: time.Minute})
	res, err := w.RoundTrip(upgradeRequest(ctx))
	check(t, x, err, nil, first, ReasonNearest, 1)
	if err != nil {
		return
	}
	conn, ok := res.Body.(io.ReadWriteCloser)
	if !ok || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("status %d, body %T", res.StatusCode, res.Body)
	}
	sent := []byte("over and back")
	if _, err := conn.Write(sent); err != nil {
		t.Error(err)
	}
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%q, %v", got, err)
	}
	if n := w.upstream(first).calls.Load(); n != 1 {
		t.Errorf("%d in flight while it is open", n)
	}
	_ = conn.Close()
	_ = conn.Close()
	if n := w.upstream(first).calls.Load(); n != 0 {
		t.Errorf("%d in flight after it was closed", n)
	}
}

// Contract 6.6: bytes from the backend move the idle limit of a WebSocket,
// those of the client do not. The hook ends it instead of an abort.
func TestUpgradeIdle(t *testing.T) {
	for _, tc := range []struct {
		name   string
		limits Limits
		says   int // bytes of the backend, 100 s apart
		client bool
		cause  error
		after  time.Duration
	}{
		{"silent", Limits{Idle: idle}, 0, false, ErrIdleTimeout, idle},
		{"backend talks", Limits{Idle: idle}, 3, false, ErrIdleTimeout, 300*time.Second + idle},
		{"client talks", Limits{Idle: idle}, 0, true, ErrIdleTimeout, idle},
		{"wall clock", Limits{Idle: idle, WallClock: 250 * time.Second}, 9, false, ErrWallClock, 250 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			handler := upgrade(func(conn net.Conn, rw *bufio.ReadWriter) {
				go func() { // what the client says is read and left
					for range tc.says {
						<-time.After(100 * time.Second)
						if _, err := conn.Write([]byte("x")); err != nil {
							return
						}
					}
				}()
				_, _ = io.Copy(io.Discard, rw)
			})
			bubble(t, handler, func(t *testing.T, w *world) {
				began := time.Now()
				tc.limits.Start = began
				x, ctx := w.begin(t, w.nearest(first), tc.limits)
				res, err := w.RoundTrip(upgradeRequest(ctx))
				if err != nil {
					t.Fatal(err)
				}
				conn := res.Body.(io.ReadWriteCloser)
				ended := make(chan error, 1)
				x.OnTimeout(func(cause error) { ended <- cause })
				go func() { _, _ = io.Copy(io.Discard, conn) }()
				if tc.client {
					go func() {
						for range 3 {
							<-time.After(100 * time.Second)
							_, _ = conn.Write([]byte("y"))
						}
					}()
				}
				if cause := <-ended; cause != tc.cause || time.Since(began) != tc.after {
					t.Errorf("%v after %v, want %v after %v", cause, time.Since(began), tc.cause, tc.after)
				}
				if err := ctx.Err(); err != nil {
					t.Errorf("aborted in spite of the hook: %v", context.Cause(ctx))
				}
				_ = conn.Close()
				<-time.After(3 * idle)
			})
		})
	}
}
