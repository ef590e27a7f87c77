//go:build e2e

package quota

import (
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// rejoin starts a member again that was taken out, on its directory.
func (c *crowd) rejoin(i int) {
	c.t.Helper()
	m := joinRedis(c.t, c.urls[i], c.dirs[i], c.allowance)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members[i] = m
}

// refuse waits until some members refuse calls because the quota is used up.
func (c *crowd) refuse(within time.Duration, members ...int) {
	c.t.Helper()
	if !becomes(within, func() bool {
		for _, i := range members {
			if s, err := c.members[i].State("acme", &c.allowance); err != nil || !s.Refusing {
				return false
			}
		}
		return true
	}) {
		c.t.Fatalf("after %d the others refuse nothing", c.admitted.Load())
	}
}

// spent returns what a ledger has of acme.
func (m *member) spent() (n int64) {
	m.t.Helper()
	by, err := m.ledger.SpentBy("acme", metering.Cycle{}.At(m.ledger.Now()))
	if err != nil {
		m.t.Fatal(err)
	}
	return int64(by[m.ledger.Instance()])
}

// knows returns what a member knows another one to hold of acme.
func (m *member) knows(holder string) (n int64) {
	shard := m.redis.Shard("acme")
	for _, c := range m.others.Load().claims(shard, m.redis, m.moment()) {
		if c.Holder == holder {
			n += c.Holds
		}
	}
	return n
}

// Redis loses everything while a member is off that has used a third of the quota. The others remember it, also through
// restarts of their own, and use what is left; when it returns, nobody has gone beyond the quota.
func TestRedisQuotaAfterLossWithoutAll(t *testing.T) {
	for name, off := range map[string]func(*member){
		"it ended":      (*member).leave,
		"it was killed": (*member).kill,
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Single(t)
			c := gather(t, s.URL(), 3, 4000)
			c.reach(1500, 30*time.Second)
			gone := c.remove(2)
			used := gone.spent()
			off(gone)
			for _, m := range c.members[:2] {
				if !becomes(20*time.Second, func() bool { return m.knows(gone.ledger.Instance()) >= used }) {
					t.Fatalf("it is known to hold %d, and used %d", m.knows(gone.ledger.Instance()), used)
				}
			}
			s.Exec("FLUSHALL")
			c.bounce(1)
			c.refuse(2*time.Minute, 0, 1)
			if n := c.admitted.Load(); n > 4000 {
				t.Errorf("a member used %d and is off: %d were admitted", used, n)
			}
			c.rejoin(2)
			c.settle(4000)
		})
	}
}
