//go:build e2e

package quota

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// asker is one process's authority, which claims nothing.
type asker struct {
	*Redis
	name string
}

func newAsker(t *testing.T, url, name string) *asker {
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
	return &asker{Redis: NewRedis(conn, false, func() int { return 1 }), name: name}
}

// ask returns the epoch that the server is in after this process has asked; after a fault it asks again.
func (a *asker) ask(t *testing.T) (epoch string) {
	t.Helper()
	c := Claim{Holder: a.name, Organization: "acme", Period: metering.Cycle{}.At(time.Now()), Limit: 10}
	if !becomes(10*time.Second, func() bool {
		answer, err := a.Claim(t.Context(), c)
		epoch = answer.Epoch
		return err == nil
	}) {
		t.Fatal("no answer")
	}
	return epoch
}

// A server that lost all begins an epoch above every one that those who ask have seen, whoever asks first, whatever its clock
// says, and whether it went on or was started again.
func TestRedisEpochIsAboveAllSeen(t *testing.T) {
	s := redistest.Clocked(t, 10*time.Minute) // nothing is kept on the disk
	for _, lose := range []string{"emptied", "started again"} {
		for _, clock := range []time.Duration{-10 * time.Minute, 10 * time.Minute, 20 * time.Minute} {
			for _, order := range [][]string{{"fresh", "late", "knows"}, {"fresh", "knows", "late"}, {"late", "fresh", "knows"}, {"knows", "late", "fresh"}} {
				t.Run(fmt.Sprint(lose, clock, order), func(t *testing.T) {
					s.SetClock(10 * time.Minute)
					s.Exec("FLUSHALL")
					who := make(map[string]*asker)
					for _, name := range order {
						who[name] = newAsker(t, s.URL(), name)
					}
					late := who["late"].ask(t)
					s.Exec("FLUSHALL")
					seen := who["knows"].ask(t) // late does not hear of it
					if !later(seen, late) {
						t.Fatalf("%s comes after %s", seen, late)
					}
					if s.SetClock(clock); lose == "emptied" {
						s.Exec("FLUSHALL")
					} else {
						s.Stop()
						s.Start()
					}
					for _, name := range slices.Concat(order, order) {
						who[name].ask(t)
						if lose != "emptied" { // the server it knew is gone; it would say so 15 s from now
							who[name].forgetServer(metering.Shard("acme"))
						}
					}
					end := who["fresh"].ask(t)
					if !later(end, seen) || slices.ContainsFunc(order, func(name string) bool { return who[name].ask(t) != end }) {
						t.Errorf("%s was seen, and it is in %s", seen, end)
					}
				})
			}
		}
	}
}

// forgetServer has the epoch that was heard of last be long ago.
func (a *asker) forgetServer(shard int) {
	h := &a.heard[shard]
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = h.last.Add(-time.Minute)
}

// Redis is emptied and its clock set back, or it is right. A gateway with a new directory is the first to ask, while the others
// have no calls. All of the quota can be used, and no more.
func TestRedisEmptiedWhileOneIsNew(t *testing.T) {
	t.Parallel()
	for name, clock := range map[string]time.Duration{"clock set back": -10 * time.Minute, "clock right": 10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Clocked(t, 10*time.Minute)
			c := gather(t, s.URL(), 3, 3000)
			c.reach(1000, 30*time.Second)
			s.SetClock(clock)
			fresh := newAsker(t, s.URL(), "fresh")
			s.Exec("FLUSHALL")
			for shard := range fresh.Shards() {
				if _, err := fresh.Join(t.Context(), "fresh", shard, ""); err != nil {
					t.Error(err)
				}
			}
			// It asks for all that is left as soon as it is granted anything.
			number, granted := uint64(0), int64(0)
			becomes(8*time.Second, func() bool {
				number++
				a, err := fresh.Claim(t.Context(), Claim{
					Holder:       "fresh",
					Organization: "acme",
					Period:       metering.Cycle{}.At(c.members[0].ledger.Now()),
					Limit:        3000,
					Number:       number,
					Holds:        granted,
					Wants:        3000,
				})
				if err == nil {
					granted = a.Granted
				}
				return granted > 0
			})
			if granted > 0 {
				t.Errorf("it was granted %d before the others have said what they have", granted)
			}
			c.settle(3000)
		})
	}
}
