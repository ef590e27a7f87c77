//go:build e2e

package quota

import (
	"errors"
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

// Redis loses everything seconds after one of three gateways was killed, of which none has been up for a minute. What the two
// others were told by their polls is enough for the quota.
func TestRedisQuotaAfterLossInTheFirstMinute(t *testing.T) {
	s := redistest.Single(t)
	var members []*member
	for range 3 {
		members = append(members, joinRedis(t, s.URL(), t.TempDir(), hard(1000)))
	}
	for _, m := range members {
		passed := 0
		if !becomes(10*time.Second, func() bool {
			if m.call() == nil {
				passed++
			}
			return passed == 150
		}) {
			t.Fatalf("%d of 150 calls passed", passed)
		}
	}
	used, gone := int64(450), members[2]
	for _, m := range members[:2] {
		if !becomes(5*time.Second, func() bool { return m.knows(gone.ledger.Instance()) >= 150 }) {
			t.Errorf("it is known to hold %d, and used 150", m.knows(gone.ledger.Instance()))
		}
	}
	gone.kill()
	s.Exec("FLUSHALL")
	refused := 0
	if !becomes(time.Minute, func() bool {
		for _, m := range members[:2] {
			switch err := m.call(); {
			case err == nil:
				used++
			case errors.Is(err, ErrExhausted):
				refused++
			}
		}
		return refused >= 100
	}) {
		t.Fatalf("after %d calls nothing is refused", used)
	}
	if used > 1000 || used < 900 { // what the one that is off holds and has not used is its own
		t.Errorf("%d calls passed of a quota of 1000", used)
	}
	for _, m := range members[:2] {
		m.leave()
	}
}

// A server that was started again waits 15 s for a holder that does not come back, by the clock of those who ask: setting its
// own clock makes that neither shorter nor much longer.
func TestRedisWaitsByNoWallClock(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]time.Duration{"set forward": 10 * time.Minute, "set back": -10 * time.Minute, "not set": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Clocked(t, 0, appendonly)
			r := authorityIn(t, s.URL(), 3)
			claim := func(number uint64) Answer {
				t.Helper()
				a, err := r.Claim(t.Context(), Claim{
					Holder:       "1",
					Organization: "acme",
					Period:       metering.Cycle{}.At(time.Now()),
					Limit:        10,
					Number:       number,
					Wants:        1,
				})
				if err != nil {
					t.Fatal(err)
				}
				return a
			}
			s.Stop()
			s.Start()
			var epoch string
			if !becomes(10*time.Second, func() (joined bool) { // the connection ended with the server
				var err error
				epoch, err = r.Join(t.Context(), "1", r.Shard("acme"), "")
				return err == nil
			}) {
				t.Fatal("the server does not come back")
			}
			began := time.Now()
			s.SetClock(set)
			number := uint64(100)
			if !becomes(time.Minute, func() bool { number++; return claim(number).Granted == 1 }) {
				t.Fatal("nothing is granted any more")
			}
			if took := time.Since(began); took < 14*time.Second || took > 25*time.Second {
				t.Errorf("in epoch %s it granted after %s", epoch, took)
			}
		})
	}
}

// Redis is emptied, and its clock set back: gateways that know of a later epoch than its clock says go on nevertheless.
func TestRedisQuotaAfterLossAndAClockSetBack(t *testing.T) {
	s := redistest.Clocked(t, 10*time.Minute)
	c := gather(t, s.URL(), 3, 3000)
	c.reach(1000, 30*time.Second)
	s.SetClock(-10 * time.Minute)
	s.Exec("FLUSHALL")
	c.settle(3000)
}
