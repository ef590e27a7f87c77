package regions

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var (
	oneOfAcme     = Callee{"acme", "p1", "f1"}
	anotherOfAcme = Callee{"acme", "p1", "f2"}
	thirdOfAcme   = Callee{"acme", "p2", "f1"}
	oneOfGlobex   = Callee{"globex", "p3", "f1"}
)

// Contract 9.2: connections that break open the breaker only if they are of
// three functions of two owners within ten seconds, without an answer between
// them, and a probe does not pass.
func TestBreaksAndProbes(t *testing.T) {
	breaks := func(callees ...Callee) func(u *Upstream) {
		return func(u *Upstream) {
			for _, c := range callees {
				u.broke(time.Now(), c)
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
	probe := func(passed bool) func(u *Upstream) {
		return func(u *Upstream) {
			began := time.Now()
			time.Sleep(time.Millisecond)
			u.checked(began, time.Now(), passed, 0)
		}
	}
	wait := func(d time.Duration) func(u *Upstream) { return func(*Upstream) { time.Sleep(d) } }
	answer := func(u *Upstream) { u.answered() }
	threeOfTwo := breaks(oneOfAcme, anotherOfAcme, oneOfGlobex)
	var ofOne []Callee
	for i := range 1000 {
		ofOne = append(ofOne, Callee{"acme", "p1", fmt.Sprint(i)})
	}
	for _, tc := range []struct {
		name  string
		steps []func(u *Upstream)
		open  bool
	}{
		{"three functions of two owners, and the probe is still out", []func(*Upstream){threeOfTwo}, false},
		{"and it fails", []func(*Upstream){threeOfTwo, probe(false)}, true},
		{"and it passes", []func(*Upstream){threeOfTwo, probe(true)}, false},
		{"it passes, and a later one fails", []func(*Upstream){threeOfTwo, probe(true), probe(false)}, false},
		{"the probe failed before the last of them", []func(*Upstream){breaks(oneOfAcme, anotherOfAcme), probe(false), breaks(oneOfGlobex)}, true},
		{"an answer between them", []func(*Upstream){breaks(oneOfAcme, anotherOfAcme), answer, breaks(oneOfGlobex), probe(false)}, false},
		{"an answer after them", []func(*Upstream){threeOfTwo, answer, probe(false)}, false},
		{"two functions of two owners, often", []func(*Upstream){
			breaks(oneOfAcme, oneOfGlobex, oneOfAcme, oneOfGlobex, oneOfAcme, oneOfGlobex), probe(false),
		}, false},
		{"three functions of one owner", []func(*Upstream){breaks(oneOfAcme, anotherOfAcme, thirdOfAcme), probe(false)}, false},
		{"a thousand functions of one owner", []func(*Upstream){breaks(ofOne...), probe(false)}, false},
		{"a thousand of one owner and one of another", []func(*Upstream){breaks(ofOne...), breaks(oneOfGlobex), probe(false)}, true},
		{"not within ten seconds", []func(*Upstream){
			breaks(oneOfAcme, anotherOfAcme), wait(10 * time.Second), breaks(oneOfGlobex), probe(false),
		}, false},
		{"just within ten seconds", []func(*Upstream){
			breaks(oneOfAcme, anotherOfAcme), wait(9900 * time.Millisecond), breaks(oneOfGlobex), probe(false),
		}, true},
		{"one function, often", []func(*Upstream){
			breaks(oneOfAcme, oneOfAcme, oneOfAcme, oneOfAcme, oneOfAcme, oneOfAcme), probe(false),
		}, false},
		{"a probe that began before them passes", []func(*Upstream){func(u *Upstream) {
			began := time.Now()
			time.Sleep(time.Millisecond)
			threeOfTwo(u)
			u.checked(began, time.Now(), true, 0)
		}, probe(false)}, true},
		{"open, and a probe passes", []func(*Upstream){threeOfTwo, probe(false), probe(true)}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := newTestUpstream()
				defer u.Close()
				for _, step := range tc.steps {
					step(u)
				}
				if open := u.breaker.open(time.Now()); open != tc.open {
					t.Errorf("open: %v, want %v", open, tc.open)
				}
			})
		})
	}
}

// Contract 9.2: what breaks asks for a probe at once, however much breaks for one
// in 200 ms. A backend whose connections break and whose probes pass stays up; one
// whose probes fail is down long before three regular ones would have said so.
func TestBrokenConnectionsAskForProbes(t *testing.T) {
	for _, mode := range []string{answers, refuses} {
		t.Run(mode, func(t *testing.T) {
			watch(t, nil, func(t *testing.T, w *world, p *patient) {
				w.becomes(t, StateUp)
				u := w.upstream(first)
				time.Sleep(500 * time.Millisecond) // the next regular probe is more than a second away
				p.become(mode)
				probes := p.probes.Load()
				began := time.Now()
				u.broke(time.Now(), oneOfAcme)
				time.Sleep(20 * time.Millisecond)
				// Each has a new connection, and asks again for the round trip.
				if got := p.probes.Load() - probes; mode == answers && got != 2 {
					t.Errorf("%d requests at once, want those of one probe", got)
				}
				for time.Since(began) < time.Second {
					u.broke(time.Now(), oneOfAcme)
					time.Sleep(10 * time.Millisecond)
				}
				if mode == refuses {
					if state := w.View().Regions[0].State; state != StateDown {
						t.Errorf("after a second it is %s", state)
					}
					return
				}
				if got := p.probes.Load() - probes; got < 8 || got > 12 {
					t.Errorf("%d requests in a second, want those of five probes", got)
				}
				if state := w.View().Regions[0].State; state != StateUp {
					t.Errorf("its probes pass, and it is %s", state)
				}
			})
		})
	}
}

// One connection that breaks is enough for a backend that is gone to be found:
// its failed probe is followed by others.
func TestOneBreakFindsWhatIsGone(t *testing.T) {
	watch(t, nil, func(t *testing.T, w *world, p *patient) {
		w.becomes(t, StateUp)
		time.Sleep(500 * time.Millisecond)
		p.become(refuses)
		w.upstream(first).broke(time.Now(), oneOfAcme)
		if took := w.becomes(t, StateDown); took > time.Second {
			t.Errorf("down after %v", took)
		}
	})
}

// Contract 9.3: answers that are none are their own call's failure, at once and
// nowhere else, and the backend stays what it was however many come.
func TestAnswersThatAreNoneBlameNobody(t *testing.T) {
	ok := "HTTP/1.1 200 OK\r\n"
	for name, answer := range map[string]string{
		"no HTTP":                     "SSH-2.0-OpenSSH_9.6\r\n",
		"one byte":                    "H",
		"half a status line":          "HTTP/1.1 20",
		"half a header":               ok + "Content-",
		"no status":                   "HTTP/1.1\r\n\r\n",
		"a status of two digits":      "HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n",
		"a status of four digits":     "HTTP/1.1 2000 High\r\nContent-Length: 0\r\n\r\n",
		"no number":                   "HTTP/1.1 abc OK\r\n\r\n",
		"a malformed length":          ok + "Content-Length: abc\r\n\r\n",
		"a negative length":           ok + "Content-Length: -1\r\n\r\n",
		"two lengths":                 ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"an unknown coding":           ok + "Transfer-Encoding: rot13\r\n\r\n",
		"two codings":                 ok + "Transfer-Encoding: gzip, chunked\r\n\r\n",
		"a line without a colon":      ok + "no colon\r\n\r\n",
		"a line that starts blank":    ok + " folded: first\r\n\r\n",
		"a NUL in a name":             ok + "a\x00b: c\r\n\r\n",
		"a forbidden trailer":         ok + "Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\n\r\n",
		"a huge head":                 ok + "A: " + strings.Repeat("x", maxResponseHeader) + "\r\n\r\n",
		"a huge head of small fields": ok + strings.Repeat("A: b\r\n", maxResponseHeader/6) + "\r\n",
		"interim answers for ever":    strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100),
		"100 and no more":             "HTTP/1.1 100 Continue\r\n\r\n",
		"a request":                   "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"HTTP/2":                      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			address, _ := serveRaw(t, func(conn net.Conn) {
				if _, err := readHead(conn); err == nil {
					asked.Add(1)
				}
				_, _ = io.WriteString(conn, answer)
			})
			other := &recorder{}
			w := newWorld(t, region(t, first, address), region(t, second, serve(t, other)))
			const calls = 50
			for range calls {
				x, _, err := w.get(t, w.nearest(first, second))
				if errors.Is(err, ErrBackend) || !errors.Is(err, ErrNotHTTP) || x.Attempts != 1 {
					t.Fatalf("%v after %d attempts", err, x.Attempts)
				}
			}
			if asked.Load() != calls || len(other.got()) != 0 {
				t.Errorf("%d calls were asked %d times, and %d times elsewhere", calls, asked.Load(), len(other.got()))
			}
			untouched(t, w.upstream(first))
		})
	}
}

// untouched checks that nothing was said against a backend.
func untouched(t *testing.T, u *Upstream) {
	t.Helper()
	view := u.View(time.Now())
	if failures(u) != 0 || view.State == StateDown || view.FailureRate != 0 || u.brokenConns.some.Load() {
		t.Errorf("%d failures, %s, failure rate %v, breaks %+v", failures(u), view.State, view.FailureRate, u.brokenConns.seen)
	}
	if len(u.asked) != 0 {
		t.Error("a probe was asked for")
	}
}

// Contract 9.3, 9.4, 7.1: what our own transport refuses to send is the call's
// failure, is not sent elsewhere, and does not count.
func TestUnsendableRequestsBlameNobody(t *testing.T) {
	for _, scheme := range []string{"http", "h2c"} {
		for name, spoil := range map[string]func(req *http.Request){
			"a header that is no token":  func(req *http.Request) { req.Header["a b"] = []string{"c"} },
			"a header with a line break": func(req *http.Request) { req.Header.Set("A", "b\r\nc: d") },
			"a trailer that is no token": func(req *http.Request) { req.Trailer = http.Header{"a b": nil} },
			"a forbidden trailer":        func(req *http.Request) { req.Trailer = http.Header{"Content-Length": nil} },
			"a method that is no token":  func(req *http.Request) { req.Method = "G T" },
		} {
			t.Run(scheme+" "+name, func(t *testing.T) {
				r, other := &recorder{}, &recorder{}
				address := serve(t, r)
				if scheme == "h2c" {
					listener, err := net.Listen("tcp", "127.0.0.1:0")
					if err != nil {
						t.Fatal(err)
					}
					h2c(t, listener, r)
					address = "h2c://" + listener.Addr().String()
				}
				w := newWorld(t, region(t, first, address), region(t, second, serve(t, other)))
				if _, _, err := w.get(t, w.nearest(first)); err != nil {
					t.Fatal(err)
				}
				for range 50 {
					x, ctx := w.begin(t, w.nearest(first, second), Limits{})
					m := &countingMeter{}
					x.Meter = m
					req := post(ctx, pattern(10), -1)
					spoil(req)
					_, err := w.exchange(req)
					check(t, x, err, ErrUnsendable, first, ReasonNearest, 1)
					if m.sending != 1 || m.unsent != 1 {
						t.Errorf("%d invocations were made of it, %d taken back", m.sending, m.unsent)
					}
				}
				if len(r.got()) != 1 || len(other.got()) != 0 {
					t.Errorf("%d requests arrived, and %d elsewhere", len(r.got())-1, len(other.got()))
				}
				untouched(t, w.upstream(first))
			})
		}
	}
}

// Contract 9.4: a WebSocket is asked for without HTTP/2. Backends that shake
// hands for nothing else are not blamed for it; a probe is asked for.
func TestUpgradeWithoutHandshakeBlamesNobody(t *testing.T) {
	own := newSigner(t)
	server := httptest.NewUnstartedServer(&recorder{})
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = true
	certificate := own.issue("runtime.internal")
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if !slices.Contains(hello.SupportedProtos, "h2") {
			return nil, errors.New("no HTTP/2")
		}
		return nil, nil
	}}
	server.StartTLS()
	t.Cleanup(server.Close)
	w := newWorld(t, region(t, first, server.URL))
	u := w.upstream(first)
	u.Secure(&tls.Config{RootCAs: own.pool, ServerName: "runtime.internal"})
	for range 50 {
		_, ctx := w.begin(t, w.nearest(first), Limits{})
		if _, err := w.exchange(upgradeRequest(ctx)); !errors.Is(err, ErrUnavailable) {
			t.Fatal(err)
		}
		if _, _, err := w.get(t, w.nearest(first)); err != nil {
			t.Fatal(err)
		}
	}
	if failures(u) != 0 || w.state(first) != StateUp || len(u.asked) != 1 {
		t.Errorf("blamed %d times, %s, %d probes asked for", failures(u), w.state(first), len(u.asked))
	}
}

// Contract 9.4: a body that ends before the length that was announced is its
// client's fault.
func TestShortBody(t *testing.T) {
	for _, length := range []int64{11, 1000} {
		r := &recorder{}
		w := newWorld(t, region(t, first, serve(t, r)))
		_, ctx := w.begin(t, w.nearest(first), Limits{})
		if _, err := w.exchange(post(ctx, pattern(10), length)); !errors.Is(err, ErrBodyMalformed) {
			t.Errorf("%d announced, 10 sent: %v", length, err)
		}
		untouched(t, w.upstream(first))
	}
}

// countingMeter counts what it is told.
type countingMeter struct{ sending, unsent int }

func (m *countingMeter) Sending(*Region) error { m.sending++; return nil }
func (m *countingMeter) Unsent()               { m.unsent++ }

// Texts of net/http, which has no types for them, are known.
func TestKindsOfErrors(t *testing.T) {
	for _, tc := range []struct {
		err                  error
		broken, ofConnection bool
	}{
		{errors.New("http: server closed idle connection"), true, false},
		{fmt.Errorf("net/http: HTTP/1.x transport connection broken: %w", io.ErrUnexpectedEOF), true, false},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, true, false},
		{errors.New("connection error: PROTOCOL_ERROR"), false, true},
		{errors.New(`http2: server sent GOAWAY and closed the connection; LastStreamID=1, ErrCode=NO_ERROR, debug=""`), false, true},
		{errors.New("http: ContentLength=5 with Body length 6"), false, false},
		{errors.New("net/http: invalid trailer field name \"a b\""), false, false},
	} {
		if isBroken(tc.err) != tc.broken || isConnectionError(tc.err) != tc.ofConnection {
			t.Errorf("%v: broken %v, of the connection %v", tc.err, isBroken(tc.err), isConnectionError(tc.err))
		}
	}
}

// A machine that is out of sockets says nothing about its backends.
func TestShortageBlamesNobody(t *testing.T) {
	w := newWorld(t, region(t, first, "http://backend"))
	u := w.upstream(first)
	dialBy(u, func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: syscall.EMFILE}
	})
	for range 20 {
		if _, _, err := w.get(t, w.nearest(first)); !errors.Is(err, ErrUnavailable) {
			t.Fatal(err)
		}
		u.probeOnce(t.Context(), w.set[first], 0)
	}
	untouched(t, u)
}
