package quota

import (
	"fmt"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// flush has the scripted Redis lose all; another server is there.
func (s *shards) flush() {
	s.change(func() {
		clear(s.leases)
		clear(s.joined)
		s.server++
	})
}

// A gateway ends after it has used a part of a quota, and Redis loses everything. Another one, which has been restarted since,
// tells Redis what the first one holds, and that one goes on from there.
func TestOthersAreRemembered(t *testing.T) {
	c := newClock()
	s := startShards(t, c)
	first, dir := t.TempDir(), t.TempDir()
	gone := openShared(t, s, first, c)
	gone.served(30)
	id := gone.ledger.Instance()
	gone.close()
	open := func() *gateway {
		ledger, err := metering.Open(metering.Config{Dir: dir, Now: c.now})
		if err != nil {
			t.Fatal(err)
		}
		return &gateway{
			Manager:   NewManager(ledger, redisAt(t, s.URL(), true)),
			t:         t,
			ledger:    ledger,
			allowance: hard(1000),
		}
	}
	g := open()
	g.served(1)
	if !becomesTrue(func() bool {
		g.maintainAll()
		return g.others.Load().windows[november.ID+"|acme"].holds(id) == 30
	}) {
		t.Fatal("it never learns what the other one holds")
	}
	g.close()
	s.flush()
	g = open()
	g.served(1)
	if held := s.held(id); held != 30 {
		t.Errorf("Redis says that it holds %d", held)
	}
	back := openShared(t, s, first, c)
	defer back.close()
	back.served(1)
	if held := s.held(id); held < 31 || held > 31+50 {
		t.Errorf("it has returned and holds %d", held)
	}
	g.close()
	// In another Redis nobody is told.
	elsewhere := startShards(t, c)
	g = openShared(t, elsewhere, dir, c)
	defer g.close()
	g.served(1)
	if held := elsewhere.held(id); held != 0 {
		t.Errorf("another Redis says that it holds %d", held)
	}
}

// Gateways that joined before any of them was granted something know each other's grants after one poll.
func TestFirstGrantsOfOthersAreLearned(t *testing.T) {
	c := newClock()
	s := startShards(t, c)
	g, other := openShared(t, s, t.TempDir(), c), openShared(t, s, t.TempDir(), c)
	defer g.close()
	defer other.close()
	f := (*g.authority.Load()).(EpochAuthority)
	shard := f.Shard("acme")
	poll := func() {
		g.maintaining.Lock()
		defer g.maintaining.Unlock()
		if _, err := g.pollShard(f, shard, g.windowsIn(f, shard)); err != nil {
			t.Fatal(err)
		}
	}
	if !becomesTrue(func() bool { poll(); return !g.others.Load().rescan(shard, 2) }) {
		t.Fatal("the shard is never read as a whole")
	}
	knows := func() int64 {
		o := g.others.Load()
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.windows[november.ID+"|acme"].holds(other.ledger.Instance())
	}
	for calls := range 3 { // its first grants, and later ones
		g.served(1)
		other.served(1 + 200*calls)
		poll()
		if held := s.held(other.ledger.Instance()); knows() != held {
			t.Errorf("after one poll it knows %d of %d units", knows(), held)
		}
	}
}

// holds returns what a holder has of a window, if any.
func (w *othersWindow) holds(holder string) int64 {
	if w == nil {
		return 0
	}
	return w.Grants[holder].Holds
}

// Of many lost grants an authority is told after a pause, in which those who hold them may say so themselves.
func TestManyGrantsAreWitnessed(t *testing.T) {
	c := newClock()
	s := startShards(t, c)
	g := openShared(t, s, t.TempDir(), c)
	defer g.close()
	g.served(1)
	w := WindowNews{Organization: "acme", Period: november.ID, Grants: make(map[string]Grant)}
	for i := range 2 * witnessedAtOnce {
		w.Grants[fmt.Sprint("holder", i)] = Grant{Holds: 1, Number: 1}
	}
	g.others.Load().learn(&News{Windows: []WindowNews{w}}, 0, nil)
	s.flush()
	if !becomesTrue(func() bool {
		g.maintainAll()
		return s.held("holder0") == 1 && s.held(fmt.Sprint("holder", 2*witnessedAtOnce-1)) == 1
	}) {
		t.Error("they are not all told")
	}
}

func TestRememberedPeriods(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for period, want := range map[string]bool{
		"2026-11":               true,
		"2026-10":               false,
		"2026-12":               true,
		"20261105+Europe/Paris": true,
		"20261023":              true,
		"20261020+Asia/Tokyo":   false,
		"of another build":      true,
	} {
		if got := remembered(period, now); got != want {
			t.Errorf("%s: %v", period, got)
		}
	}
}

// What cannot be read is nothing; what is kept is only what goes on.
func TestOthersAreKept(t *testing.T) {
	now := moment{
		billing: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
		elapsed: time.Hour,
		machine: instant{micro: 7, boot: "run", up: 1},
	}
	o := newOthers()
	if o.text(now) != nil || len(parseOthers([]byte("{"), now).windows) != 0 {
		t.Error("there is something")
	}
	window := func(period string, number uint64) WindowNews {
		return WindowNews{
			Organization: "acme",
			Period:       period,
			Grants:       map[string]Grant{"a": {Holds: int64(number), Number: number}, "own": {Holds: 9, Number: 9}},
			Grace:        Grace{ID: "1", Limit: 10, Age: time.Duration(number) * time.Second},
		}
	}
	for _, number := range []uint64{2, 1} {
		o.learn(&News{Windows: []WindowNews{window("2026-11", number), window("2026-01", number)}}, now.elapsed, []string{"own"})
	}
	text := o.text(now)
	if o.text(now) != nil {
		t.Error("it has changed, though nothing was learned")
	}
	now.machine.up += time.Minute.Microseconds()
	claims := parseOthers(text, now).claims(0, oneShard{}, now)
	want := Claim{
		Holder:       "a",
		Organization: "acme",
		Period:       metering.Period{ID: "2026-11"},
		Limit:        noLimit,
		Holds:        2,
		Number:       2,
		Grace:        Grace{ID: "1", Limit: 10, Age: 62 * time.Second},
	}
	if len(claims) != 1 || claims[0] != want {
		t.Errorf("%s: %+v", text, claims)
	}
}
