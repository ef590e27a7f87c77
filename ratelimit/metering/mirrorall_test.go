package metering

import (
	"strings"
	"testing"
)

// Whatever becomes of Redis, a gateway that runs tells it again of all its logs: that it is there, and that the process of
// a log that it took over has ended. Others find logs, and which form their gateways read, by that alone.
func TestMirrorTellsAgainOfAllItsLogs(t *testing.T) {
	losses := map[string]func(redis *hashes, own, taken string){
		"emptied":              func(redis *hashes, _, _ string) { redis.empty() },
		"an entry was removed": func(redis *hashes, _, taken string) { redis.remove(instancesKey, taken) },
		"the hash was removed": func(redis *hashes, own, taken string) { redis.remove(instancesKey, own, taken) },
		"a copy from before":   func(redis *hashes, _, taken string) { redis.put(instancesKey, taken, "1700000000") },
		"given up before":      func(redis *hashes, _, taken string) { redis.put(instancesKey, taken, presenceLost) },
		"the forms are missing": func(redis *hashes, own, taken string) {
			redis.remove(instancesKey, own)
			redis.remove(schemasKey, own, taken)
		},
	}
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			redis, dir := &hashes{t: t}, t.TempDir()
			conn := redis.open()
			one, two := openLedger(t, dir), openLedger(t, dir)
			for _, l := range []*Ledger{one, two} {
				s, r := numbers(t, l, "acme", "eu")
				admit(t, l, s, r, l.Now())
				closeLedger(t, l)
			}
			l := openLedger(t, dir)
			defer closeLedger(t, l)
			taken := strings.Join(l.Orphans(), " ")
			if len(taken) != 12 {
				t.Fatalf("it took over %q", taken)
			}
			m := quietMirror(t, l, conn)
			told := func(when string) {
				t.Helper()
				m.mu.Lock()
				for _, s := range m.shards { // as if nobody had looked for a while
					s.looked -= flushIdle
				}
				m.mu.Unlock()
				flushed(t, m)
				if err := m.register(t.Context(), l.Now()); err != nil {
					t.Fatal(err)
				}
				peers, err := m.Peers(t.Context())
				if err != nil || peers[l.Instance()].At.IsZero() || !peers[taken].Left {
					t.Errorf("%s: %+v, %v", when, peers, err)
				}
				if forms := redis.hash(schemasKey); forms[l.Instance()] != "2" || forms[taken] != "2" {
					t.Errorf("%s: forms %v", when, forms)
				}
				other := openLedger(t, t.TempDir())
				defer closeLedger(t, other)
				sums, err := quietMirror(t, other, conn).PeerSums(t.Context(), "acme")
				var calls uint64
				for i := range sums {
					if sums[i].Span == Monthly {
						calls += sums[i].Invocations
					}
				}
				if err != nil || calls != 2 {
					t.Errorf("%s: another gateway finds %d calls, want 2, %v", when, calls, err)
				}
			}
			told("at first")
			lose(redis, l.Instance(), taken)
			told("afterwards")
		})
	}
}

// Nobody is told that a log is complete before its sums are there: bills do not wait for it then.
func TestMirrorTellsOfALogOnceItsSumsAreSent(t *testing.T) {
	redis, dir := &hashes{t: t}, t.TempDir()
	one, two := openLedger(t, dir), openLedger(t, dir)
	for _, l := range []*Ledger{one, two} {
		s, r := numbers(t, l, "acme", "eu")
		admit(t, l, s, r, l.Now())
		closeLedger(t, l)
	}
	l := openLedger(t, dir)
	defer closeLedger(t, l)
	m, taken := quietMirror(t, l, redis.open()), l.Orphans()[0]
	if err := m.register(t.Context(), l.Now()); err != nil {
		t.Fatal(err)
	}
	if what := redis.hash(instancesKey)[taken]; what != "" {
		t.Errorf("before its sums are sent it is said to have %q", what)
	}
	flushed(t, m)
	if err := m.register(t.Context(), l.Now()); err != nil {
		t.Fatal(err)
	}
	if what := redis.hash(instancesKey)[taken]; what != presenceLeft {
		t.Errorf("then it is said to have %q", what)
	}
	redis.remove(instancesKey, taken)
	if err := m.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if said := redis.hash(instancesKey); said[taken] != presenceLeft || said[l.Instance()] != presenceLeft {
		t.Errorf("at the end %v", said)
	}
}
