//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// gauge is the value of a metric.
func gauge(t *testing.T, g *gateway, name string) int64 {
	t.Helper()
	value, err := strconv.ParseFloat(metricOf(t, g, name), 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return int64(value)
}

// inParallel runs f for each number below n, a few at a time.
func inParallel(n int, f func(i int)) {
	var next atomic.Int64
	var running sync.WaitGroup
	for range 16 {
		running.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	running.Wait()
}

// Contract 9.7: subjects of 4 KB and their tokens, forged ones among them, fill the budgets of limits and tokens and nothing else;
// nobody's limit is reset by that, and a reload changes a budget without losing a limit.
func TestBudgetsOfLimitsAndTokens(t *testing.T) {
	w := startWitness(t)
	c := config{
		backends:  []backend{{region: "eu-central-1", address: w.address()}},
		options:   "\t\tmemory limits 1MiB\n\t\tmemory tokens 1MiB\n\t\trate_limit subject 1/d",
		functions: "\t\t\tfunction private\n",
	}
	g := startGateway(t, c)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	defer client.CloseIdleConnections()
	long := strings.Repeat("x", 4<<10)
	call := func(subject, secret string) int {
		req, err := http.NewRequest(http.MethodGet, g.url+"/functions/v1/private", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token(`{"sub":"`+long+subject+`"}`, secret))
		res, err := client.Do(req)
		if err != nil {
			t.Error(err)
			return 0
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		return res.StatusCode
	}
	if status := call("first", jwtSecret); status != http.StatusOK {
		t.Fatal(status)
	}
	before := memory(t, g.cmd.Process.Pid, "VmRSS")
	const buckets = 1 << 20 / 128
	inParallel(buckets+2000, func(i int) {
		// Those beyond the budget share buckets: they may be refused.
		if status := call(fmt.Sprint(i), jwtSecret); status != http.StatusOK && (status != http.StatusTooManyRequests || i < 1000) {
			t.Errorf("subject %d: %d", i, status)
		}
	})
	inParallel(1000, func(i int) {
		if status := call(fmt.Sprint("forged", i), strings.Repeat("y", 32)); status != http.StatusUnauthorized {
			t.Errorf("forged: %d", status)
		}
	})
	if n := gauge(t, g, "edgegate_rate_limit_buckets"); n < buckets-100 || n > buckets+16 {
		t.Errorf("%d buckets, want %d", n, buckets)
	}
	for _, name := range []string{"edgegate_rate_limit", "edgegate_tokens_cache"} {
		held, most := gauge(t, g, name+"_bytes"), gauge(t, g, name+"_budget_bytes")
		if most != 1<<20 || held < most*8/10 || held > most+16*128 {
			t.Errorf("%s: %d of %d bytes", name, held, most)
		}
	}
	grown := memory(t, g.cmd.Process.Pid, "VmRSS") - before
	t.Logf("the process grew by %d MB", grown>>20)
	if grown > maxGrowth {
		t.Errorf("the process grew by %d MB", grown>>20)
	}
	if status := call("first", jwtSecret); status != http.StatusTooManyRequests {
		t.Errorf("the first subject's limit was reset: %d", status)
	}
	c.options = "\t\tmemory limits 2MiB\n\t\trate_limit subject 1/d"
	if status, body := load(t, g, c.caddyfile(g.port, g.admin)); status != http.StatusOK {
		t.Fatal(body)
	}
	if a, b := gauge(t, g, "edgegate_rate_limit_budget_bytes"), gauge(t, g, "edgegate_tokens_cache_budget_bytes"); a != 2<<20 || b != 64<<20 {
		t.Errorf("after a reload %d and %d bytes", a, b)
	}
	if first, other := call("first", jwtSecret), call("after the reload", jwtSecret); first != http.StatusTooManyRequests || other != http.StatusOK {
		t.Errorf("after a reload %d for the first, %d for another", first, other)
	}
}

// Contract 9.6: bodies kept to be sent again take their budget and no more. Those that find no room are calls like all others, but
// are not sent again; with the heads of the answers all is given back.
func TestBudgetOfReplay(t *testing.T) {
	const size = 64 << 10
	var arrived, broken atomic.Int64
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	defer release()
	function := func(rw http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		if strings.HasPrefix(r.URL.Path, "/break") && broken.Add(1)%2 == 1 {
			panic(http.ErrAbortHandler) // the first time
		}
		if strings.HasPrefix(r.URL.Path, "/hold") {
			arrived.Add(1)
			<-held
		}
		fmt.Fprint(rw, n)
	}
	s := httptest.NewServer(http.HandlerFunc(function))
	t.Cleanup(s.Close)
	t.Cleanup(release)
	c := config{
		backends:  []backend{backendOf("eu-central-1", s)},
		options:   "\t\tmemory replay 1MiB",
		functions: public("hold", "break"),
	}
	g := startGateway(t, c)
	post := func(slug string) (int, string) {
		req, err := http.NewRequest(http.MethodPost, g.url+"/functions/v1/"+slug, bytes.NewReader(make([]byte, size)))
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		req.Header.Set("Idempotency-Key", "k")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(body)
	}
	again := func(what string, want int) {
		t.Helper()
		if status, body := post("break"); status != want {
			t.Errorf("%s: a connection that broke is %d, want %d: %s", what, status, want, body)
		}
		broken.Store(0)
	}
	again("with room", http.StatusOK)
	const calls = 40
	var running sync.WaitGroup
	for range calls {
		running.Go(func() {
			if status, body := post("hold"); status != http.StatusOK || body != strconv.Itoa(size) {
				t.Errorf("%d %s", status, body)
			}
		})
	}
	waitUntil(t, "all uploads arrive", func() bool { return arrived.Load() == calls })
	if kept, most := gauge(t, g, "edgegate_replay_bytes"), gauge(t, g, "edgegate_replay_budget_bytes"); most != 1<<20 || kept > most || kept < most*3/4 {
		t.Errorf("%d of %d bytes", kept, most)
	}
	if n := gauge(t, g, "edgegate_replay_not_kept_total"); n < calls-1<<20/size {
		t.Errorf("%d bodies were not kept", n)
	}
	again("without room", http.StatusBadGateway)
	c.options = "\t\tmemory replay 4MiB"
	if status, body := load(t, g, c.caddyfile(g.port, g.admin)); status != http.StatusOK {
		t.Fatal(body)
	}
	again("with a larger budget", http.StatusOK)
	release()
	running.Wait()
	waitUntil(t, "all is given back", func() bool { return gauge(t, g, "edgegate_replay_bytes") == 0 })
}

var heapAlloc = regexp.MustCompile(`# HeapAlloc = (\d+)`)

// heap asks the gateway's profiler how much is in use after a collection.
func heap(t *testing.T, g *gateway) int {
	t.Helper()
	return profiled(t, g, "heap?gc=1&debug=1", heapAlloc)
}

// Contract 9.6: heads that never end take no more from the gateway than from a site of plain Caddy in the same process, but for
// what a reload needs of short ones; and nothing of a head is left on a connection that is kept.
func TestHeadsInMemory(t *testing.T) {
	plain, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	w := startWitness(t)
	c := config{backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("f")}
	g := prepareGateway(t)
	g.start(t, c.caddyfile(g.port, g.admin)+fmt.Sprintf("http://:%d {\n\trespond ok\n}\n", plain))
	const conns = 200
	line := "X-Padding: " + strings.Repeat("x", 85) + "\r\n"
	// grows returns by how much the heap grows with a connection that sent a head of the size, and whether it ended.
	grows := func(addr string, size int, end bool) int {
		http.DefaultClient.CloseIdleConnections()
		running, before := goroutines(t, g), heap(t, g)
		var open []net.Conn
		defer func() {
			for _, conn := range open {
				_ = conn.Close()
			}
			eventually(t, "the connections are gone", func() bool { return goroutines(t, g) < running+conns/10 })
		}()
		head := "GET /functions/v1/f HTTP/1.1\r\nHost: any.example\r\n" + strings.Repeat(line, size/len(line))
		for range conns {
			conn := dial(t, addr)
			open = append(open, conn)
			if _, err := io.WriteString(conn, head); err != nil {
				t.Fatal(err)
			}
			if end {
				if _, err := io.WriteString(conn, "\r\n"); err != nil {
					t.Fatal(err)
				}
				if got, err := readReply(conn, "GET"); err != nil || got.status != http.StatusOK {
					t.Fatalf("%d, %v", got.status, err)
				}
			}
		}
		grown := 0
		eventually(t, "the heads are taken in", func() bool {
			last := grown
			grown = heap(t, g) - before
			return (end || grown > conns*size*8/10) && grown-last < conns<<8 && last-grown < conns<<8
		})
		return grown / conns
	}
	for _, tt := range []struct {
		size, most int // bytes, and by how many more the gateway may grow for each
		end        bool
	}{
		{18 << 10, 6 << 10, false},
		{14 << 10, 20 << 10, false},
		{14 << 10, 6 << 10, true},
	} {
		of, ours := grows(fmt.Sprintf("127.0.0.1:%d", plain), tt.size, tt.end), grows(g.addr, tt.size, tt.end)
		t.Logf("a head of %d bytes, ended %v: %d with plain Caddy, %d with the gateway", tt.size, tt.end, of, ours)
		if ours-of > tt.most {
			t.Errorf("a head of %d bytes, ended %v: %d with plain Caddy, %d with the gateway", tt.size, tt.end, of, ours)
		}
	}
}

// Contract 9.6: uploads under way take no more than with Caddy's own reverse_proxy in the same process, but for the budget of replay.
func TestUploadsInMemory(t *testing.T) {
	var received atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(counter{&received}, r.Body)
	}))
	t.Cleanup(s.Close)
	plain, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	c := config{backends: []backend{backendOf("eu-central-1", s)}, options: "\t\tmemory replay 1MiB", functions: public("f")}
	g := prepareGateway(t)
	g.start(t, c.caddyfile(g.port, g.admin)+fmt.Sprintf("http://:%d {\n\treverse_proxy %s\n}\n", plain, s.Listener.Addr()))
	const uploads, size, sent = 300, 64 << 10, 60 << 10
	grows := func(addr string) int {
		http.DefaultClient.CloseIdleConnections()
		running, before := goroutines(t, g), heap(t, g)
		received.Store(0)
		head := fmt.Sprintf("POST /functions/v1/f HTTP/1.1\r\nHost: any.example\r\nContent-Length: %d\r\n\r\n", size)
		var open []net.Conn
		for range uploads {
			conn := dial(t, addr)
			open = append(open, conn)
			if _, err := io.WriteString(conn, head+strings.Repeat("x", sent)); err != nil {
				t.Fatal(err)
			}
		}
		waitUntil(t, "the uploads are under way", func() bool { return received.Load() > uploads*(sent-8<<10) })
		grown := heap(t, g) - before
		for _, conn := range open {
			_ = conn.Close()
		}
		waitUntil(t, "the uploads are gone", func() bool { return goroutines(t, g) < running+uploads/10 })
		return grown
	}
	// The first time buffers are made that stay.
	grows(fmt.Sprintf("127.0.0.1:%d", plain))
	grows(g.addr)
	of, ours := grows(fmt.Sprintf("127.0.0.1:%d", plain)), grows(g.addr)
	t.Logf("%d bytes for each upload with reverse_proxy, %d with the gateway", of/uploads, ours/uploads)
	if ours > of*3/2+1<<20 {
		t.Errorf("%d bytes for each upload with reverse_proxy, %d with the gateway", of/uploads, ours/uploads)
	}
}

// counter counts what is written to it.
type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}
