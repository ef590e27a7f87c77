//go:build e2e

package quota

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/faultproxy"
	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// ways are proxies to a server, one for each member.
func ways(t *testing.T, s *redistest.Server, n int) (proxies []*faultproxy.Proxy, urls []string) {
	t.Helper()
	for range n {
		p := faultproxy.New(t, s.Address, 0)
		proxies, urls = append(proxies, p), append(urls, "redis://"+p.Address)
	}
	return proxies, urls
}

// Answers are lost, late, and cut off; members are parted from Redis.
func TestRedisQuotaThroughABadNetwork(t *testing.T) {
	s := redistest.Single(t, appendonly)
	proxies, urls := ways(t, s, 3)
	c := gatherAt(t, urls, 12000)
	all := func(mode faultproxy.Mode, long time.Duration) {
		for _, p := range proxies {
			p.Become(mode)
		}
		<-time.After(long)
		for _, p := range proxies {
			p.Become(faultproxy.Open)
		}
	}
	for round, fault := range []func(){
		func() { all(faultproxy.LoseAnswers, 2*time.Second) },
		func() { proxies[0].Become(faultproxy.Swallow); c.bounce(1) },
		func() { proxies[0].Become(faultproxy.Open); proxies[2].Become(faultproxy.SwallowAnswers) },
		func() { proxies[2].Become(faultproxy.Open); all(faultproxy.Reset, time.Second) },
		func() { proxies[1].Become(faultproxy.Refuse); c.bounce(0) },
		func() { proxies[1].Become(faultproxy.Open); proxies[0].Slow(400 * time.Millisecond) },
		func() { proxies[0].Slow(0) },
	} {
		c.reach(int64(1000*(round+1)), 30*time.Second)
		fault()
	}
	c.settle(12000)
}

// appendOnlyFile is the part of it that grows.
func appendOnlyFile(t *testing.T, s *redistest.Server) string {
	t.Helper()
	for _, pattern := range []string{"appendonlydir/*.incr.aof", "appendonly.aof"} {
		if found, err := filepath.Glob(filepath.Join(s.Dir(), pattern)); err == nil && len(found) > 0 {
			return found[len(found)-1]
		}
	}
	t.Fatalf("%s has no append-only file", s.Dir())
	return ""
}

// tear kills a server, takes the end of its file away, and starts it.
func tear(t *testing.T, s *redistest.Server, cut int64) {
	t.Helper()
	s.Stop()
	path := appendOnlyFile(t, s)
	info, err := os.Stat(path)
	if err == nil {
		err = os.Truncate(path, max(0, info.Size()-cut))
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
}

// The end of the append-only file is torn off, also in the middle of a command.
func TestRedisQuotaAfterATornFile(t *testing.T) {
	s := redistest.Single(t, appendonly, "aof-load-truncated yes")
	c := gather(t, s.URL(), 3, 8000)
	for round, cut := range []int64{1, 77, 1500, 40000} {
		c.reach(int64(1500*(round+1)), 40*time.Second)
		tear(t, s, cut)
	}
	c.settle(8000)
}

// The server is set back to an old copy.
func TestRedisQuotaAfterARestore(t *testing.T) {
	s := redistest.Single(t)
	c := gather(t, s.URL(), 3, 8000)
	c.reach(1000, 30*time.Second)
	s.Exec("SAVE")
	dump := filepath.Join(s.Dir(), "dump.rdb")
	old, err := os.ReadFile(dump)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		c.reach(int64(3000*(round+1)), 40*time.Second)
		s.Stop()
		if err := os.WriteFile(dump, old, 0o600); err != nil {
			t.Fatal(err)
		}
		s.Start()
		c.bounce(round)
	}
	c.settle(8000)
}

// The replica that takes over lacks the last seconds.
func TestRedisQuotaAfterALaggingReplica(t *testing.T) {
	s := redistest.Sentinel(t, 1)
	c := gather(t, s.URL(), 3, 8000)
	c.reach(1500, 60*time.Second)
	before := s.Master()
	for _, replica := range s.Servers {
		if replica != before {
			replica.Pause()
			before.Exec("CLIENT", "KILL", "TYPE", "replica")
			at := c.admitted.Load()
			c.reach(at+500, 30*time.Second)
			before.Stop()
			replica.Resume()
		}
	}
	c.reach(5000, 60*time.Second)
	before.Start() // as a master that nobody asked for, until the sentinels find it
	c.settle(8000)
}

// The master of a slot dies in a Cluster, and its replica takes over.
func TestRedisQuotaAfterAClusterFailover(t *testing.T) {
	cluster := redistest.Cluster(t, 3, appendonly)
	key := grantsKey(metering.Shard("acme"))
	replica := cluster.AddReplica(key, appendonly)
	c := gather(t, cluster.URL(), 3, 6000)
	c.reach(2000, 60*time.Second)
	cluster.Owner(key).Stop()
	c.reach(4000, 30*time.Second) // not within the minute after which the library looks for itself
	if role, _ := replica.Exec("ROLE").([]any); len(role) == 0 || role[0] != "master" {
		t.Errorf("the replica is %v", role)
	}
	c.settle(6000)
}

// A gateway is gone for good, with its disk, after what it used came to Redis. What it was granted is released by an operator.
func TestRedisQuotaOfTheDead(t *testing.T) {
	s := redistest.Single(t, appendonly)
	c := gather(t, s.URL(), 3, 6000)
	c.reach(2000, 30*time.Second)
	gone := c.lose(2)
	operator := c.members[0]
	if _, err := operator.Release(t.Context(), operator.mirror, gone); err == nil || !strings.Contains(err.Error(), "heard of") {
		t.Errorf("a gateway that was there a moment ago is released: %v", err)
	}
	if _, err := operator.Release(t.Context(), operator.mirror, "nobody"); err == nil || !strings.Contains(err.Error(), gone) {
		t.Errorf("a gateway that nobody knows is released: %v", err)
	}
	c.reach(4000, 60*time.Second)
	s.Exec("HSET", "gw:instances", gone, time.Now().Add(-time.Hour).Unix())
	// It must have said nothing new for a while, as seen here: its clock may be wrong.
	if _, err := operator.Release(t.Context(), operator.mirror, gone); err == nil || !strings.Contains(err.Error(), "nothing new here") {
		t.Errorf("a gateway that has just said something is released: %v", err)
	}
	eventually(t, func() bool { _, err := operator.Release(t.Context(), operator.mirror, gone); return err == nil })
	c.settle(6000)
}
