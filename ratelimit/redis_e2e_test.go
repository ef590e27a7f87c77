//go:build e2e

package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// member is a gateway that shares a Redis with others: all of it but the requests.
type member struct {
	*gateway
	conn   *redisconn.Conn
	mirror *metering.Mirror
	redis  *Redis
}

func joinRedis(t *testing.T, url, dir string, terms Terms) *member {
	t.Helper()
	config, err := redisconn.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	config.PoolSize = 8
	conn, err := redisconn.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	ledger, err := metering.Open(metering.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	before, err := ledger.MirroredIn(config.String())
	if err != nil {
		t.Fatal(err)
	}
	m := &member{conn: conn, mirror: metering.OpenMirror(ledger, conn, func(error) {})}
	m.redis = NewRedis(conn, before, m.mirror.Present)
	m.gateway = &gateway{Quotas: NewQuotas(ledger, m.redis), t: t, ledger: ledger, terms: terms}
	return m
}

func (m *member) leave() {
	m.t.Helper()
	m.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = m.mirror.Close(ctx) // Redis may be away
	if err := m.ledger.Close(); err != nil {
		m.t.Error(err)
	}
	_ = m.conn.Close()
}

// kill ends a member as a signal would: nothing is given back, nothing sent.
func (m *member) kill() {
	m.t.Helper()
	m.Quotas.stop()
	m.Quotas.stopped.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = m.mirror.Close(ctx)
	if err := m.ledger.Close(); err != nil {
		m.t.Error(err)
	}
	_ = m.conn.Close()
}

// crowd is members under load.
type crowd struct {
	t        *testing.T
	urls     []string // of each member
	terms    Terms
	mu       sync.Mutex // guards members
	members  []*member
	dirs     []string
	admitted atomic.Int64
	lost     uint64 // in the ledgers of those that are gone for good
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// gather starts members that call as often as they can until they are told to stop.
func gather(t *testing.T, url string, n int, limit int64) *crowd {
	t.Helper()
	return gatherAt(t, slices.Repeat([]string{url}, n), limit)
}

// gatherAt is gather where each has a way of its own to Redis.
func gatherAt(t *testing.T, urls []string, limit int64) *crowd {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	c := &crowd{t: t, urls: urls, terms: hard(limit), stop: stop}
	for i, url := range urls {
		c.dirs = append(c.dirs, t.TempDir())
		c.members = append(c.members, joinRedis(t, url, c.dirs[i], c.terms))
	}
	for i := range urls {
		for range 2 {
			c.running.Go(func() {
				for ctx.Err() == nil {
					c.callOne(i)
				}
			})
		}
	}
	return c
}

func (c *crowd) callOne(i int) {
	c.mu.Lock()
	m := c.members[i]
	c.mu.Unlock()
	if m == nil {
		time.Sleep(time.Millisecond)
		return
	}
	switch err := m.call(); {
	case err == nil:
		c.admitted.Add(1)
		time.Sleep(500 * time.Microsecond) // so that the faults are in time
	case errors.Is(err, ErrExhausted), errors.Is(err, ErrUnavailable):
		time.Sleep(2 * time.Millisecond)
	default:
		c.t.Error(err)
	}
}

// lose ends a member for good: it sends nothing any more, its sums come to Redis, and what it was granted stays its own.
func (c *crowd) lose(i int) (instance string) {
	c.t.Helper()
	c.mu.Lock()
	m := c.members[i]
	c.members[i] = nil
	c.mu.Unlock()
	time.Sleep(5 * time.Millisecond) // those who call end
	m.Quotas.stop()
	m.Quotas.stopped.Wait()
	if _, err := m.mirror.Flush(c.t.Context()); err != nil {
		c.t.Error(err)
	}
	ctx, cancel := context.WithCancel(c.t.Context())
	cancel() // it does not say goodbye
	_ = m.mirror.Close(ctx)
	usage, err := m.ledger.Usage()
	if err != nil {
		c.t.Error(err)
	}
	for _, u := range usage {
		if u.Span == metering.Monthly {
			c.lost += u.Invocations
		}
	}
	_ = m.ledger.Close()
	_ = m.conn.Close()
	return m.ledger.Instance()
}

// bounce kills a member and starts it again on its directory.
func (c *crowd) bounce(i int) {
	c.t.Helper()
	c.mu.Lock()
	m := c.members[i]
	c.members[i] = nil
	c.mu.Unlock()
	time.Sleep(5 * time.Millisecond) // those who call end
	m.kill()
	m = joinRedis(c.t, c.urls[i], c.dirs[i], c.terms)
	c.mu.Lock()
	c.members[i] = m
	c.mu.Unlock()
}

// reach waits until so many were admitted.
func (c *crowd) reach(n int64, within time.Duration) {
	c.t.Helper()
	for start := time.Now(); c.admitted.Load() < n; time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > within {
			c.t.Fatalf("%d admitted in %s, want %d", c.admitted.Load(), within, n)
		}
	}
}

// settle ends the load and compares: nobody was admitted beyond the limit, all of it was used, and Redis has the sums of
// the ledgers.
func (c *crowd) settle(limit int64) {
	c.t.Helper()
	c.reach(limit, 2*time.Minute)
	time.Sleep(300 * time.Millisecond) // to go beyond it
	c.stop()
	c.running.Wait()
	if n := c.admitted.Load(); n != limit {
		c.t.Errorf("%d were admitted, the limit is %d", n, limit)
	}
	c.members = slices.DeleteFunc(c.members, func(m *member) bool { return m == nil })
	total := c.lost
	for i, m := range c.members {
		usage, err := m.ledger.Usage()
		if err != nil {
			c.t.Fatal(err)
		}
		own := uint64(0)
		for _, u := range usage {
			if u.Span == metering.Monthly {
				own += u.Invocations
			}
		}
		total += own
		// Within two flushes of the last fault the drift is 0.
		deadline := time.Now().Add(10 * time.Second)
		for {
			others, err := c.members[(i+1)%len(c.members)].mirror.Others(c.t.Context(), "acme")
			mirrored := uint64(0)
			for _, e := range others {
				if e.Instance == m.ledger.Instance() && e.Span == metering.Monthly {
					mirrored += e.Invocations
				}
			}
			if err == nil && mirrored == own {
				break
			}
			if time.Now().After(deadline) {
				c.t.Errorf("member %d: the ledger has %d, Redis %d, %v", i, own, mirrored, err)
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	if total != uint64(limit) {
		c.t.Errorf("the ledgers have %d, the limit is %d", total, limit)
	}
	for _, m := range c.members {
		m.leave()
	}
}

func TestMain(m *testing.M) {
	redisconn.SetLogger(nil) // servers are away on purpose here
	os.Exit(m.Run())
}

// appendonly is how a store of quotas is run (METERING.md 3.4).
const appendonly = "appendonly yes"

func TestRedisQuotaIsExact(t *testing.T) {
	s := redistest.Single(t, appendonly)
	c := gather(t, s.URL(), 3, 3000)
	c.settle(3000)
}

// METERING.md section 4 (4, 5): gateways and the server die, scripts are forgotten, the server hangs.
func TestRedisQuotaThroughFaults(t *testing.T) {
	s := redistest.Single(t, appendonly, "appendfsync everysec")
	c := gather(t, s.URL(), 3, 12000)
	for round, fault := range []func(){
		func() { c.bounce(0) },
		func() { s.Exec("SCRIPT", "FLUSH") },
		func() { s.Pause(); time.Sleep(700 * time.Millisecond); s.Resume() },
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

// METERING.md section 4 (5): the server loses what it had, and with it all grants.
func TestRedisQuotaAfterLoss(t *testing.T) {
	s := redistest.Single(t) // nothing is kept on the disk
	c := gather(t, s.URL(), 3, 4000)
	c.reach(1000, 30*time.Second)
	s.Exec("FLUSHALL")
	c.reach(1500, 40*time.Second)
	c.settle(4000)
}

// METERING.md section 4 (6).
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
			if _, err := r.Join(t.Context(), fmt.Sprint(i), shard, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	time.Sleep(2100 * time.Millisecond)
	return r
}

// METERING.md section 4 (3).
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
				Holder: fmt.Sprint(random.IntN(3)), Organization: fmt.Sprint("rule", round), Period: period, Limit: limit,
				Number: random.Uint64N(100), Holds: random.Int64N(20), Wants: random.Int64N(30),
				Starves: random.IntN(2) == 0,
			}
			want := l.settle(c, limit, time.Now())
			got, err := r.Claim(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if got.Granted != want.Granted || got.Total != want.Total || got.Limit != want.Limit || got.Since.IsZero() != want.Since.IsZero() || got.Needed != want.Needed {
				t.Fatalf("%+v: the script says %+v, the rule %+v", c, got, want)
			}
		}
	}
}

// METERING.md 3.7: gateways share a limit. With tokens for a twentieth of a second no window has more than its part beyond
// the limit, strict ones have none; where Redis is away each has its part.
func TestRedisRateIsShared(t *testing.T) {
	s := redistest.Single(t)
	config, err := redisconn.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	const gateways = 4
	var limiters []*Limiter
	for range gateways {
		conn, err := redisconn.Open(config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		l := limiter(t)
		l.Share(NewTokens(conn, func() int { return gateways }))
		limiters = append(limiters, l)
	}
	passed := func(rate Rate, long time.Duration) int64 {
		r := prepared(t, rate)
		var n atomic.Int64
		var running sync.WaitGroup
		for _, l := range limiters {
			for range 2 {
				running.Go(func() {
					states := make([]RateState, 1)
					for start := time.Now(); time.Since(start) < long; time.Sleep(100 * time.Microsecond) {
						if l.Take([]*Rate{r}, []RateKey{{Policy: r.Name}}, states) {
							n.Add(1)
						} else if states[0].Retry <= 0 {
							t.Error("refused without saying for how long")
						}
					}
				})
			}
		}
		running.Wait()
		return n.Load()
	}
	for _, tt := range []struct {
		rate        Rate
		least, most int64
	}{
		{Rate{Name: "shared", Count: 1000, Window: time.Second, Burst: 100, Mode: RateShared}, 1800, 100 + 2000 + 50 + 20},
		{Rate{Name: "strict", Count: 500, Window: time.Second, Burst: 50, Mode: RateStrict}, 950, 50 + 1000 + 10},
		{Rate{Name: "slow", Count: 10, Window: time.Hour, Mode: RateShared}, 10, 10},
	} {
		if n := passed(tt.rate, 2*time.Second); n < tt.least || n > tt.most {
			t.Errorf("%s: %d passed, want %d to %d", tt.rate.Name, n, tt.least, tt.most)
		}
	}
	s.Stop()
	if n := passed(Rate{Name: "away", Count: 400, Window: time.Second, Burst: 1, Mode: RateShared}, 2*time.Second); n < 300 || n > 800+4*gateways {
		t.Errorf("%d passed without Redis", n)
	}
}

// METERING.md section 5: what a gateway asks of Redis does not depend on its traffic: with organizations in all shards it is at
// most 15.5 commands a second, and a few claims of each organization until it has grants for ten minutes. That is at most 17,000
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
			unit, err := m.Take(t.Context(), organizations[i%len(organizations)], &m.terms)
			if err != nil {
				t.Fatal(err)
			}
			subject, err := m.ledger.Subject(metering.Subject{Organization: organizations[i%len(organizations)]})
			if err == nil {
				_, err = m.ledger.Admit(subject, 0, unit.At, 0)
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
	if perSecond > 15.5 || perOrganization > 3 {
		t.Errorf("%.1f commands a second, and %.1f claims of each organization", perSecond, perOrganization)
	}
}

// METERING.md 3.4: two writes in a script are two chances for half of it.
func TestScriptsWriteOnce(t *testing.T) {
	call := regexp.MustCompile(`redis\.p?call,? ?\(?'([A-Z]+)'`)
	reads := map[string]bool{"HGET": true, "HMGET": true, "TIME": true, "INFO": true, "GET": true}
	for name, text := range map[string]struct {
		text   string
		writes int
	}{"claim": {claimText, 1}, "beat": {beatText, 0}, "rate": {rateText, 1}, "flush": {metering.FlushScript(), 1}} {
		writes := 0
		for _, found := range call.FindAllStringSubmatch(text.text, -1) {
			if !reads[found[1]] {
				writes++
			}
		}
		if writes != text.writes {
			t.Errorf("%s: %d commands write, want %d", name, writes, text.writes)
		}
		if strings.Contains(text.text, "KEYS[2]") || strings.Count(text.text, "redis.call")+strings.Count(text.text, "redis.pcall") == 0 {
			t.Errorf("%s: more than one key, or no command", name)
		}
	}
}
