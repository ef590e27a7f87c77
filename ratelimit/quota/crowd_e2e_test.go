//go:build e2e

package quota

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

// member is a gateway that shares a Redis with others: all of it but the requests.
type member struct {
	*gateway
	conn   *redisconn.Conn
	mirror *metering.Mirror
	redis  *Redis
	calls  sync.RWMutex // each call holds it for reading, who ends the member for writing
}

func joinRedis(t *testing.T, url, dir string, allowance Allowance) *member {
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
	m := &member{conn: conn, mirror: metering.OpenMirror(ledger, conn, metering.Hooks{Trouble: func(error) {}})}
	m.redis = NewRedis(conn, before, m.mirror.Present)
	m.gateway = &gateway{
		Manager:   NewManager(ledger, m.redis),
		t:         t,
		ledger:    ledger,
		allowance: allowance,
	}
	return m
}

func (m *member) leave() {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	m.Close(ctx)
	_ = m.mirror.Close(ctx) // Redis may be away
	if err := m.ledger.Close(); err != nil {
		m.t.Error(err)
	}
	_ = m.conn.Close()
}

// kill ends a member as a signal would: nothing is given back, nothing sent.
func (m *member) kill() {
	m.t.Helper()
	m.Manager.stop()
	m.Manager.stopped.Wait()
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
	t         *testing.T
	urls      []string // of each member
	allowance Allowance
	mu        sync.Mutex // guards members
	members   []*member
	dirs      []string
	admitted  atomic.Int64
	refused   atomic.Int64
	lost      uint64 // in the ledgers of those that are gone for good
	stop      context.CancelFunc
	running   sync.WaitGroup
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
	c := &crowd{
		t:         t,
		urls:      urls,
		allowance: hard(limit),
		stop:      stop,
	}
	for i, url := range urls {
		c.dirs = append(c.dirs, t.TempDir())
		c.members = append(c.members, joinRedis(t, url, c.dirs[i], c.allowance))
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
	pause := time.Millisecond
	c.mu.Lock()
	m := c.members[i]
	if m != nil {
		m.calls.RLock()
	}
	c.mu.Unlock()
	if m != nil {
		switch err := m.call(); {
		case err == nil:
			c.admitted.Add(1)
			pause /= 2 // so that the faults are in time
		case errors.Is(err, ErrExhausted), errors.Is(err, ErrUnavailable):
			c.refused.Add(1)
		default:
			c.t.Error(err)
		}
		m.calls.RUnlock()
	}
	<-time.After(pause)
}

// remove takes a member out, and returns when nobody calls it.
func (c *crowd) remove(i int) *member {
	c.mu.Lock()
	m := c.members[i]
	c.members[i] = nil
	c.mu.Unlock()
	m.calls.Lock()
	defer m.calls.Unlock()
	return m
}

// lose ends a member for good: it sends nothing any more, its sums come to Redis, and what it was granted stays its own.
func (c *crowd) lose(i int) (instance string) {
	c.t.Helper()
	m := c.remove(i)
	m.Manager.stop()
	m.Manager.stopped.Wait()
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
	m := c.remove(i)
	m.kill()
	m = joinRedis(c.t, c.urls[i], c.dirs[i], c.allowance)
	c.mu.Lock()
	c.members[i] = m
	c.mu.Unlock()
}

// reach waits until so many were admitted.
func (c *crowd) reach(n int64, within time.Duration) {
	c.t.Helper()
	if !becomes(within, func() bool { return c.admitted.Load() >= n }) {
		c.t.Fatalf("%d admitted in %s, want %d", c.admitted.Load(), within, n)
	}
}

// becomes reports whether something is true in time.
func becomes(within time.Duration, ask func() bool) bool {
	deadline, tick := time.After(within), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !ask() {
		select {
		case <-deadline:
			return false
		case <-tick.C:
		}
	}
	return true
}

// settle ends the load and compares: nobody was admitted beyond the limit, all of it was used, and Redis has the sums of
// the ledgers.
func (c *crowd) settle(limit int64) {
	c.t.Helper()
	c.reach(limit, 2*time.Minute)
	before := c.refused.Load()
	if !becomes(time.Minute, func() bool { return c.refused.Load() >= before+200 }) { // nobody goes beyond it
		c.t.Errorf("beyond the limit only %d were refused", c.refused.Load()-before)
	}
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
		mirrored := uint64(0)
		if !becomes(10*time.Second, func() bool {
			var others []metering.Entry
			others, err = c.members[(i+1)%len(c.members)].mirror.PeerSums(c.t.Context(), "acme")
			mirrored = 0
			for _, e := range others {
				if e.Instance == m.ledger.Instance() && e.Span == metering.Monthly {
					mirrored += e.Invocations
				}
			}
			return err == nil && mirrored == own
		}) {
			c.t.Errorf("member %d: the ledger has %d, Redis %d, %v", i, own, mirrored, err)
		}
	}
	if total != uint64(limit) {
		c.t.Errorf("the ledgers have %d, the limit is %d", total, limit)
	}
	for _, m := range c.members {
		m.leave()
	}
}
