package metering

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

// copyOf copies a directory at rest.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// countIn opens the ledger in a directory, counts and closes it. It returns the id of the log.
func countIn(t *testing.T, dir string, n int) string {
	t.Helper()
	l := openLedger(t, dir)
	defer closeLedger(t, l)
	s, r := numbers(t, l, "acme", "eu")
	for range n {
		admit(t, l, s, r, l.Now())
	}
	return l.Instance()
}

// ofAllLogs adds up the invocations of all logs of a ledger.
func ofAllLogs(t *testing.T, l *Ledger) (n uint64) {
	t.Helper()
	all, err := l.Usage()
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		if all[i].Span == Monthly {
			n += all[i].Invocations
		}
	}
	return n
}

// inRedis adds up the invocations that another gateway finds.
func inRedis(t *testing.T, conn *redisconn.Conn) (n uint64) {
	t.Helper()
	l := openLedger(t, t.TempDir())
	defer closeLedger(t, l)
	sums, err := quietMirror(t, l, conn).PeerSums(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for i := range sums {
		if sums[i].Span == Monthly {
			n += sums[i].Invocations
		}
	}
	return n
}

// In a copy of a directory counting goes on in another log, each time; in the original in the same one. What is known of Redis
// is known in the copy too.
func TestCopyHasALogOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	id := countIn(t, dir, 3)
	l := openLedger(t, dir)
	if err := errors.Join(l.KeepOthers([]byte("known")), l.own.checkpoint.mark("redis://a")); err != nil {
		t.Fatal(err)
	}
	closeLedger(t, l)
	second := copyOf(t, dir)
	own := countIn(t, second, 2)
	if again := countIn(t, dir, 1); again != id {
		t.Errorf("the original goes on as %s, it was %s", again, id)
	}
	if again := countIn(t, second, 1); again != own || own == id {
		t.Errorf("the copy of %s goes on as %s, and then as %s", id, own, again)
	}
	l = openLedger(t, second)
	defer closeLedger(t, l)
	before, err := l.MirroredIn("redis://a")
	if beside, err := l.Beside(); beside != 0 || err != nil {
		t.Errorf("%d others count in the directory, %v", beside, err)
	}
	if n := ofAllLogs(t, l); n != 6 || !slices.Equal(l.Copied(), []string{id}) || string(l.KeptOthers()) != "known" || !before || err != nil {
		t.Errorf("%d invocations, copied %v, known %q, %v, %v", n, l.Copied(), l.KeptOthers(), before, err)
	}
}

// A log of which Redis has later records is left as it is, also when Redis is away at the next start.
func TestLogThatWasSetBack(t *testing.T) {
	dir := t.TempDir()
	id := countIn(t, dir, 3)
	own := ""
	for _, sent := range []func(string) (uint64, error){
		func(string) (uint64, error) { return 3, nil },
		func(string) (uint64, error) { return 0, errors.New("away") },
		nil,
		func(of string) (uint64, error) {
			if of == id {
				return 4, nil
			}
			return 0, nil
		},
		func(string) (uint64, error) { return 0, errors.New("away") },
	} {
		l, err := Open(Config{Dir: dir, Sent: sent})
		if err != nil {
			t.Fatal(err)
		}
		if copied := l.Copied(); len(copied) == 0 && l.Instance() != id || len(copied) > 0 && (copied[0] != id || own != "" && own != l.Instance()) {
			t.Errorf("the log is %s, copied are %v", l.Instance(), copied)
		} else if len(copied) > 0 {
			own = l.Instance()
		}
		closeLedger(t, l)
	}
	if own == "" {
		t.Error("it was not left")
	}
}

// Redis gets the last records of a log from a copy, if it has them from nobody, and goes on without them otherwise; whatever
// Redis has of the copied log is not changed. The others find the sums of both.
func TestMirrorOfACopiedLog(t *testing.T) {
	dir, redis := t.TempDir(), &hashes{t: t}
	id := countIn(t, dir, 3)
	key := sumsKey(shardOf{id, Shard("acme")})
	second := copyOf(t, dir)
	countIn(t, dir, 4)
	flush := func(dir string, n int) {
		t.Helper()
		l := openLedger(t, dir)
		defer closeLedger(t, l)
		s, r := numbers(t, l, "acme", "eu")
		for range n {
			admit(t, l, s, r, l.Now())
		}
		m := quietMirror(t, l, redis.open())
		flushed(t, m)
		if err := m.register(t.Context(), l.Now()); err != nil {
			t.Fatal(err)
		}
		if sums, err := m.PeerSums(t.Context(), ""); err != nil || dir == second && len(sums) == 0 {
			t.Errorf("the copy finds %d sums of others, %v", len(sums), err)
		}
	}
	flush(second, 1)
	if n := inRedis(t, redis.open()); n != 4 || redis.hash(instancesKey)[id] != presenceLeft {
		t.Errorf("Redis has %d invocations, the original is %q", n, redis.hash(instancesKey)[id])
	}
	flush(dir, 0)
	before := redis.hash(key)
	flush(second, 1)
	if n := inRedis(t, redis.open()); n != 9 || redis.hash(key)["_h"] != before["_h"] || redis.hash(instancesKey)[id] == presenceLeft {
		t.Errorf("Redis has %d invocations, of the original up to %s, and then %s", n, before["_h"], redis.hash(key)["_h"])
	}
	redis.empty()
	flush(second, 0)
	if n := inRedis(t, redis.open()); n != 5 {
		t.Errorf("after Redis was emptied it has %d", n)
	}
}

// Redis was away at the start: that it has later records is found out before anything is sent, or claimed. Also where both
// send, the one that is behind stops. It goes on under another id when it starts again, and what it counted is nobody's.
func TestMirrorFindsACopyLate(t *testing.T) {
	for _, while := range []bool{false, true} {
		dir, redis := t.TempDir(), &hashes{t: t}
		l := openLedger(t, dir)
		s, r := numbers(t, l, "acme", "eu")
		admit(t, l, s, r, l.Now())
		id, key := l.Instance(), sumsKey(shardOf{l.Instance(), Shard("acme")})
		m := quietMirror(t, l, redis.open())
		if while {
			flushed(t, m)
		}
		redis.put(key, "_h", "1000")
		admit(t, l, s, r, l.Now())
		_, err := m.Flush(t.Context())
		if !errors.Is(err, ErrCopied) || !errors.Is(m.Copied(), ErrCopied) || !errors.Is(m.Rightful(t.Context()), ErrCopied) {
			t.Errorf("%v, %v", err, m.Copied())
		}
		before := redis.hash(key)
		closeLedger(t, l)
		l = openLedger(t, dir)
		m = quietMirror(t, l, redis.open())
		flushed(t, m)
		if l.Instance() == id || redis.hash(key)["_p"] != before["_p"] || ofAllLogs(t, l) != 0 {
			t.Errorf("it goes on as %s, and has %d; Redis has %v, had %v", l.Instance(), ofAllLogs(t, l), redis.hash(key), before)
		}
		closeLedger(t, l)
	}
}

// A log that was taken over, and that its process goes on with elsewhere, is left to it.
func TestMirrorLeavesAnOrphanThatIsWrittenElsewhere(t *testing.T) {
	dir, redis := t.TempDir(), &hashes{t: t}
	one, two := openLedger(t, dir), openLedger(t, dir)
	for _, l := range []*Ledger{one, two} {
		s, r := numbers(t, l, "acme", "eu")
		admit(t, l, s, r, l.Now())
	}
	closeLedger(t, one)
	closeLedger(t, two)
	l := openLedger(t, dir)
	defer closeLedger(t, l)
	id := l.Orphans()[0]
	m := quietMirror(t, l, redis.open())
	redis.put(sumsKey(shardOf{id, Shard("acme")}), "_h", "1000")
	flushed(t, m)
	if len(l.Orphans()) != 0 || m.Copied() != nil || !slices.Equal(l.Copied(), []string{id}) {
		t.Errorf("orphans %v, copied %v, %v", l.Orphans(), l.Copied(), m.Copied())
	}
}

// A snapshot of a disk has the folders of the original, on a machine that was started since: the log is left to a process that is
// there, and continued if none is.
func TestSnapshotOfAnotherMachine(t *testing.T) {
	for _, rebooted := range []bool{false, true} {
		for said, present := range map[string]bool{"": false, presenceLeft: false, presenceLost: false, "now": true, "before": false} {
			dir, redis := t.TempDir(), &hashes{t: t}
			conn := redis.open()
			l := openLedger(t, dir)
			id := l.Instance()
			if rebooted {
				err := l.own.checkpoint.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyBoot, []byte("another")) })
				if err != nil {
					t.Fatal(err)
				}
			}
			closeLedger(t, l)
			switch said {
			case "now":
				redis.put(instancesKey, id, fmt.Sprint(time.Now().Unix()-5))
			case "before":
				redis.put(instancesKey, id, fmt.Sprint(time.Now().Unix()-20))
			default:
				redis.put(instancesKey, id, said)
			}
			l, err := Open(Config{
				Dir:     dir,
				Sent:    func(of string) (uint64, error) { return SentSums(t.Context(), conn, of) },
				Present: func(of string) (bool, error) { return PresentIn(t.Context(), conn, of) },
			})
			if err != nil {
				t.Fatal(err)
			}
			if other := l.Instance() != id; other != (rebooted && present) {
				t.Errorf("rebooted %v, presence %q: goes on under another id: %v", rebooted, said, other)
			}
			closeLedger(t, l)
		}
	}
}
