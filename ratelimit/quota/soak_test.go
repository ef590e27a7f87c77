//go:build e2e && soak

package quota

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/faultproxy"
	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

func init() { modelStates = 10_000_000 }

// soakLimit is the limit of all gateways together in each soak.
const soakLimit = 2_000_000

// faultsUntil breaks something each few hundred milliseconds until all is used.
func (c *crowd) faultsUntil(limit int64, faults []func()) (n int) {
	c.t.Helper()
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for ; c.admitted.Load() < limit; n++ {
		faults[random.IntN(len(faults))]()
		time.Sleep(time.Duration(100+random.IntN(400)) * time.Millisecond)
	}
	return n
}

func (c *crowd) bounceAny() { c.bounce(rand.IntN(len(c.members))) }

func soak(t *testing.T, urls []string, faults func(c *crowd) []func()) {
	t.Helper()
	c := gatherAt(t, urls, soakLimit)
	start := time.Now()
	n := c.faultsUntil(soakLimit, faults(c))
	c.settle(soakLimit)
	t.Logf("%d invocations, %d faults in %s", c.admitted.Load(), n, time.Since(start).Round(time.Second))
}

func same(url string) []string { return []string{url, url, url} }

func TestSoakSingle(t *testing.T) {
	s := redistest.Single(t, appendonly, "appendfsync everysec", "aof-load-truncated yes")
	proxies, urls := ways(t, s, 3)
	soak(t, urls, func(c *crowd) []func() {
		network := func(mode faultproxy.Mode) func() {
			return func() {
				p := proxies[rand.IntN(len(proxies))]
				p.Become(mode)
				time.Sleep(time.Duration(rand.IntN(2000)) * time.Millisecond)
				p.Become(faultproxy.Open)
			}
		}
		return []func(){
			c.bounceAny, c.bounceAny, func() { s.Exec("SCRIPT", "FLUSH") }, func() { s.Exec("CLIENT", "PAUSE", "600") },
			func() { s.Pause(); time.Sleep(time.Duration(rand.IntN(2000)) * time.Millisecond); s.Resume() },
			func() { s.Stop(); s.Start() }, func() { tear(t, s, rand.Int64N(4096)) },
			network(faultproxy.Swallow), network(faultproxy.SwallowAnswers), network(faultproxy.LoseAnswers),
			network(faultproxy.Reset), network(faultproxy.Refuse),
		}
	})
}

// Nine gateways, a random part of which is cut off in the kernel's network each few seconds.
func TestSoakPartitions(t *testing.T) {
	const gateways = 9
	s := redistest.Isolate(t, gateways, appendonly)
	soak(t, s.URLs(), func(c *crowd) []func() {
		return []func(){c.bounceAny, func() {
			var cut []int
			for i := range gateways {
				if rand.IntN(2) == 0 {
					s.Link(i, false)
					cut = append(cut, i)
				}
			}
			time.Sleep(time.Duration(1+rand.IntN(4)) * time.Second)
			for _, i := range cut {
				s.Link(i, true)
			}
		}}
	})
}

func TestSoakSentinel(t *testing.T) {
	s := redistest.Sentinel(t, 1)
	soak(t, same(s.URL()), func(c *crowd) []func() { return []func(){c.bounceAny, func() { s.Failover() }} })
}

func TestSoakCluster(t *testing.T) {
	cluster := redistest.Cluster(t, 3, appendonly)
	key := grantsKey(metering.Shard("acme"))
	soak(t, same(cluster.URL()), func(c *crowd) []func() {
		return []func(){
			c.bounceAny, func() { cluster.Migrate(key, func(*redistest.Server) {}) },
			func() {
				owner := cluster.Owner(key)
				owner.Stop()
				owner.Start()
				for start := time.Now(); time.Since(start) < 20*time.Second; time.Sleep(50 * time.Millisecond) {
					ok := true
					for _, node := range cluster.Nodes {
						ok = ok && strings.Contains(fmt.Sprint(node.Exec("CLUSTER", "INFO")), "cluster_state:ok")
					}
					if ok {
						return
					}
				}
			},
		}
	})
}
