package metering

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

// quietMirror is a Mirror whose rounds a test makes itself.
func quietMirror(t *testing.T, l *Ledger, conn *redisconn.Conn) *Mirror {
	t.Helper()
	m := OpenMirror(l, conn, Hooks{Trouble: func(error) {}})
	m.stop()
	m.done.Wait()
	m.ctx = context.Background()
	return m
}

func flushed(t *testing.T, m *Mirror) int {
	t.Helper()
	n, err := m.Flush(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What one gateway sends, another reads: every sum, by organization too, also after Redis was emptied.
func TestMirror(t *testing.T) {
	redis := &hashes{t: t}
	conn := redis.open()
	one, two := openLedger(t, t.TempDir()), openLedger(t, t.TempDir())
	defer closeLedger(t, one)
	defer closeLedger(t, two)
	now := one.Now()
	for _, organization := range []string{"acme", "other"} {
		s, r := numbers(t, one, organization, "eu")
		seq := admit(t, one, s, r, now)
		if err := one.Done(seq, Invocation{Subject: s, Region: r, At: now}, Ending{Status: 200}); err != nil {
			t.Fatal(err)
		}
		if err := one.Void(admit(t, one, s, r, now), Invocation{Subject: s, Region: r, At: now}); err != nil {
			t.Fatal(err)
		}
	}
	for _, units := range []int64{5, -2} {
		if _, err := one.Adjust(Adjustment{Subject: Subject{Organization: "acme", Project: "p", Function: "f"}, Region: "eu", At: now, Units: units, Reason: "r"}); err != nil {
			t.Fatal(err)
		}
	}
	sender, reader := quietMirror(t, one, conn), quietMirror(t, two, conn)
	if n := flushed(t, sender); n != 2 {
		t.Errorf("%d shards were sent", n)
	}
	if n := flushed(t, sender); n != 0 {
		t.Errorf("%d shards were sent again", n)
	}
	for _, m := range []*Mirror{sender, reader} {
		if err := m.register(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
	if n := reader.Present(); n != 2 {
		t.Errorf("%d gateways are present", n)
	}
	check := func(when string) {
		t.Helper()
		all, err := reader.PeerSums(t.Context(), "")
		acme, err2 := reader.PeerSums(t.Context(), "acme")
		own, err3 := sender.OwnSums(t.Context())
		if err := errors.Join(err, err2, err3); err != nil || len(all) != 4 || len(acme) != 2 || len(own) != 4 {
			t.Fatalf("%s: %d, %d and %d sums, %v", when, len(all), len(acme), len(own), err)
		}
		for i := range acme {
			e := &acme[i]
			if e.Invocations != 1 || e.Completed != 1 || e.Voided != 1 || e.Added != 5 || e.Deducted != 2 || e.Instance != one.Instance() || e.Region != "eu" {
				t.Errorf("%s: %+v", when, e)
			}
			if e.Span != Hourly {
				continue
			}
			if hour, period, err := e.Hour(Cycle{}); err != nil || !hour.Contains(now) || !period.Contains(now) || e.First != 1 {
				t.Errorf("%s: %v, %v, first %d, %v", when, hour, period, e.First, err)
			}
		}
	}
	check("at first")
	redis.empty()
	sender.mu.Lock()
	for _, s := range sender.shards { // as if nobody had looked for a while
		s.looked -= flushIdle
	}
	sender.mu.Unlock()
	flushed(t, sender)
	for _, m := range []*Mirror{sender, reader} {
		if err := m.register(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
	check("after Redis was emptied")
	if sender.Age() != 0 || sender.Calls() == 0 {
		t.Errorf("%v old, %d calls", sender.Age(), sender.Calls())
	}
	if err := sender.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if peers, err := reader.Peers(t.Context()); err != nil || !peers[one.Instance()].Left || peers[two.Instance()].At.IsZero() {
		t.Errorf("%+v, %v", peers, err)
	}
	if err := reader.MarkLost(t.Context(), one.Instance()); err != nil {
		t.Fatal(err)
	}
	if peers, err := reader.Peers(t.Context()); err != nil || !peers[one.Instance()].Lost {
		t.Errorf("%+v, %v", peers, err)
	}
}

// Answers and fields that make no sense are noticed.
func TestMirrorRefuses(t *testing.T) {
	redis := &hashes{t: t}
	conn := redis.open()
	l := openLedger(t, t.TempDir())
	defer closeLedger(t, l)
	s, r := numbers(t, l, "acme", "eu")
	admit(t, l, s, r, l.Now())
	m := quietMirror(t, l, conn)
	key := sumsKey(shardOf{l.Instance(), Shard("acme")})
	flushed(t, m)
	for _, field := range []string{"h|2026|acme", "hh|1|a|p|f|eu|invocations"} {
		redis.put(key, field, "1")
		if _, err := m.OwnSums(t.Context()); err == nil || !strings.Contains(err.Error(), "is not a sum") {
			t.Errorf("%s: %v", field, err)
		}
		redis.empty()
	}
	redis.breakWith(errors.New("ERR no"))
	_, flushErr := m.Flush(t.Context())
	_, sumsErr := m.PeerSums(t.Context(), "")
	_, identityErr := m.Identity(t.Context(), t.TempDir())
	admit(t, l, s, r, l.Now())
	_, changedErr := m.Flush(t.Context())
	for name, err := range map[string]error{
		"sums":     sumsErr,
		"identity": identityErr,
		"flush":    changedErr,
		"register": m.register(t.Context(), l.Now()),
		"clock":    m.followClock(t.Context()),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if flushErr != nil { // nothing had changed
		t.Errorf("%v", flushErr)
	}
	if _, _, err := (&Entry{Span: Hourly, ID: "no hour"}).Hour(Cycle{}); err == nil {
		t.Error("an hour that is none was read")
	}
}

// Hours of more than three days ago leave Redis, but for those with adjustments.
func TestMirrorPrunes(t *testing.T) {
	redis := &hashes{t: t}
	l := openLedger(t, t.TempDir())
	defer closeLedger(t, l)
	s, r := numbers(t, l, "acme", "eu")
	old := l.Now().Add(-hoursKept - 2*time.Hour)
	l.mu.Lock()
	l.forgot = l.Now() // the ledger's own loop would forget what is old before it is sent
	l.mu.Unlock()
	m := quietMirror(t, l, redis.open())
	admit(t, l, s, r, old) // as it was sent before
	admit(t, l, s, r, l.Now())
	if _, err := l.Adjust(Adjustment{Subject: Subject{Organization: "acme", Project: "p", Function: "g"}, Region: "eu", At: old, Units: 1, Reason: "r"}); err != nil {
		t.Fatal(err)
	}
	flushed(t, m)
	hours := func() (n int) {
		for _, name := range redis.fields() {
			if strings.HasPrefix(name, "h|") && strings.HasSuffix(name, "|invocations") {
				n++
			}
		}
		return n
	}
	if n := hours(); n != 3 {
		t.Fatalf("%d hours were sent", n)
	}
	if err := m.prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := hours(); n != 2 {
		t.Errorf("%d hours are left, want 2", n)
	}
}

// The id of a ledger is that of the first directory that Redis heard of.
func TestIdentity(t *testing.T) {
	redis := &hashes{t: t}
	l := openLedger(t, t.TempDir())
	defer closeLedger(t, l)
	m := quietMirror(t, l, redis.open())
	one, two := t.TempDir(), t.TempDir()
	first, err := Identity(one)
	if err != nil || len(first) != 16 {
		t.Fatalf("%q, %v", first, err)
	}
	other, err := Identity(two)
	if err != nil || other == first {
		t.Fatalf("%q, %v", other, err)
	}
	for _, dir := range []string{one, two} {
		if id, err := m.Identity(t.Context(), dir); err != nil || id != first {
			t.Errorf("%q, %v", id, err)
		}
		if id, err := Identity(dir); err != nil || id != first {
			t.Errorf("the directory has %q, %v", id, err)
		}
	}
	if _, err := Identity("/dev/null"); err == nil {
		t.Error("a file has an identity")
	}
}

// The background rounds send, tell of trouble and of its end.
func TestMirrorRuns(t *testing.T) {
	redis := &hashes{t: t, broken: errors.New("ERR no")}
	l := openLedger(t, t.TempDir())
	defer closeLedger(t, l)
	s, r := numbers(t, l, "acme", "eu")
	admit(t, l, s, r, l.Now())
	told := make(chan error, 10)
	m := OpenMirror(l, redis.open(), Hooks{Trouble: func(err error) { told <- err }})
	if err := <-told; err == nil {
		t.Error("trouble was nil at first")
	}
	redis.breakWith(nil)
	if err := <-told; err != nil {
		t.Errorf("it works again: %v", err)
	}
	if err := m.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Redis was emptied, and what it gets of everything then, or the answer, is lost on the way: the next round sends everything, and does
// not take Redis for that of somebody else who is ahead.
func TestEverythingIsSentUntilThereIsAnAnswer(t *testing.T) {
	const acme, other = "acme", "other"
	if Shard(acme) == Shard(other) {
		t.Fatal("they are in one shard")
	}
	for _, arrives := range []bool{true, false} {
		for _, another := range []bool{true, false} { // record, meanwhile
			redis := &hashes{t: t}
			conn, l := redis.open(), openLedger(t, t.TempDir())
			m := quietMirror(t, l, conn)
			for _, organization := range []string{acme, acme, other} { // the last is one that the sums of acme do not have
				s, r := numbers(t, l, organization, "eu")
				admit(t, l, s, r, l.Now())
				flushed(t, m)
			}
			redis.empty()
			m.mu.Lock()
			for _, s := range m.shards { // as if nobody had looked for a while
				s.looked -= flushIdle
			}
			m.mu.Unlock()
			redis.lost = func(c []string) (answer, command bool) {
				return c[0] == "EVALSHA" && c[4] == "0", !arrives // it is believed to have nothing
			}
			if _, err := m.Flush(t.Context()); err == nil {
				t.Fatal("nothing was lost")
			}
			redis.mu.Lock()
			redis.lost = nil
			redis.mu.Unlock()
			want := uint64(3)
			if another {
				s, r := numbers(t, l, acme, "us")
				admit(t, l, s, r, l.Now())
				want++
			}
			flushed(t, m)
			if err := m.register(t.Context(), l.Now()); err != nil {
				t.Fatal(err)
			}
			if n := inRedis(t, conn); n != want || m.Copied() != nil {
				t.Errorf("arrives %v, another record %v: Redis has %d invocations, want %d; %v", arrives, another, n, want, m.Copied())
			}
			closeLedger(t, l)
		}
	}
}
