package quota

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// A gateway takes what it was granted, gives back what it has not used when it ends, and leaves all shards.
func TestManagerOverRedis(t *testing.T) {
	c := newClock()
	s := startShards(t, c)
	g := openShared(t, s, t.TempDir(), c)
	g.served(10)
	id := g.ledger.Instance()
	if held := s.held(id); held < 10 || held > 60 {
		t.Errorf("%d units are held of 1000, 5 %% at a time", held)
	}
	g.close()
	if held := s.held(id); held != 10 {
		t.Errorf("%d are held after the end, 10 were used", held)
	}
	if n := len(s.left); n != metering.Shards || slices.ContainsFunc(s.left, func(holder string) bool { return holder != id }) {
		t.Errorf("%d shards were left, by %v", n, slices.Compact(slices.Sorted(slices.Values(s.left))))
	}
	if g.authority.Load() == nil || (*g.authority.Load()).(*Redis).Calls() == 0 {
		t.Error("no call was counted")
	}
}

// Another server takes over, without a part of the grants: the gateway tells it what it holds, and is granted something again.
func TestManagerJoinsTheNextServer(t *testing.T) {
	c := newClock()
	s := startShards(t, c)
	g := openShared(t, s, t.TempDir(), c)
	defer g.close()
	g.served(10)
	s.change(func() { s.server, s.leases = 2, make(map[string]*lease) })
	if !becomesTrue(func() bool {
		g.maintainAll()
		return g.epochs.Load().in(metering.Shard("acme"), "2:server2")
	}) {
		t.Fatal("the next epoch is not joined")
	}
	if held := s.held(g.ledger.Instance()); held < 10 {
		t.Errorf("%d are held by what the next server was told", held)
	}
	g.served(80) // more than it had
	if used := g.used(2000); used != 910 {
		t.Errorf("%d more passed of a quota of 1000, want 910", used)
	}
}

// A gateway whose units were released while it stood still joins again by its next claim: it is granted what is left, and refuses
// calls as used up when nothing is.
func TestManagerJoinsAgainAfterRelease(t *testing.T) {
	c := newClock()
	s := startShards(t, c)
	g, other := openShared(t, s, t.TempDir(), c), openShared(t, s, t.TempDir(), c)
	defer g.close()
	defer other.close()
	g.served(10)
	id := g.ledger.Instance()
	release := func() {
		t.Helper()
		peers := &knownPeers{presence: map[string]metering.Presence{id: silent(time.Hour, time.Minute)}}
		if _, err := other.Release(t.Context(), peers, id); err != nil {
			t.Fatal(err)
		}
	}
	release()
	g.served(80) // more than it had
	release()
	if used := other.used(2000); used < 900 {
		t.Errorf("%d passed of a quota of 1000 by the other", used)
	}
	passed := g.used(200)
	if passed > 100 { // those that it was granted before
		t.Errorf("%d more passed", passed)
	}
	joined := func() (joined bool) {
		s.change(func() { joined = s.joined[grantsKey(metering.Shard("acme"))+"|"+id] == s.server })
		return joined
	}
	if !becomesTrue(joined) {
		t.Error("it has not joined again")
	}
	c.advance(time.Minute)
	if err := g.call(); !errors.Is(err, ErrExhausted) {
		t.Errorf("a call: %v", err)
	}
}

// Grants that a starved gateway reclaims, and those that are idle, go back.
func TestManagerGivesBack(t *testing.T) {
	c := newClock()
	s := startShards(t, c)
	g := openShared(t, s, t.TempDir(), c)
	defer g.close()
	id := g.ledger.Instance()
	for name, begins := range map[string]func(){
		"reclaimed": func() { s.change(func() { s.reclaim = true }) },
		"idle":      func() { c.advance(idleAfter) },
	} {
		g.served(5)
		g.maintainAll() // it notes that something was used
		before := s.held(id)
		begins()
		if !becomesTrue(func() bool {
			g.maintainAll()
			return s.held(id) < before
		}) {
			t.Errorf("%s: %d are held", name, before)
		}
		s.change(func() { s.reclaim = false })
		c.advance(time.Minute) // it may ask again
	}
}

// The grants of an ended gateway go back, in all shards, by the one that takes its log over.
func TestManagerSettlesOrphansInRedis(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	s := startShards(t, c)
	first, second := openShared(t, s, dir, c), openShared(t, s, dir, c)
	first.served(5)
	second.served(7)
	ids := []string{first.ledger.Instance(), second.ledger.Instance()}
	for _, g := range []*gateway{first, second} { // killed
		g.stop()
		g.stopped.Wait()
		if err := g.ledger.Close(); err != nil {
			t.Fatal(err)
		}
	}
	heir := openShared(t, s, dir, c)
	defer heir.close()
	told := make(map[string]int)
	var mu sync.Mutex // guards told
	heir.OnTakeover(func(gateway string) {
		mu.Lock()
		defer mu.Unlock()
		told[gateway]++
	})
	defer func() {
		heir.maintainAll() // a round that goes on has ended
		mu.Lock()
		defer mu.Unlock()
		orphan := ids[0]
		if orphan == heir.ledger.Instance() {
			orphan = ids[1]
		}
		if len(told) != 1 || told[orphan] != 1 {
			t.Errorf("%s was taken over, told was %v", orphan, told)
		}
	}()
	if !becomesTrue(func() bool {
		heir.maintainAll()
		return s.held(ids[0])+s.held(ids[1]) == 12
	}) {
		t.Errorf("%d and %d are held, used were 5 and 7", s.held(ids[0]), s.held(ids[1]))
	}
	heir.served(1)
	if !becomesTrue(func() bool {
		heir.maintainAll()
		var left int
		s.change(func() { left = len(slices.Compact(slices.Clone(s.left))) })
		return left > 0
	}) {
		t.Error("nobody left for the one that was taken over")
	}
}
