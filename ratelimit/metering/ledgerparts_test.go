package metering

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// What the admin API and the metrics ask a ledger for.
func TestLedgerAnswers(t *testing.T) {
	dir := t.TempDir()
	l := openLedger(t, dir)
	unknown := Cycle{Zone: zoneNamed("Mars/Olympus")}
	s, err := l.Subject(Subject{Organization: "mars", Project: "p", Function: "g", Cycle: unknown})
	if err != nil {
		t.Fatal(err)
	}
	acme, r := numbers(t, l, "acme", "eu")
	now := l.Now()
	for _, id := range []SubjectID{acme, acme, s} {
		admit(t, l, id, r, now)
	}
	used, err := l.UsedNow()
	if err != nil || len(used) != 2 {
		t.Fatalf("%+v, %v", used, err)
	}
	for _, u := range used {
		if want := map[string]uint64{"acme": 2, "mars": 1}[u.Organization]; u.Units != want || u.Instance != l.Instance() || !u.Period.Contains(now) {
			t.Errorf("%+v", u)
		}
	}
	if zones := l.UnknownZones(); len(zones) != 1 || zones[0].Zone != "Mars/Olympus" || !slices.Equal(zones[0].Organizations, []string{"mars"}) {
		t.Errorf("%+v", zones)
	}
	if names := l.Functions("p"); !slices.Equal(names, []string{"g", "f"}) {
		t.Errorf("%q", names)
	}
	if p := l.Position(); p.Instance != l.Instance() || p.Begun != 0 || p.Last != 3 || p.Deferred != 0 {
		t.Errorf("%+v", p)
	}
	for _, want := range []bool{false, true} {
		if before, err := l.MirroredIn("redis://a"); before != want || err != nil {
			t.Errorf("%v, %v", before, err)
		}
	}
	if err := errors.Join(l.Writable(), l.Healthy(), l.Room()); err != nil {
		t.Error(err)
	}
	if found := l.Recovered(); found != (Recovered{}) {
		t.Errorf("%+v", found)
	}
	usage, err := l.Usage()
	if err != nil || len(usage) != 4 {
		t.Fatalf("%d sums, %v", len(usage), err)
	}
	for i := range usage {
		if hour, period := usage[i].Hour(); usage[i].Span == Hourly && (!hour.Contains(now) || !period.Contains(now)) {
			t.Errorf("%v, %v", hour, period)
		}
	}
	closeLedger(t, l)
	if again := openLedger(t, dir); again.Position().Begun != 3 {
		t.Errorf("%+v", again.Position())
	} else {
		closeLedger(t, again)
	}
	if modes := SyncModes(); !slices.Contains(modes, string(SyncGroup)) || len(modes) != 3 {
		t.Errorf("%q", modes)
	}
}

// A log that cannot make its next file says so without a request.
func TestWritable(t *testing.T) {
	l := openLedger(t, t.TempDir())
	defer closeLedger(t, l)
	if err := l.Room(); err != nil {
		t.Errorf("%v", err)
	}
	active := l.own.log.active.Load()
	l.own.log.rotating.Lock()
	l.own.log.full = ErrUnavailable
	taken := active.taken.Swap(active.slots)
	l.own.log.rotating.Unlock()
	if err := l.Writable(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("%v", err)
	}
	active.taken.Store(taken)
	l.own.log.full = nil
	if err := l.own.log.ahead(); err != nil || l.own.log.nextSize() == 0 {
		t.Errorf("%d, %v", l.own.log.nextSize(), err)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(path); !errors.Is(err, ErrLocked) {
		t.Errorf("%v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Lock(filepath.Join(path, "x")); err == nil {
		t.Error("a file below a file was locked")
	}
}

// A period that begins within an hour has a part of it of its own, with its own name.
func TestPartsOfHours(t *testing.T) {
	cycle := Cycle{Anchor: time.Date(2026, 1, 5, 10, 30, 0, 0, time.UTC)}
	for at, want := range map[time.Time]string{
		time.Date(2026, 11, 5, 10, 15, 0, 0, time.UTC): "2026110510",
		time.Date(2026, 11, 5, 10, 45, 0, 0, time.UTC): "20261105103000",
	} {
		hour := hourOf(cycle.At(at), at)
		e := Entry{ID: hourID(hour.Start)}
		got, period, err := e.Hour(cycle)
		if e.ID != want || err != nil || got != hour || period.ID != cycle.At(at).ID {
			t.Errorf("%v: %s, %v, %v", at, e.ID, got, err)
		}
	}
}

// Files that are damaged or missing are told as damage, and named.
func TestDamageIsTold(t *testing.T) {
	archived := func(t *testing.T) (*Ledger, string) {
		t.Helper()
		l := openLedger(t, t.TempDir())
		t.Cleanup(func() { _ = l.Close() }) // it may fail on what was damaged
		s, r := numbers(t, l, "acme", "eu")
		for range firstSegment + 10 {
			admit(t, l, s, r, l.Now())
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if _, err := l.own.log.each(l.own.projection.add); err != nil {
			t.Fatal(err)
		}
		if err := l.save(l.own, l.config.Now()); err != nil {
			t.Fatal(err)
		}
		if err := l.own.archive(l.own.saved); err != nil {
			t.Fatal(err)
		}
		return l, l.own.instance.dir
	}
	for name, damage := range map[string]func(t *testing.T, dir string) string{
		"an archive is gone": func(t *testing.T, dir string) string {
			t.Helper()
			remove(t, filepath.Join(dir, "archive", "*"+archiveSuffix))
			return "no such file"
		},
		"an archive is another": func(t *testing.T, dir string) string {
			t.Helper()
			for _, path := range glob(t, filepath.Join(dir, "archive", "*"+archiveSuffix)) {
				if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			return "its hash is not that of the manifest"
		},
		"the manifest is gone": func(t *testing.T, dir string) string {
			t.Helper()
			remove(t, filepath.Join(dir, "archive", manifestName))
			return "record 1 is missing"
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, dir := archived(t)
			if n, err := VerifyArchives(dir); n != firstSegment || err != nil {
				t.Fatalf("%d records, %v", n, err)
			}
			want := damage(t, dir)
			all, err := l.Recount(nil)
			if err != nil || len(all) != 1 || all[0].Damage == nil || !strings.Contains(all[0].Damage.Error(), want) {
				t.Errorf("%+v, %v, want %q", all, err, want)
			}
			proofs, err := l.Prove(Part{}, nil, nil)
			if err != nil || len(proofs) != 1 || proofs[0].Damage == nil {
				t.Errorf("%+v, %v", proofs, err)
			}
		})
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %q, %v", pattern, paths, err)
	}
	return paths
}

func remove(t *testing.T, pattern string) {
	t.Helper()
	for _, path := range glob(t, pattern) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// Files that cannot be what a ledger needs are an error when it is opened.
func TestOpenRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(t *testing.T, instance string)
		want    string
	}{
		"a dictionary that is a directory": {func(t *testing.T, dir string) {
			t.Helper()
			remove(t, filepath.Join(dir, "dict.seg"))
			if err := os.Mkdir(filepath.Join(dir, "dict.seg"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "dict.seg"},
		"a segment that is none": {func(t *testing.T, dir string) {
			t.Helper()
			for _, path := range glob(t, filepath.Join(dir, "wal", "*"+segmentSuffix)) {
				if err := os.WriteFile(path, make([]byte, 2048), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}, "it is no segment of a ledger"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := openLedger(t, dir)
			instance := l.own.instance.dir
			closeLedger(t, l)
			tc.prepare(t, instance)
			if l, err := Open(Config{Dir: dir}); err == nil {
				closeLedger(t, l)
				t.Error("it was opened")
			} else if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
	if _, err := Open(Config{Dir: "/dev/null"}); err == nil {
		t.Error("a ledger below a file was opened")
	}
}
