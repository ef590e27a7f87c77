//go:build e2e

package quota

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// appendonly is how a store of quotas is run.
const appendonly = "appendonly yes"

func TestRedisQuotaIsExact(t *testing.T) {
	s := redistest.Single(t, appendonly)
	c := gather(t, s.URL(), 3, 3000)
	c.settle(3000)
}

// Gateways and the server die, scripts are forgotten, the server hangs.
func TestRedisQuotaThroughFaults(t *testing.T) {
	s := redistest.Single(t, appendonly, "appendfsync everysec")
	c := gather(t, s.URL(), 3, 12000)
	for round, fault := range []func(){
		func() { c.bounce(0) },
		func() { s.Exec("SCRIPT", "FLUSH") },
		func() { s.Pause(); <-time.After(700 * time.Millisecond); s.Resume() },
		func() { c.bounce(1) },
		func() { s.Stop(); s.Start() },
		func() { c.bounce(2) },
		func() { s.Exec("CLIENT", "PAUSE", "600") },
	} {
		c.reach(int64(1000*(round+1)), 30*time.Second)
		fault()
	}
	c.settle(12000)
}

// The server loses what it had, and with it all grants.
func TestRedisQuotaAfterLoss(t *testing.T) {
	s := redistest.Single(t) // nothing is kept on the disk
	c := gather(t, s.URL(), 3, 4000)
	c.reach(1000, 30*time.Second)
	s.Exec("FLUSHALL")
	c.reach(1500, 40*time.Second)
	c.settle(4000)
}

// Sentinel makes a replica the master again and again; a hard quota stays exact.
func TestRedisQuotaThroughFailovers(t *testing.T) {
	s := redistest.Sentinel(t, 1)
	c := gather(t, s.URL(), 3, 6000)
	for round := range 3 {
		c.reach(int64(1000*(round+1)), 60*time.Second)
		s.Failover()
	}
	c.settle(6000)
}

func TestRedisQuotaInACluster(t *testing.T) {
	cluster := redistest.Cluster(t, 3, appendonly)
	c := gather(t, cluster.URL(), 3, 6000)
	key := grantsKey(metering.Shard("acme"))
	for round, fault := range []func(){
		func() { cluster.Migrate(key, func(*redistest.Server) {}) },
		func() { owner := cluster.Owner(key); owner.Stop(); owner.Start() },
		func() { cluster.Migrate(key, func(*redistest.Server) {}) },
	} {
		c.reach(int64(1000*(round+1)), 60*time.Second)
		fault()
	}
	c.settle(6000)
}

// authorityIn returns an authority that the holders 0, 1 and 2 have joined a while ago.
func authorityIn(t *testing.T, url string, holders int) *Redis {
	t.Helper()
	config, err := redisconn.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := redisconn.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	r := NewRedis(conn, false, func() int { return holders })
	for shard := range r.Shards() {
		for i := range 3 {
			if _, err := r.Join(t.Context(), fmt.Sprint(i), shard, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Who joined last is granted something, and so are all.
	shard := r.Shards() - 1
	organization := ""
	for i := 0; organization == ""; i++ {
		if name := fmt.Sprint("probe", i); r.Shard(name) == shard {
			organization = name
		}
	}
	number := uint64(0)
	if !becomes(30*time.Second, func() bool {
		number++
		a, err := r.Claim(t.Context(), Claim{
			Holder:       "2",
			Organization: organization,
			Period:       metering.Cycle{}.At(time.Now()),
			Limit:        10,
			Number:       number,
			Wants:        1,
		})
		return err == nil && a.Granted == 1
	}) {
		t.Fatal("no grants are made")
	}
	return r
}

// What the authority in Redis answers fits one order of its claims.
func TestRedisIsLinearizable(t *testing.T) {
	r := authorityIn(t, redistest.Single(t).URL(), 3)
	for seed := range uint64(30) {
		linearizable(t, r, fmt.Sprint("organization", seed), seed, 3)
	}
}

// The script and the rule in Go answer alike.
func TestRedisGrantsByTheRule(t *testing.T) {
	r := authorityIn(t, redistest.Single(t).URL(), 3)
	random, period := rand.New(rand.NewPCG(7, 7)), metering.Cycle{}.At(time.Now())
	for round := range 20 {
		l := lease{Holders: make(map[string]holder)}
		for i := range 3 { // present, all of them
			l.Holders[fmt.Sprint(i)] = holder{Seen: time.Now().UnixMicro()}
		}
		limit := random.Int64N(50)
		for range 60 {
			c := Claim{
				Holder:       fmt.Sprint(random.IntN(3)),
				Organization: fmt.Sprint("rule", round),
				Period:       period,
				Limit:        limit,
				Number:       random.Uint64N(100),
				Holds:        random.Int64N(20),
				Wants:        random.Int64N(30),
				Starved:      random.IntN(2) == 0,
			}
			inForce := limit
			switch random.IntN(6) {
			case 0: // it takes stock
				inForce, c.Wants = noLimit, 0
			case 1: // and knows of a grace
				c.Grace = Grace{ID: "7", Limit: random.Int64N(50), Age: time.Duration(random.IntN(3)) * time.Minute}
			}
			c.Limit = inForce
			want := l.settle(c, inForce, instantOf(time.Now()))
			got, err := r.Claim(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if got.Granted != want.Granted || got.Total != want.Total || got.Limit != want.Limit || got.Exhausted != want.Exhausted || got.Grace.Limit != want.Grace.Limit || (got.Grace.Age-want.Grace.Age).Abs() > time.Second || got.Number != want.Number || got.Reclaim != want.Reclaim {
				t.Fatalf("%+v: the script says %+v, the rule %+v", c, got, want)
			}
		}
	}
}

// What a gateway asks of Redis does not depend on its traffic: with organizations in all shards it is at
// most 17 commands a second, and a few claims of each organization until it has grants for ten minutes. That is at most 17,500
// commands for a million invocations of a hundred organizations at 1,000 a second, and 2,500 at 10,000.
func TestRedisCommands(t *testing.T) {
	m := joinRedis(t, redistest.Single(t).URL(), t.TempDir(), hard(1_000_000))
	defer m.leave()
	organizations := make([]string, 100)
	for i := range organizations {
		organizations[i] = fmt.Sprint("organization", i)
	}
	const rate = 1000
	call := func(n int) {
		t.Helper()
		tick := time.NewTicker(time.Second / rate)
		defer tick.Stop()
		for i := range n {
			<-tick.C
			unit, err := m.Take(t.Context(), organizations[i%len(organizations)], &m.allowance)
			if err != nil {
				t.Fatal(err)
			}
			subject, err := m.ledger.Subject(metering.Subject{Organization: organizations[i%len(organizations)]})
			if err == nil {
				_, err = m.ledger.Admit(metering.Invocation{Subject: subject, Region: 0, At: unit.At})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	commands := func() uint64 { return m.redis.Calls() + m.mirror.Calls() - m.redis.claims.Load() }
	call(3 * rate)
	before, claims, start := commands(), m.redis.claims.Load(), time.Now()
	call(12 * rate)
	perSecond := float64(commands()-before) / time.Since(start).Seconds()
	perOrganization := float64(m.redis.claims.Load()-claims) / float64(len(organizations))
	t.Logf("%.1f commands a second, and %.1f claims of each organization", perSecond, perOrganization)
	if perSecond > 17 || perOrganization > 3 {
		t.Errorf("%.1f commands a second, and %.1f claims of each organization", perSecond, perOrganization)
	}
}

// Of a limit that was set one of its two places is lost, or both: calls go on by it.
func TestRedisOverridesAreMended(t *testing.T) {
	s := redistest.Single(t, appendonly)
	m := joinRedis(t, s.URL(), t.TempDir(), hard(10))
	defer m.leave()
	if err := m.SetOverride(t.Context(), "acme", new(int64(1000))); err != nil {
		t.Fatal(err)
	}
	there := func() bool {
		limits, err := m.redis.Overrides(t.Context())
		return err == nil && limits["acme"].Limit == 1000
	}
	calls := 0
	for _, lose := range [][]any{
		{"HDEL", grantsKey(m.redis.Shard("acme")), "l|acme"},
		{"FLUSHALL"},
	} {
		s.Exec(lose...)
		calls += 100
		n := 0
		if !becomes(time.Minute, func() bool {
			if m.call() == nil {
				n++
			}
			return n == 100
		}) {
			t.Errorf("%v: %d calls passed", lose, n)
		}
		if !becomes(10*time.Second, there) {
			t.Errorf("%v: the limit is gone", lose)
		}
	}
	// Where it is not on the list it is not in force, whatever a shard says.
	s.Exec("HDEL", overridesKey, "acme")
	if !becomes(time.Minute, func() bool { return errors.Is(m.call(), ErrExhausted) }) {
		t.Error("the configured limit does not hold")
	}
}
