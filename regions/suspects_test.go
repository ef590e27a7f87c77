package regions

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// What makes a function a suspect, and for how long.
func TestSuspects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s suspects
		check := func(after time.Duration, want bool) {
			t.Helper()
			time.Sleep(after)
			if got := s.has(time.Now(), oneOfAcme); got != want {
				t.Errorf("%v, want %v", got, want)
			}
		}
		check(0, false)
		s.add(time.Now(), oneOfAcme)
		s.add(time.Now(), oneOfAcme) // of the same end
		check(4*time.Second, true)
		check(2*time.Second, false)
		s.add(time.Now(), oneOfAcme)
		check(59*time.Second, true)
		check(2*time.Second, false)
		s.add(time.Now(), oneOfAcme)
		check(6*time.Second, false)
		for i := range 2 * maxSuspects {
			s.add(time.Now(), Callee{Function: fmt.Sprint(i)})
		}
		if len(s.seen) > maxSuspects {
			t.Errorf("%d are remembered", len(s.seen))
		}
		time.Sleep(2 * suspectAgain)
		s.add(time.Now(), oneOfAcme)
		check(time.Second, true)
	})
}

// A function whose answers end their connections, which say nothing of it, takes
// no POST of others with it: those would find such a connection among the unused
// ones. From its second time on it has connections of its own.
func TestEndedConnectionsAreNotShared(t *testing.T) {
	address := serveConns(t, func(conn net.Conn) {
		for {
			head, err := readHead(conn)
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			if strings.HasPrefix(head, "POST /evil") {
				return
			}
		}
	})
	w := newWorld(t, region(t, first, "http://"+address))
	call := func(callee Callee, path string) error {
		x, ctx := Begin(t.Context(), w.nearest(first), Limits{})
		defer x.End()
		x.Callee = callee
		req := newRequest(ctx, http.MethodPost, nil, 0)
		req.URL = opaque(path)
		_, err := w.exchange(req)
		return err
	}
	if err := call(oneOfAcme, "/evil"); err != nil {
		t.Fatal(err)
	}
	u := w.upstream(first)
	for deadline := time.Now().Add(5 * time.Second); !u.suspects.has(time.Now(), oneOfAcme); {
		if time.Now().After(deadline) {
			t.Fatal("it is not suspected")
		}
		runtime.Gosched()
	}
	for range 50 {
		for _, one := range []struct {
			callee Callee
			path   string
		}{{oneOfAcme, "/evil"}, {oneOfGlobex, "/good"}} {
			if err := call(one.callee, one.path); err != nil {
				t.Fatalf("%s: %v", one.path, err)
			}
		}
	}
	untouched(t, u)
}

// A function that has more sent than its answer would answer for others, whose
// requests come over the same connection next: it gets its own.
func TestSurplusAnswersReachNobodyElse(t *testing.T) {
	const good, surplus = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
	for name, answer := range map[string]func(conn net.Conn){
		"later": func(conn net.Conn) {
			_, _ = io.WriteString(conn, good)
			time.Sleep(5 * time.Millisecond)
			_, _ = io.WriteString(conn, surplus)
		},
		"together": func(conn net.Conn) { _, _ = io.WriteString(conn, good+surplus) },
	} {
		t.Run(name, func(t *testing.T) {
			address := serveConns(t, func(conn net.Conn) {
				for {
					head, err := readHead(conn)
					if err != nil {
						return
					}
					if strings.HasPrefix(head, "GET /evil") {
						answer(conn)
						continue
					}
					_, _ = io.WriteString(conn, good)
				}
			})
			w := newWorld(t, region(t, first, "http://"+address))
			call := func(callee Callee, path string) string {
				x, ctx := Begin(t.Context(), w.nearest(first), Limits{})
				defer x.End()
				x.Callee = callee
				req := newRequest(ctx, http.MethodGet, nil, 0)
				req.URL = opaque(path)
				body, err := w.exchange(req)
				if err != nil {
					return err.Error()
				}
				return body
			}
			upstream := w.upstream(first)
			if got := call(oneOfAcme, "/evil"); got != "ok" {
				t.Fatalf("evil was answered %q", got)
			}
			for deadline := time.Now().Add(10 * time.Second); !upstream.suspects.has(time.Now(), oneOfAcme); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("evil is not suspected")
				}
			}
			if upstream.suspects.has(time.Now(), oneOfGlobex) {
				t.Error("another function is suspected")
			}
			var running sync.WaitGroup
			for range 4 {
				running.Go(func() {
					for range 50 {
						call(oneOfAcme, "/evil")
					}
				})
				running.Go(func() {
					for range 50 {
						if got := call(oneOfGlobex, "/good"); got != "ok" {
							t.Errorf("good was answered %q", got)
						}
					}
				})
			}
			running.Wait()
		})
	}
}

// A connection that the next request took before its last answer's end was noted
// is in use.
func TestConnectionsInUseHaveNoSurplus(t *testing.T) {
	var s suspects
	here, there := net.Pipe()
	t.Cleanup(func() { _ = there.Close() })
	c := &watchedConn{Conn: here, suspects: &s}
	now := time.Now()
	first := c.use(now, oneOfAcme)
	c.use(now, oneOfGlobex)
	first.end(now)
	go func() { _, _ = there.Write([]byte("answer")) }()
	if _, err := c.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if s.has(now, oneOfAcme) || s.has(now, oneOfGlobex) {
		t.Error("somebody is suspected")
	}
}

// serveConns accepts connections, and serves them at once, until the test ends. It
// returns where.
func serveConns(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	var conns sync.Map
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Store(conn, nil)
			running.Go(func() {
				defer conns.Delete(conn)
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		conns.Range(func(conn, _ any) bool {
			_ = conn.(net.Conn).Close()
			return true
		})
		running.Wait()
	})
	return listener.Addr().String()
}
