//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/discovery/dnstest"
)

// TestBackendsComeAndGo has backends enter and leave a name under load, and its name server fail in every way: no call fails
// but those in flight on a backend that dies unannounced, and none goes to an address 15 s after the name left it.
func TestBackendsComeAndGo(t *testing.T) {
	t.Parallel() // it waits, mostly
	c := newCluster(t)
	address := func(n int) string { return fmt.Sprintf("127.77.0.%d", n) }
	c.start(address(1), address(2))
	c.list(address(1), address(2))
	g := c.gateway("")
	const callers = 8
	l := g.startLoad(t, callers)
	eventually(t, "both are used", func() bool { return len(c.counts()) == 2 })
	running, open := goroutines(t, g.gateway), g.descriptors(t)

	// A rolling update: each is replaced by a new one, and ends after it left.
	for n := 1; n <= 2; n++ {
		c.start(address(n + 10))
		c.list(append([]string{address(n + 10)}, []string{address(1), address(2)}[n-1:]...)...)
		eventuallyWithin(t, 20*time.Second, address(n+10)+" gets calls", func() bool { return c.counts()[address(n+10)] > 0 })
		c.list(address(11), []string{address(2), address(12)}[n-1])
		eventuallyWithin(t, 20*time.Second, address(n)+" is forgotten", func() bool {
			return !slices.ContainsFunc(g.phases(t), func(b string) bool { return strings.HasPrefix(b+" ", address(n)+" ") })
		})
		time.Sleep(time.Second)
		c.kill(address(n))
	}
	l.none(t, "backends were replaced")

	// Whatever the name server does, the last list stays.
	before := g.region(t).Sources[0].ListedAt
	for _, mode := range []dnstest.Mode{dnstest.ServFail, dnstest.Timeout, dnstest.NXDomain, dnstest.Empty, dnstest.Garbage} {
		c.dns.SetMode(clusterName, mode)
		eventuallyWithin(t, 20*time.Second, "the look-up fails", func() bool { return g.region(t).Sources[0].Error != "" })
		time.Sleep(6 * time.Second)
		c.counts()
		used := make(map[string]int)
		eventuallyWithin(t, 20*time.Second, "both are used", func() bool {
			for address, n := range c.counts() {
				used[address] += n
			}
			return used[address(11)] > 0 && used[address(12)] > 0
		})
		source := g.region(t).Sources[0]
		if source.Failing == nil || source.Age == nil || *source.Age < 5 {
			t.Errorf("mode %d: the source is %+v", mode, source)
		}
		c.dns.SetMode(clusterName, dnstest.OK)
		eventuallyWithin(t, 20*time.Second, "the look-up works", func() bool { return g.region(t).Sources[0].Error == "" })
	}
	if after := g.region(t).Sources[0].ListedAt; before == nil || after == nil || !after.After(*before) {
		t.Errorf("listed at %v, before it was %v", after, before)
	}
	l.none(t, "the name server failed")

	// A TTL of 0, both families, and 500 addresses of which two work.
	c.dns.SetTTL(0)
	many := []string{address(11), address(12), "fd00:77::1"}
	for n := range 497 {
		many = append(many, fmt.Sprintf("127.77.%d.%d", 1+n/250, 1+n%250))
	}
	c.list(many...)
	eventuallyWithin(t, 20*time.Second, "500 backends", func() bool { return len(g.region(t).Backends) == 500 })
	time.Sleep(3 * time.Second)
	if r := g.region(t); r.State != regions.StateUp {
		t.Errorf("with 498 new backends that never answer the region is %s", r.State)
	}
	c.list(address(11), address(12))
	eventuallyWithin(t, 20*time.Second, "two backends", func() bool { return len(g.region(t).Backends) == 2 })
	l.none(t, "500 addresses were listed")

	// One dies unannounced: nobody knows whether calls in flight ran.
	c.kill(address(12))
	time.Sleep(3 * time.Second)
	if failed := l.took(); len(failed) > callers {
		t.Errorf("%d calls failed when a backend died, at most %d were in flight: %q", len(failed), callers, failed[:5])
	}
	c.start(address(12))
	eventuallyWithin(t, 20*time.Second, address(12)+" is up again", func() bool { return slices.Equal(g.phases(t), []string{address(11), address(12)}) })
	l.none(t, "a backend came back")

	l.stop()
	c.mu.Lock()
	if len(c.tooLate) > 0 {
		t.Errorf("%d calls got to addresses long after the name left them: %q", len(c.tooLate), c.tooLate[:min(len(c.tooLate), 5)])
	}
	c.mu.Unlock()
	eventuallyWithin(t, 30*time.Second, "goroutines and descriptors are as before", func() bool {
		return goroutines(t, g.gateway) <= running+10 && g.descriptors(t) <= open+10
	})
	t.Logf("%d calls", l.calls)
}

// TestLeavingBackend: WebSockets of a backend that leaves are closed with 1001 over 30 s, and a call that runs there ends.
func TestLeavingBackend(t *testing.T) {
	t.Parallel() // it waits, mostly
	c := newCluster(t)
	c.start("127.78.0.1")
	c.list("127.78.0.1")
	g := c.gateway("\t\t\t\trefresh 1s\n")
	slow := make(chan string, 1)
	go func() {
		res, err := http.Post(g.url+"/functions/v1/slow", "", nil)
		if err != nil {
			slow <- err.Error()
			return
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		slow <- fmt.Sprint(res.StatusCode, " ", string(text), " ", err)
	}()
	var sockets []*webSocket
	for range 12 {
		sockets = append(sockets, openWebSocket(t, g.addr))
	}
	c.start("127.78.0.2")
	c.list("127.78.0.1", "127.78.0.2")
	eventuallyWithin(t, 20*time.Second, "the new one works", func() bool {
		return slices.ContainsFunc(g.phases(t), func(b string) bool { return b == "127.78.0.2" || b == "127.78.0.2 entering" })
	})
	stays := openWebSocket(t, g.addr) // on the new one, or on the one that leaves
	c.list("127.78.0.2")
	began := time.Now()
	eventuallyWithin(t, 10*time.Second, "it is leaving", func() bool { return slices.Contains(g.phases(t), "127.78.0.1 leaving") })
	closed := make(chan time.Duration, len(sockets))
	for i, ws := range sockets {
		_ = ws.conn.SetDeadline(time.Now().Add(90 * time.Second))
		go func() {
			if code, err := ws.closeCode(); code != 1001 {
				t.Errorf("WebSocket %d got close code %d, %v", i, code, err)
			}
			closed <- time.Since(began)
			_ = ws.conn.Close()
		}()
	}
	var first, last time.Duration
	for i := range sockets {
		last = <-closed
		if i == 0 {
			first = last
		}
	}
	if last-first < 5*time.Second || last > 45*time.Second {
		t.Errorf("12 WebSockets were closed between %s and %s, want over 30 s", first, last)
	}
	if got := <-slow; got != "200 127.78.0.1 <nil>" {
		t.Errorf("the call in flight ended with %q", got)
	}
	eventuallyWithin(t, 20*time.Second, "it is forgotten", func() bool { return len(g.region(t).Backends) == 1 })
	_ = stays.conn.Close()
}

// TestWebSocketsOfABackendThatWasAway: a reload to a source that has no list, and one back, leave WebSockets alone; when
// their backend then leaves, each is closed with 1001.
func TestWebSocketsOfABackendThatWasAway(t *testing.T) {
	t.Parallel() // it waits, mostly
	c := newCluster(t)
	c.start("127.81.0.1", "127.81.0.2")
	c.list("127.81.0.1")
	g := c.gateway("\t\t\t\trefresh 1s\n")
	var sockets []*webSocket
	for range 6 {
		sockets = append(sockets, openWebSocket(t, g.addr))
	}
	whole, err := os.ReadFile(g.dir + "/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{strings.Replace(string(whole), "dynamic a "+clusterName, "dynamic a typo."+clusterName, 1), string(whole)} {
		if status, body := load(t, g.gateway, text); status != http.StatusOK {
			t.Fatalf("reload: %d %s", status, body)
		}
		time.Sleep(2 * time.Second) // the configuration before is cleaned up
	}
	c.list("127.81.0.1", "127.81.0.2")
	eventuallyWithin(t, 20*time.Second, "both work", func() bool {
		return len(g.phases(t)) == 2 && !slices.ContainsFunc(g.phases(t), func(b string) bool { return strings.Contains(b, "unknown") })
	})
	c.list("127.81.0.2")
	for i, ws := range sockets {
		_ = ws.conn.SetDeadline(time.Now().Add(90 * time.Second))
		if code, err := ws.closeCode(); code != 1001 {
			t.Errorf("WebSocket %d got close code %d, %v", i, code, err)
		}
		_ = ws.conn.Close()
	}
	eventuallyWithin(t, 20*time.Second, "it is forgotten", func() bool { return len(g.region(t).Backends) == 1 })
}

// TestFirstList: a gateway that starts while its name server is slow has the first list before its first call; without one
// the region is unknown, and 503 with a retry-after when it is named (contract 2.5). A reload with a name server that fails
// keeps the last list.
func TestFirstList(t *testing.T) {
	t.Parallel() // it waits, mostly
	c := newCluster(t)
	c.start("127.79.0.1")
	c.list("127.79.0.1")
	c.dns.SetDelay(clusterName, 700*time.Millisecond)
	g := c.gateway("")
	post := func() *http.Response {
		req, err := http.NewRequest(http.MethodPost, g.url+"/functions/v1/hello", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Region", "eu-central-1")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res
	}
	if res := post(); res.StatusCode != http.StatusOK {
		t.Errorf("the first call is %d", res.StatusCode)
	}
	c.dns.SetMode(clusterName, dnstest.ServFail)
	text, err := os.ReadFile(g.dir + "/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	if status, body := load(t, g.gateway, strings.Replace(string(text), "location eu-central-1", "location us-east-1", 1)); status != http.StatusOK {
		t.Fatalf("reload: %d %s", status, body)
	}
	if res := post(); res.StatusCode != http.StatusOK {
		t.Errorf("after a reload without a name server: %d", res.StatusCode)
	}
	// A reload that changes a source while look-ups fail logs that once, and not to and fro.
	before := strings.Count(g.tail(), `"what":"backend_list"`)
	if status, body := load(t, g.gateway, strings.Replace(string(text), "dynamic a "+clusterName, "dynamic a other."+clusterName, 1)); status != http.StatusOK {
		t.Fatalf("reload: %d %s", status, body)
	}
	time.Sleep(time.Second)
	if lines := strings.Count(g.tail(), `"what":"backend_list"`) - before; lines > 2 {
		t.Errorf("a reload logged %d changes of lists", lines)
	}
	if !g.stop(syscall.SIGTERM, 15*time.Second) {
		t.Error("it had to be killed")
	}
	g.start(t, string(text))
	res := post()
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || res.Header.Get("Sb-Error-Code") != "REGION_UNAVAILABLE" {
		t.Errorf("without a list: %d %v", res.StatusCode, res.Header)
	}
	if r := g.region(t); r.State != regions.StateUnknown || len(r.Backends) != 0 || r.Sources[0].Error == "" {
		t.Errorf("without a list the region is %+v", r)
	}
	c.dns.SetMode(clusterName, dnstest.OK)
	eventuallyWithin(t, 20*time.Second, "the region is used", func() bool { return post().StatusCode == http.StatusOK })
}

// TestBackendName: `backend http://NAME:PORT` follows the name as the system resolves it, here by the hosts file.
func TestBackendName(t *testing.T) {
	t.Parallel() // it waits, mostly
	c := newCluster(t)
	hosts := t.TempDir() + "/hosts"
	list := func(addresses ...string) {
		text := "127.0.0.1 localhost\n"
		for _, a := range addresses {
			text += a + " " + clusterName + "\n"
		}
		if err := os.WriteFile(hosts, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.list(addresses...)
	}
	c.start("127.80.0.1", "127.80.0.2", "::1")
	list("127.80.0.1")
	b := prepareGateway(t)
	b.in = []string{"unshare", "--mount", "sh", "-c", `mount --bind "$0" /etc/hosts && exec "$@"`, hosts}
	b.start(t, config{
		backends:  []backend{{region: "eu-central-1", address: clusterName + ":" + c.port}},
		functions: "\t\t\tfunction work {\n\t\t\t\tverify_jwt off\n\t\t\t}\n",
	}.caddyfile(b.port, b.admin))
	g := &gatewayOfCluster{b}
	l := g.startLoad(t, 4)
	for _, step := range [][]string{{"127.80.0.1", "127.80.0.2"}, {"127.80.0.2"}, {"127.80.0.2", "::1"}, {"::1"}} {
		list(step...)
		eventuallyWithin(t, 40*time.Second, fmt.Sprintf("calls go to %v", step), func() bool {
			time.Sleep(200 * time.Millisecond)
			used := c.counts()
			return len(used) == len(step) && !slices.ContainsFunc(step, func(a string) bool { return used[a] == 0 })
		})
	}
	l.stop()
	l.none(t, "the name moved")
	if s := g.region(t).Sources[0]; s.Source != "http://"+clusterName+":"+c.port || s.Error != "" {
		t.Errorf("the source is %+v", s)
	}
}
