package metering

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Segments follow each other without a gap while many write.
func TestLedgerRotates(t *testing.T) {
	dir := t.TempDir()
	l := openLedger(t, dir)
	s, r := numbers(t, l, "acme", "eu")
	const writers, each = 8, firstSegment
	var running sync.WaitGroup
	for range writers {
		running.Go(func() {
			for range each {
				if _, err := l.Admit(Invocation{Subject: s, Region: r, At: now}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	if got := monthly(t, l, "acme").Invocations; got != writers*each {
		t.Errorf("%d, want %d", got, writers*each)
	}
	files, err := filepath.Glob(filepath.Join(dir, "inst", l.Instance(), "wal", "*"))
	if err != nil || len(files) < 3 {
		t.Errorf("%q, %v", files, err)
	}
	closeLedger(t, l)
	l = openLedger(t, dir)
	if got := monthly(t, l, "acme").Invocations; got != writers*each {
		t.Errorf("later %d, want %d", got, writers*each)
	}
	if got := admit(t, l, s, r, now); got != writers*each+1 {
		t.Errorf("the next has number %d", got)
	}
	closeLedger(t, l)
}

// The log goes on in one that was prepared, and with one that was ended in the middle of an append.
func TestLogRecovers(t *testing.T) {
	open := func(dir string) *log {
		t.Helper()
		l, err := openLogOf(&log{dir: dir, now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	count := func(l *log, want map[Type]int) {
		t.Helper()
		got := make(map[Type]int)
		if _, err := l.each(func(r *Record) { got[r.Type]++ }); err != nil {
			t.Fatal(err)
		}
		for _, typ := range []Type{TypeAdmitted, TypeDead} {
			if got[typ] != want[typ] {
				t.Errorf("%d records %c, want %d", got[typ], typ, want[typ])
			}
		}
	}
	write := func(l *log, n int) {
		t.Helper()
		for range n {
			if err := l.append(&Record{Type: TypeAdmitted, At: now}); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir := t.TempDir()
	l := open(dir)
	write(l, firstSegment/2)
	if err := l.ahead(); err != nil || l.next == nil {
		t.Fatalf("nothing is prepared: %v", err)
	}
	_ = l.close()
	l = open(dir)
	if l.next == nil {
		t.Error("what was prepared is not used")
	}
	count(l, map[Type]int{TypeAdmitted: firstSegment / 2})
	write(l, firstSegment/2-1)
	l.active.Load().taken.Add(1) // an append that ends here
	write(l, 5)
	_ = l.close()
	l = open(dir)
	count(l, map[Type]int{TypeAdmitted: firstSegment - 1 + 5, TypeDead: 1})
	if l.recovered.Dead != 1 {
		t.Errorf("%+v", l.recovered)
	}
	_ = l.close()
	if err := os.Remove(l.path(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := openLogOf(&log{dir: dir, now: time.Now}); err == nil || !strings.Contains(err.Error(), "a file is missing") {
		t.Errorf("with a file gone: %v", err)
	}
}

// fsync(2) may drop what it could not write: the records must be written anew.
func TestLedgerSurvivesSyncErrors(t *testing.T) {
	dir := t.TempDir()
	l, err := openLogOf(&log{dir: dir, now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	write := func(n int) {
		for range n {
			if err := l.append(&Record{Type: TypeAdmitted, At: now}); err != nil {
				t.Fatal(err)
			}
		}
	}
	broken := errors.New("input/output error")
	write(10)
	l.active.Load().flush = func([]byte) error { return broken }
	if _, err := l.sync(); !errors.Is(err, broken) || !strings.Contains(err.Error(), "copied to a new file") {
		t.Fatalf("%v", err)
	}
	write(5)
	if last, err := l.sync(); err != nil || last != 15 {
		t.Errorf("synced to %d, %v", last, err)
	}
	_ = l.close()
	if l, err = openLogOf(&log{dir: dir, now: time.Now}); err != nil {
		t.Fatal(err)
	}
	defer l.close()
	n := 0
	if last, err := l.each(func(*Record) { n++ }); err != nil || n != 15 || last != 15 {
		t.Errorf("%d records to %d, %v", n, last, err)
	}
}

// Where no file can be made, nothing is admitted that is not recorded; it goes on as soon as there is room.
func TestLedgerWithoutRoom(t *testing.T) {
	dir := t.TempDir()
	clock := now
	l, err := openLogOf(&log{dir: dir, now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	inTheWay := l.path(firstSegment + 1)
	if err := os.Mkdir(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	admitted := 0
	for ; l.append(&Record{Type: TypeAdmitted, At: now}) == nil; admitted++ {
	}
	if admitted != firstSegment {
		t.Errorf("%d fit", admitted)
	}
	if err := l.append(new(Record)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("%v", err)
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(time.Second)
	if err := l.append(&Record{Type: TypeAdmitted, At: now}); err != nil {
		t.Errorf("with room again: %v", err)
	}
	n := 0
	if _, err := l.each(func(*Record) { n++ }); err != nil || n != admitted+1 {
		t.Errorf("%d records, %v", n, err)
	}
}
