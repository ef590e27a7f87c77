//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	answers "github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/discovery/dnstest"
)

// gone bounds the time in which an address may still get calls after its name left it.
const gone = 15 * time.Second

// cluster is the backends of one region on addresses of their own, and the name server that lists them.
type cluster struct {
	t    *testing.T
	dns  *dnstest.Server
	port string

	mu       sync.Mutex // guards the fields below
	servers  map[string]*clusterServer
	left     map[string]time.Time // addresses that are not listed
	tooLate  []string             // calls that got to an address long after it left
	answered map[string]int       // calls by address
}

// clusterServer is one backend of a cluster.
type clusterServer struct{ http.Server }

const clusterName = "runtime.cluster.test"

func newCluster(t *testing.T) *cluster {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{
		t:        t,
		dns:      dnstest.Start(t),
		port:     fmt.Sprint(port),
		servers:  make(map[string]*clusterServer),
		left:     make(map[string]time.Time),
		answered: make(map[string]int),
	}
	t.Cleanup(func() {
		for _, address := range slices.Collect(maps.Keys(c.servers)) {
			c.kill(address)
		}
	})
	return c
}

// start starts backends at addresses, which are not listed yet.
func (c *cluster) start(addresses ...string) {
	c.t.Helper()
	for _, address := range addresses {
		listener, err := net.Listen("tcp", net.JoinHostPort(address, c.port))
		if err != nil {
			c.t.Fatal(err)
		}
		s := new(clusterServer)
		s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.serve(address, w, r) })
		c.mu.Lock()
		c.servers[address] = s
		c.mu.Unlock()
		go func() { _ = s.Serve(listener) }()
	}
}

func (c *cluster) serve(address string, w http.ResponseWriter, r *http.Request) {
	if r.UserAgent() == "edgegate-health" {
		return
	}
	c.mu.Lock()
	c.answered[address]++
	if at, ok := c.left[address]; ok && time.Since(at) > gone {
		c.tooLate = append(c.tooLate, fmt.Sprintf("%s, %s after it left", address, time.Since(at)))
	}
	c.mu.Unlock()
	switch {
	case r.Header.Get("Upgrade") != "":
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
		return
	case strings.HasPrefix(r.URL.Path, "/work"):
		time.Sleep(20 * time.Millisecond)
	case strings.HasPrefix(r.URL.Path, "/slow"):
		time.Sleep(25 * time.Second)
	}
	_, _ = io.Copy(io.Discard, r.Body)
	_, _ = io.WriteString(w, address)
}

// kill ends a backend and cuts its connections.
func (c *cluster) kill(address string) {
	c.mu.Lock()
	s := c.servers[address]
	delete(c.servers, address)
	c.mu.Unlock()
	if s != nil {
		_ = s.Close()
	}
}

// list has the name stand for addresses from now on.
func (c *cluster) list(addresses ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for address := range c.servers {
		_, was := c.left[address]
		switch listed := slices.Contains(addresses, address); {
		case listed:
			delete(c.left, address)
		case !was:
			c.left[address] = time.Now()
		}
	}
	c.dns.SetHost(clusterName, addresses...)
}

// counts returns the calls by address since the last time, and forgets them.
func (c *cluster) counts() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := c.answered
	c.answered = make(map[string]int)
	return counts
}

// backend is the region of the cluster in a Caddyfile, with the options of its source.
func (c *cluster) backend(region, options string) backend {
	return backend{region: region, more: fmt.Sprintf("\t\t\tdynamic a %s %s {\n\t\t\t\tresolvers %s\n%s\t\t\t}\n", clusterName, c.port, c.dns.Address, options)}
}

// gateway starts a gateway before the cluster, which is its only region.
func (c *cluster) gateway(options string) *gatewayOfCluster {
	c.t.Helper()
	functions := ""
	for _, name := range []string{"hello", "work", "slow", "ws-echo"} {
		functions += "\t\t\tfunction " + name + " {\n\t\t\t\tverify_jwt off\n\t\t\t}\n"
	}
	return &gatewayOfCluster{startGateway(c.t, config{backends: []backend{c.backend("eu-central-1", options)}, functions: functions})}
}

// gatewayOfCluster is a gateway in front of a cluster.
type gatewayOfCluster struct{ *gateway }

// region returns the one region as the admin API has it.
func (g *gatewayOfCluster) region(t *testing.T) answers.RegionStatus {
	t.Helper()
	var answer answers.RegionsAnswer
	if err := json.Unmarshal([]byte((&fleet{gateway: g.gateway}).ask(t, "regions")), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Regions[0]
}

// phases returns the backends by "ADDRESS" or "ADDRESS phase", without scheme and port.
func (g *gatewayOfCluster) phases(t *testing.T) (all []string) {
	t.Helper()
	for _, b := range g.region(t).Backends {
		address, _, _ := strings.Cut(strings.TrimPrefix(b.Address, "http://"), ":")
		if b.State != regions.StateUp {
			address += " " + string(b.State)
		}
		if b.Phase != "" {
			address += " " + string(b.Phase)
		}
		all = append(all, address)
	}
	return all
}

// traffic is calls that run until it is stopped. No call can be sent again, and all name the region.
type traffic struct {
	stop   func()
	mu     sync.Mutex // guards failed
	calls  int
	failed []string
}

// startLoad starts a number of callers.
func (g *gatewayOfCluster) startLoad(t *testing.T, callers int) *traffic {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := new(traffic)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}, Timeout: 60 * time.Second}
	var running sync.WaitGroup
	for range callers {
		running.Go(func() {
			for ctx.Err() == nil {
				failure := g.post(client)
				l.mu.Lock()
				l.calls++
				if failure != "" {
					l.failed = append(l.failed, time.Now().Format(time.StampMilli)+" "+failure)
				}
				l.mu.Unlock()
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	l.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		client.CloseIdleConnections()
	})
	t.Cleanup(l.stop)
	return l
}

func (g *gatewayOfCluster) post(client *http.Client) (failure string) {
	req, err := http.NewRequest(http.MethodPost, g.url+"/functions/v1/work", strings.NewReader("x"))
	if err != nil {
		return err.Error()
	}
	req.Header.Set("X-Region", "eu-central-1")
	res, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK {
		return fmt.Sprintf("%d %s %v", res.StatusCode, text, err)
	}
	return ""
}

// took returns the failures so far, and forgets them.
func (l *traffic) took() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	failed := l.failed
	l.failed = nil
	return failed
}

// none fails the test if calls failed.
func (l *traffic) none(t *testing.T, while string) {
	t.Helper()
	if failed := l.took(); len(failed) > 0 {
		t.Errorf("%d calls failed while %s: %q", len(failed), while, failed[:min(len(failed), 5)])
	}
}

// descriptors returns how many files a gateway has open.
func (g *gatewayOfCluster) descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", g.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
