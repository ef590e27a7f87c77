//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// socketBackend switches each connection's protocol and says nothing more.
func socketBackend(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_ = conn.Close()
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return l.Addr().String()
}

// level5 is what reconcile says of all requests since the start.
type level5 struct {
	Level                       string
	Expected, Found, Difference int64
	First                       string
	Parts                       []struct {
		What   string
		Number int64
	}
}

func requestsReconciled(t *testing.T, g *gateway) level5 {
	t.Helper()
	var said struct{ Levels []level5 }
	adminGet(t, g, "/edge_functions/usage/reconcile", &said)
	l := said.Levels[len(said.Levels)-1]
	if l.Level != "R5" || l.Difference != 0 || l.Expected != l.Found {
		t.Errorf("%+v", said)
	}
	return l
}

// All that came in is something that is known, however it ended, and while calls go on.
func TestReconcileRequests(t *testing.T) {
	w := startWitness(t)
	c := config{
		backends: []backend{{region: "eu-central-1", address: deadAddress(t)}, {region: "us-east-1", address: w.address()}, {region: "ap-southeast-2", address: socketBackend(t)}},
		functions: public("ok", "missing", "cut", "reset", "slow", "socket") + "\t\t\tfunction private\n" +
			strings.ReplaceAll(public("own"), "verify_jwt off", "verify_jwt off\n\t\t\t\tcors function") +
			strings.ReplaceAll(public("held"), "verify_jwt off", "verify_jwt off\n\t\t\t\tstatus THROTTLED"),
		options: "\t\tmax_body 1KB", project: "\t\t\torganization acme\n\t\t\tplan free\n\t\t\tquota 30",
	}
	g := startGateway(t, c)
	send := func(method, target, body string, header ...string) int {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, method, g.url+"/functions/v1/"+target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			return 0
		}
		defer res.Body.Close()
		_, _ = io.Copy(io.Discard, res.Body) // the test is about how it ends
		return res.StatusCode
	}
	want := make(map[string]int64)
	for _, tt := range []struct {
		method, target, body string
		header               []string
		status               int
		is                   string
	}{
		{"GET", "ok", "", nil, 200, "invocations in the ledger"},
		{"POST", "missing", "x", nil, 404, "invocations in the ledger"},
		{"POST", "cut", "", nil, 200, "invocations in the ledger"}, // contract 6.8: what came of it goes out
		{"POST", "reset", "", nil, 502, "invocations in the ledger"},
		{"GET", "reset", "", nil, 200, "invocations in the ledger"}, // by the third region
		{"GET", "slow", "", nil, 200, "invocations in the ledger"},  // its client hangs up
		{"GET", "socket", "", []string{"x-region", "ap-southeast-2", "Connection", "Upgrade", "Upgrade", "websocket"}, 101, "invocations in the ledger"},
		{"OPTIONS", "ok", "", []string{"Origin", "https://a.example", "Access-Control-Request-Method", "POST"}, 204, "preflights"},
		{"OPTIONS", "nobody", "", []string{"Origin", "https://a.example", "Access-Control-Request-Method", "POST"}, 204, "preflights"},
		{"OPTIONS", "ok", "", nil, 204, "other OPTIONS"},
		{"OPTIONS", "own", "", []string{"Origin", "https://a.example", "Access-Control-Request-Method", "POST"}, 200, "passed without counting"},
		{"OPTIONS", "own", "", nil, 200, "invocations in the ledger"},
		{"OPTIONS", "own", "", []string{"x-region", "eu-central-1"}, 503, "refused"},
		{"HEAD", "ok", "", nil, 405, "refused"},
		{"TRACE", "ok", "", nil, 405, "refused"},
		{"GET", "private", "", nil, 401, "refused"},
		{"GET", "nobody", "", nil, 404, "refused"},
		{"GET", "ok/../../x", "", nil, 400, "refused"},
		{"GET", "ok", "", []string{"x-region", "mars"}, 400, "refused"},
		{"GET", "ok", "", []string{"x-region", "eu-central-1"}, 503, "refused"},
		{"POST", "ok", strings.Repeat("x", 2000), nil, 413, "refused"},
		{"GET", "held", "", nil, 429, "refused"},
	} {
		if status := send(tt.method, tt.target, tt.body, tt.header...); status != tt.status {
			t.Errorf("%s %s %v: answered %d, want %d", tt.method, tt.target, tt.header, status, tt.status)
		}
		want[tt.is]++
	}
	// A client that ends in the middle of its body.
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "POST /functions/v1/ok HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	for status := 200; status != http.StatusPaymentRequired; {
		status = send("GET", "ok", "")
	}
	want["refused"]++ // the last
	want["invocations in the ledger"] = 30
	check := func() bool {
		l := requestsReconciled(t, g)
		got := make(map[string]int64)
		for _, part := range l.Parts {
			got[part.What] = part.Number
		}
		for what, n := range want {
			if got[what] != n {
				t.Errorf("%s: %d, want %d, in %+v", what, got[what], n, l)
			}
		}
		return got["under way"] == 0
	}
	waitUntil(t, "nothing is under way", check)
	out := g.command(t, "usage", "reconcile", "--deep")
	if !strings.Contains(out, "R5     requests received since the start and what became of them") || !strings.Contains(out, "R5: 2 preflights\n") {
		t.Error(out)
	}
}

// R5 is exact while calls come in, over reloads, and begins anew with each start.
func TestReconcileRequestsUnderLoad(t *testing.T) {
	w := startWitness(t)
	c := config{backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok")}
	g := startGateway(t, c)
	ctx, stop := context.WithCancel(t.Context())
	var answered atomic.Int64
	workers := hammer(ctx, g, 4, &answered)
	last := int64(0)
	for i := range 10 {
		before := answered.Load()
		waitUntil(t, "it is under load", func() bool { return answered.Load() > before+50 })
		l := requestsReconciled(t, g)
		if l.Expected <= last {
			t.Errorf("%+v after %d", l, last)
		}
		last = l.Expected
		c.options = fmt.Sprintf("\t\tidle_timeout %ds", 100+i)
		if status, body := load(t, g, c.caddyfile(g.port, g.admin)); status != http.StatusOK {
			t.Fatalf("reload %d: %d %s", i, status, body)
		}
	}
	stop()
	workers.Wait()
	waitUntil(t, "nothing is under way", func() bool {
		l := requestsReconciled(t, g)
		return l.Parts[len(l.Parts)-1].Number == 0 && l.Expected >= answered.Load()
	})
	g.command(t, "usage", "reconcile")
}
