//go:build e2e

package ratelimit

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
