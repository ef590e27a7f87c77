//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Contract 7.1, 7.2: each way out of the proxy counts as what it is.
func TestMeteringCounts(t *testing.T) {
	w := startWitness(t)
	c := config{
		backends:  []backend{{region: "eu-central-1", address: deadAddress(t)}, {region: "us-east-1", address: w.address()}},
		functions: public("ok", "missing", "failing", "cut", "reset", "slow", "socket", "plain") + "\t\t\tfunction private\n" + strings.ReplaceAll(public("own"), "verify_jwt off", "verify_jwt off\n\t\t\t\tcors function"),
	}
	g := startGateway(t, c)
	send := func(method, target string, header ...string) int {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, method, g.url+"/functions/v1/"+target, nil)
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
		if target != "slow" { // that one is left
			_, _ = io.Copy(io.Discard, res.Body) // the test is about how it ends
		}
		return res.StatusCode
	}
	for _, tt := range []struct {
		name, method, slug, target string
		header                     []string
		status                     int
		counts                     int64
	}{
		{"contract 7.1 an answer", "GET", "ok", "ok", nil, 200, 1},
		{"contract 7.1 the function's own 404", "POST", "missing", "missing", nil, 404, 1},
		{"contract 7.1 the function's 500", "GET", "failing", "failing", nil, 500, 1},
		{"contract 7.1 a broken answer", "POST", "cut", "cut", nil, 200, 1}, // contract 6.8: what came of it goes out
		{"contract 7.1 a broken connection", "POST", "reset", "reset", nil, 502, 1},
		{"contract 7.2 a client that hangs up", "GET", "slow", "slow", nil, 200, 1},
		{"contract 7.1 no token", "GET", "private", "private", nil, 401, 0},
		{"contract 7.1 no such region", "GET", "plain", "plain", []string{"x-region", "mars"}, 400, 0},
		{"contract 7.1 nothing was sent", "GET", "plain", "plain", []string{"x-region", "eu-central-1"}, 503, 0},
		{"contract 7.1 HEAD", "HEAD", "plain", "plain", nil, 405, 0},
		{"contract 4.2 OPTIONS", "OPTIONS", "plain", "plain", nil, 204, 0},
		{"contract 4.2 a preflight", "OPTIONS", "plain", "plain", []string{"Origin", "https://a.example", "Access-Control-Request-Method", "POST"}, 204, 0},
		{"contract 4.1 a preflight of cors function", "OPTIONS", "own", "own", []string{"Origin", "https://a.example", "Access-Control-Request-Method", "POST"}, 200, 0},
		{"contract 4.2 other OPTIONS of cors function", "OPTIONS", "own", "own", nil, 200, 1},
		{"contract 7.1 no such function", "GET", "nobody", "nobody", nil, 404, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if status := send(tt.method, tt.target, tt.header...); status != tt.status {
				t.Errorf("answered %d, want %d", status, tt.status)
			}
			n, regions := counted(t, g, tt.slug)
			if n != tt.counts || regions["us-east-1"] != n {
				t.Errorf("%d are counted, in %v, want %d", n, regions, tt.counts)
			}
		})
	}
	t.Run("a function that resets twice is one invocation", func(t *testing.T) {
		before := w.calls.Load()
		send("GET", "reset")
		if n, _ := counted(t, g, "reset"); n != 2 || w.calls.Load()-before < 2 {
			t.Errorf("contract 7.2: %d are counted, it was called %d times", n, w.calls.Load()-before)
		}
	})
	t.Run("contract 7.2 a WebSocket", func(t *testing.T) {
		conn := dial(t, g.addr)
		write(t, conn, rawRequest("GET", "/functions/v1/socket", "any.example", "",
			"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="))
		if got, err := readReply(conn, "GET"); err != nil || got.status != http.StatusSwitchingProtocols {
			t.Fatalf("%d, %v", got.status, err)
		}
		if n, _ := counted(t, g, "socket"); n != 1 {
			t.Errorf("%d are counted while it is open", n)
		}
		conn.Close()
		waitUntil(t, "all have ended", func() bool { return unfinished(t, g) == 0 })
		if n, _ := counted(t, g, "socket"); n != 1 {
			t.Errorf("%d are counted after its end", n)
		}
	})
	t.Run("what was refused is known by status", func(t *testing.T) {
		want := map[string]uint64{"400": 1, "401": 1, "404": 1, "405": 1, "503": 1}
		waitUntil(t, fmt.Sprintf("%v were refused", want), func() bool { return maps.Equal(refused(t, g), want) })
	})
	t.Run("what was counted is counted after a restart", func(t *testing.T) {
		before, _ := counted(t, g, "")
		g.stop(syscall.SIGTERM, 5*time.Second)
		g.start(t, c.caddyfile(g.port, g.admin))
		if after, _ := counted(t, g, ""); after != before || before == 0 {
			t.Errorf("%d before, %d after", before, after)
		}
	})
}

// Contract 7.3, 7.5: a hard quota is exact, also for many at once, and its end is lifted at once.
func TestQuota(t *testing.T) {
	w := startWitness(t)
	c := config{backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"), project: "\t\t\tplan free\n\t\t\tquota 1000"}
	g := startGateway(t, c)
	call := func() *http.Response {
		res, err := http.Get(g.url + "/functions/v1/ok")
		if err != nil {
			t.Error(err)
			return nil
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		return res
	}
	statuses := func(calls int) map[int]int {
		var mu sync.Mutex
		got := make(map[int]int)
		var workers sync.WaitGroup
		for range 8 {
			workers.Go(func() {
				for range calls / 8 {
					if res := call(); res != nil {
						mu.Lock()
						got[res.StatusCode]++
						mu.Unlock()
					}
				}
			})
		}
		workers.Wait()
		return got
	}
	if res := call(); res.Header.Get("X-Sb-Quota-Remaining") != "" {
		t.Error("contract 7.5: the remainder is said at the start")
	}
	if got := statuses(1200); got[200] != 999 || got[402] != 201 || w.calls.Load() != 1000 {
		t.Errorf("contract 7.5: answered %v, the function was called %d times, want 1000", got, w.calls.Load())
	}
	req, err := http.NewRequest(http.MethodGet, g.url+"/functions/v1/ok", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://app.example.org")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	want := `{"message":"Service for this project is restricted due to the following violations: exceed_edge_functions_invocations_quota. The project owner must upgrade their plan or remove spend caps to restore service."}`
	if string(body) != want || res.Header.Get("Retry-After") == "" || res.Header.Get("Sb-Error-Code") != "PROJECT_RESTRICTED" ||
		res.Header.Get("Access-Control-Allow-Origin") != "*" || res.Header.Get("X-Sb-Quota-Remaining") != "0" {
		t.Errorf("contract 7.5: %s with %v", body, res.Header)
	}
	c.project = "\t\t\tplan free\n\t\t\tquota 1008"
	if status, text := load(t, g, c.caddyfile(g.port, g.admin)); status != 200 {
		t.Fatal(text)
	}
	if res := call(); res.StatusCode != 200 || res.Header.Get("X-Sb-Quota-Remaining") != "7" {
		t.Errorf("contract 7.5: after an upgrade %d with %v", res.StatusCode, res.Header)
	}
	g.stop(syscall.SIGKILL, time.Second)
	g.start(t, c.caddyfile(g.port, g.admin))
	if got := statuses(80); got[200] != 7 || got[402] != 73 {
		t.Errorf("contract 7.5: after a kill %v", got)
	}
	c.project = "\t\t\tplan pro\n\t\t\tquota 1008\n\t\t\tspend_cap off"
	if status, text := load(t, g, c.caddyfile(g.port, g.admin)); status != 200 {
		t.Fatal(text)
	}
	if got := statuses(80); got[200] != 80 {
		t.Errorf("contract 7.5: without the cap %v", got)
	}
	if n, _ := counted(t, g, ""); n != w.calls.Load() {
		t.Errorf("%d are counted, %d were made", n, w.calls.Load())
	}
}

// load without a quota, from so many clients, until ctx ends.
func hammer(ctx context.Context, g *gateway, clients int, answered *atomic.Int64) *sync.WaitGroup {
	workers := new(sync.WaitGroup)
	for range clients {
		workers.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: 5 * time.Second}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				res, err := client.Get(g.url + "/functions/v1/ok")
				if err != nil { // the gateway is dead
					<-time.After(5 * time.Millisecond)
					continue
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.StatusCode == http.StatusOK {
					answered.Add(1)
				}
			}
		})
	}
	return workers
}

// meteringKills is how often the gateway is killed; soak_test.go has more.
var meteringKills = 5

// A gateway is killed again and again. What the function was sent is counted; what is counted
// beyond that was on its way.
func TestMeteringOutlivesKills(t *testing.T) {
	const clients = 8
	w := startWitness(t)
	c := config{backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok")}
	g := startGateway(t, c)
	ctx, stop := context.WithCancel(t.Context())
	var answered atomic.Int64
	workers := hammer(ctx, g, clients, &answered)
	for range meteringKills {
		before := answered.Load()
		waitUntil(t, "it is under load", func() bool { return answered.Load() > before+500 })
		g.stop(syscall.SIGKILL, time.Second)
		g.start(t, c.caddyfile(g.port, g.admin))
	}
	stop()
	workers.Wait()
	n, _ := counted(t, g, "")
	t.Logf("%d calls, %d counted, %d kills", w.calls.Load(), n, meteringKills)
	if lost := w.calls.Load() - n; lost > 0 || -lost > int64(meteringKills*clients) {
		t.Errorf("%d calls, %d counted", w.calls.Load(), n)
	}
}

// meteringReloads is how often the configuration is changed; soak_test.go has more.
var meteringReloads = 50

// Reloads lose no invocation and count none twice.
func TestMeteringOutlivesReloads(t *testing.T) {
	w := startWitness(t)
	c := config{backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok")}
	g := startGateway(t, c)
	ctx, stop := context.WithCancel(t.Context())
	var answered atomic.Int64
	workers := hammer(ctx, g, 4, &answered)
	for i := range meteringReloads {
		c.options = fmt.Sprintf("\t\tidle_timeout %ds", 100+i)
		if status, body := load(t, g, c.caddyfile(g.port, g.admin)); status != http.StatusOK {
			t.Fatalf("reload %d: %d %s", i, status, body)
		}
	}
	stop()
	workers.Wait()
	if n, _ := counted(t, g, ""); n != w.calls.Load() || n != answered.Load() {
		t.Errorf("%d counted, %d calls, %d answers", n, w.calls.Load(), answered.Load())
	}
	t.Logf("%d calls during %d reloads", answered.Load(), meteringReloads)
}
