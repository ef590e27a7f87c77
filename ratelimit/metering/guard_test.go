package metering

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// Whatever takes the files of the ledger from their place while it runs: nothing is recorded that nobody would find again, and
// once they are back everything is there that was recorded before and after.
func TestDisplacedFiles(t *testing.T) {
	mv := func(t *testing.T, from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		of      func(l *Ledger) string // what is moved away
		instead func(path string) error
		want    error
	}{
		"directory renamed":  {of: func(l *Ledger) string { return l.config.Dir }, want: ErrGone},
		"directory replaced": {func(l *Ledger) string { return l.config.Dir }, func(path string) error { return os.Mkdir(path, 0o700) }, ErrReplaced},
		"log renamed":        {of: func(l *Ledger) string { return l.own.instance.dir }, want: ErrRemoved},
		"segments renamed":   {of: func(l *Ledger) string { return l.own.log.dir }, want: ErrRemoved},
		"segment renamed":    {of: func(l *Ledger) string { return l.own.log.last().path }, want: ErrRemoved},
		"segment replaced": {func(l *Ledger) string { return l.own.log.last().path }, func(path string) error {
			return createSegmentFile(path, 1, firstSegment, time.Now())
		}, ErrRemoved},
		"lock renamed":  {of: func(l *Ledger) string { return filepath.Join(l.own.instance.dir, "lock") }, want: ErrRemoved},
		"names renamed": {of: func(l *Ledger) string { return filepath.Join(l.own.instance.dir, dictionaryName) }, want: ErrRemoved},
		"sums replaced": {func(l *Ledger) string { return filepath.Join(l.own.instance.dir, checkpointName) }, func(path string) error {
			return os.WriteFile(path, nil, 0o600)
		}, ErrRemoved},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "ledger")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			l := openLedger(t, dir)
			s, r := numbers(t, l, "acme", "eu")
			admit(t, l, s, r, l.Now())
			if err := l.InPlace(); err != nil {
				t.Fatal(err)
			}
			path := c.of(l)
			mv(t, path, path+".away")
			if c.instead != nil {
				if err := c.instead(path); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.InPlace(); !errors.Is(err, c.want) || !errors.Is(err, ErrUnavailable) || !Displaced(err) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if _, err := l.Admit(Invocation{Subject: s, Region: r, At: l.Now()}); !errors.Is(err, c.want) || !errors.Is(err, ErrUnavailable) {
				t.Errorf("an invocation was recorded, or refused for another cause: %v", err)
			}
			if err := l.Writable(); !errors.Is(err, c.want) {
				t.Errorf("%v", err)
			}
			if err := l.step(); !errors.Is(err, c.want) {
				t.Errorf("a step: %v", err)
			}
			if err := l.own.log.ahead(); err != nil || l.own.log.nextSize() != 0 || l.Position().Last != 1 {
				t.Errorf("%v, %d, %+v", err, l.own.log.nextSize(), l.Position())
			}
			l.Defer(Deferral{Subject: Subject{Organization: "acme", Project: "p", Function: "deferred"}, Region: "eu", At: l.Now()}, 1)
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			mv(t, path+".away", path)
			if err := errors.Join(l.InPlace(), l.Writable(), l.step()); err != nil {
				t.Fatalf("it is back: %v", err)
			}
			admit(t, l, s, r, l.Now())
			closeLedger(t, l)
			l = openLedger(t, dir)
			if usage, err := l.Usage(); err != nil || len(usage) != 4 || usage[0].Invocations+usage[2].Invocations != 3 {
				t.Errorf("%+v, %v", usage, err)
			}
			closeLedger(t, l)
		})
	}
}

// The directory is looked at while nobody calls, and what is found is told once, as is its end.
func TestWatched(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	troubles := make(chan error, 100)
	l, err := Open(Config{Dir: dir, Trouble: func(err error) { troubles <- err }})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	next := func() error {
		select {
		case err := <-troubles:
			return err
		case <-time.After(10 * time.Second):
			t.Fatal("nothing is told")
			return nil
		}
	}
	if err := next(); !errors.Is(err, ErrGone) || !errors.Is(l.Healthy(), ErrGone) {
		t.Errorf("%v", err)
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	if err := next(); err != nil {
		t.Errorf("%v", err)
	}
	closeLedger(t, l)
	if n := len(troubles); n > 0 {
		t.Errorf("%d more are told: %v", n, <-troubles)
	}
}

// A directory that is read-only is known before the file in use is full; that is written on.
func TestReadOnlyDirectory(t *testing.T) {
	dir := t.TempDir()
	l := openLedger(t, dir)
	s, r := numbers(t, l, "acme", "eu")
	readOnly := error(syscall.EROFS)
	l.mayWrite = func(string) error { return readOnly }
	if err := l.InPlace(); err != nil || !errors.Is(l.Healthy(), ErrReadOnly) || l.Writable() != nil {
		t.Errorf("%v, %v, %v", err, l.Healthy(), l.Writable())
	}
	admit(t, l, s, r, l.Now())
	readOnly = nil
	if err := errors.Join(l.InPlace(), l.Healthy()); err != nil {
		t.Error(err)
	}
	closeLedger(t, l)
	if err := mayWrite(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) || mayWrite(dir) != nil {
		t.Errorf("%v", err)
	}
}

// A database that was there is missed at the next start, and recovery begins it anew and says what that means.
func TestMissingDatabase(t *testing.T) {
	for _, name := range databases {
		for _, empty := range []bool{false, true} {
			dir := t.TempDir()
			l := openLedger(t, dir)
			db, err := bbolt.Open(filepath.Join(dir, name), 0o600, nil)
			if err == nil {
				err = db.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			closeLedger(t, l)
			path := filepath.Join(dir, name)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if empty {
				if err := os.WriteFile(path, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var damage *durable.DamageError
			if _, err := Open(Config{Dir: dir}); !errors.As(err, &damage) || damage.File != path {
				t.Fatalf("%s, empty %t: %v", name, empty, err)
			}
			found, err := Verify(dir)
			if err != nil || len(found) != 1 || found[0].File != path || found[0].Lost == "" {
				t.Fatalf("%+v, %v", found, err)
			}
			if done, err := Recover(dir); err != nil || len(done) != 1 || done[0].Lost != found[0].Lost {
				t.Fatalf("%+v, %v", done, err)
			}
			closeLedger(t, openLedger(t, dir))
		}
	}
}

// What is whole in a damaged database is kept, and the file beside it; what that means is said of each database.
func TestRecoverDatabase(t *testing.T) {
	for _, name := range databases {
		dir := t.TempDir()
		closeLedger(t, openLedger(t, dir))
		path := filepath.Join(dir, name)
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("kept"))
			return errors.Join(err, b.Put([]byte("one"), []byte("whole")), b.Put([]byte("two"), []byte("damaged")))
		})
		if err = errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text[bytes.LastIndex(text, []byte("damaged"))] ^= 1
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		done, err := Recover(dir)
		if err != nil || len(done) != 1 || !strings.HasPrefix(done[0].Lost, databaseLosses[name]) || done[0].Kept == "" {
			t.Fatalf("%+v, %v", done, err)
		}
		if aside, err := os.ReadFile(done[0].Kept); err != nil || !bytes.Equal(aside, text) {
			t.Errorf("the damaged file is not kept: %v", err)
		}
		if db, err = bbolt.Open(path, 0o600, nil); err != nil {
			t.Fatal(err)
		}
		err = db.View(func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte("kept"))
			if one, two := b.Get([]byte("one")), b.Get([]byte("two")); string(one) != "whole" || two != nil {
				t.Errorf("%q, %q", one, two)
			}
			return nil
		})
		if err = errors.Join(err, db.Close()); err != nil {
			t.Error(err)
		}
	}
}

// Sums of a directory at rest are those that it opens with.
func TestVerifySums(t *testing.T) {
	dir, want := state(t)
	found, _, sums, logs, err := VerifySums(clone(t, dir))
	if err != nil || len(found) > 0 || len(logs) != 2 {
		t.Fatalf("%+v, %v, %v", found, logs, err)
	}
	for i := range sums {
		u := &sums[i]
		line := fmt.Sprintf("%s %s %s %s %c %d %+v", u.Instance, u.Organization, u.Function, u.Region, u.Span, u.Start.Unix(), u.Sums)
		if !strings.Contains(want, line) {
			t.Errorf("%s is not among\n%s", line, want)
		}
	}
}

// A checkpoint that is cut while it is in use is an error from then on: questions are answered, calls go on, Close ends,
// and nothing is missing afterwards.
func TestCutCheckpoint(t *testing.T) {
	for _, size := range []int64{0, 100, 8192} {
		dir := t.TempDir()
		l := openLedger(t, dir)
		s, r := numbers(t, l, "acme", "eu")
		admit(t, l, s, r, l.Now())
		path := filepath.Join(l.own.instance.dir, checkpointName)
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		l.mu.Lock()
		l.saved = time.Time{}
		l.mu.Unlock()
		ends := func(what string, f func() error) (err error) {
			t.Helper()
			done := make(chan error, 1)
			go func() { done <- f() }()
			select {
			case err = <-done:
			case <-time.After(20 * time.Second):
				t.Fatalf("cut at %d: %s does not end", size, what)
			}
			return err
		}
		for range 3 {
			if err := ends("a checkpoint", func() error { return l.own.checkpoint.mark("a") }); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("cut at %d: a checkpoint: %v", size, err)
			}
		}
		if err := ends("a step", func() error {
			admit(t, l, s, r, l.Now())
			return l.step()
		}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("cut at %d: a step: %v", size, err)
		}
		_ = ends("Usage", func() error {
			_, err := l.Usage()
			return err
		})
		if err := ends("Verify", func() error {
			found, _, err := l.Verify()
			return errors.Join(err, fmt.Errorf("%v", found))
		}); !strings.Contains(err.Error(), path) {
			t.Errorf("cut at %d: verify: %v", size, err)
		}
		if err := ends("Close", l.Close); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("cut at %d: closing: %v", size, err)
		}
		l = openLedger(t, dir)
		if usage, err := l.Usage(); err != nil || len(usage) != 2 || usage[0].Invocations != 2 || len(l.SetAside()) != 1 {
			t.Errorf("cut at %d: %+v, %v, %v", size, usage, err, l.SetAside())
		}
		closeLedger(t, l)
	}
}

// A segment is cut while calls are recorded in it: the process lives, recording ends with a reason that names the file and what
// mends it, also if the file grows again, and the ledger closes. Then recovery says what is lost.
func TestSegmentCutInUse(t *testing.T) {
	for _, size := range []int64{0, 100, 4096, 1 << 19, -1} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			dir := t.TempDir()
			l := openLedger(t, dir)
			s, r := numbers(t, l, "acme", "eu")
			path := l.own.log.last().path
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			cut := size
			if cut < 0 {
				cut += info.Size()
			}
			for range 100 {
				admit(t, l, s, r, l.Now())
			}
			var calls sync.WaitGroup
			began := make(chan struct{}, 4)
			for range cap(began) {
				calls.Go(func() {
					for i := 0; ; i++ {
						if _, err := l.Admit(Invocation{Subject: s, Region: r, At: l.Now()}); err != nil {
							if !errors.Is(err, ErrUnavailable) || !errors.Is(err, ErrCut) || !strings.Contains(err.Error(), path) {
								t.Errorf("%v", err)
							}
							return
						}
						if i == 10 {
							began <- struct{}{}
						}
					}
				})
			}
			for range cap(began) {
				<-began
			}
			if err := os.Truncate(path, cut); err != nil {
				t.Fatal(err)
			}
			if err := l.InPlace(); !errors.Is(err, ErrCut) || !Displaced(err) {
				t.Errorf("%v", err)
			}
			calls.Wait()
			if err := os.Truncate(path, info.Size()); err != nil {
				t.Fatal(err)
			}
			if err := l.InPlace(); !errors.Is(err, ErrCut) || !errors.Is(l.Writable(), ErrCut) {
				t.Errorf("after it has grown: %v, %v", err, l.Writable())
			}
			if err := os.Truncate(path, cut); err != nil {
				t.Fatal(err)
			}
			if found, _, err := l.Verify(); err != nil || len(found) != 1 || found[0].File != path || !strings.Contains(found[0].Remedy, "usage recover") {
				t.Errorf("%+v, %v", found, err)
			}
			_ = l.Close() // it returns, with an error or without
			if _, err := Open(Config{Dir: dir}); !errors.As(err, new(*durable.DamageError)) {
				t.Errorf("it opens: %v", err)
			}
			if done, err := Recover(dir); err != nil || len(done) == 0 {
				t.Errorf("%+v, %v", done, err)
			}
			closeLedger(t, openLedger(t, dir))
		})
	}
}
