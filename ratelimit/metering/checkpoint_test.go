package metering

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// counted is all that a ledger says was counted.
func counted(t *testing.T, l *Ledger) string {
	t.Helper()
	usage, err := l.Usage()
	adjustments, adjustErr := l.Adjustments()
	refusals, refuseErr := l.Refusals()
	if err := errors.Join(err, adjustErr, refuseErr); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%+v %+v %+v", usage, adjustments, refusals)
}

// put writes a key and a value that nobody can read.
func put(t *testing.T, path string, bucket []byte) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err == nil {
		err = db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put([]byte("x"), []byte("y")) })
	}
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// archivedLedger returns the directory of a ledger with an archive, two segments, an adjustment and refused requests, and
// what it says was counted.
func archivedLedger(t *testing.T) (dir, instance, want string) {
	t.Helper()
	dir = t.TempDir()
	l := openLedger(t, dir)
	s, r := numbers(t, l, "acme", "eu")
	for i := range firstSegment + 10 {
		admit(t, l, s, r, l.Now().Add(-time.Duration(i)*time.Second))
	}
	if _, err := l.Adjust(Adjustment{Subject: Subject{Organization: "acme", Project: "p", Function: "f"}, Region: "eu", At: l.Now(), Units: -3, Reason: "goodwill"}); err != nil {
		t.Fatal(err)
	}
	l.Refused(Subject{Organization: "acme"}, 429)
	l.mu.Lock()
	if _, err := l.own.log.each(l.own.projection.add); err != nil {
		t.Fatal(err)
	}
	if err := l.save(l.own, l.config.Now()); err != nil {
		t.Fatal(err)
	}
	err := l.own.archive(l.own.saved)
	l.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	instance = l.own.instance.dir
	closeLedger(t, l)
	l = openLedger(t, dir)
	want = counted(t, l)
	closeLedger(t, l)
	return dir, instance, want
}

// A checkpoint that is damaged, however it is, is set aside and made again of archives and segments: every sum is as it was.
func TestCheckpointIsMadeAgain(t *testing.T) {
	for name, damage := range map[string]func(path string){
		"it is no file of sums": func(path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("x", 8192)), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"it is cut": func(path string) {
			if err := os.Truncate(path, 9000); err != nil {
				t.Fatal(err)
			}
		},
		"a sum is none":               func(path string) { put(t, path, bucketSums) },
		"refused requests are none":   func(path string) { put(t, path, bucketRefused) },
		"an adjustment is none":       func(path string) { put(t, path, bucketAdjusted) },
		"a bit of every page changed": flipAll,
	} {
		t.Run(name, func(t *testing.T) {
			dir, instance, want := archivedLedger(t)
			path := filepath.Join(instance, "checkpoint.db")
			damage(path)
			l := openLedger(t, dir)
			defer closeLedger(t, l)
			if got := counted(t, l); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			aside := l.SetAside()
			if len(aside) != 1 || !strings.Contains(aside[0].Error(), path) {
				t.Errorf("%v", aside)
			}
			if kept := glob(t, path+".damaged-*"); len(kept) != 1 || !strings.Contains(aside[0].Error(), filepath.Base(kept[0])) {
				t.Errorf("%q, %v", kept, aside)
			}
		})
	}
}

func flipAll(path string) {
	text, err := os.ReadFile(path)
	for at := 30; at < len(text); at += 4096 {
		text[at] ^= 4
	}
	if err = errors.Join(err, os.WriteFile(path, text, 0o600)); err != nil {
		panic(err)
	}
}

// A checkpoint that is gone is made again too. Where archives are missing for that, the ledger does not open: its sums
// would be lower.
func TestCheckpointIsGone(t *testing.T) {
	dir, instance, want := archivedLedger(t)
	remove(t, filepath.Join(instance, "checkpoint.db"))
	l := openLedger(t, dir)
	if got := counted(t, l); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	closeLedger(t, l)
	remove(t, filepath.Join(instance, "checkpoint.db"))
	remove(t, filepath.Join(instance, "archive", "*"))
	for range 2 {
		l, err := Open(Config{Dir: dir})
		if err == nil {
			t.Errorf("it opened, and counts %s", counted(t, l))
			closeLedger(t, l)
		}
		if !errors.As(err, new(*durable.DamageError)) || !strings.Contains(err.Error(), "is missing") {
			t.Errorf("%v", err)
		}
	}
}

// Nothing is written over what was set aside before.
func TestSetAsideNamesAreNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	var kept []string
	for range 3 {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		name, err := durable.SetAside(path)
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, name)
	}
	if got := glob(t, path+".damaged-*"); !reflect.DeepEqual(got, kept) {
		t.Errorf("%q, want %q", got, kept)
	}
	if _, err := durable.SetAside(path); err == nil {
		t.Error("a file that is not there was set aside")
	}
}

// What callers keep is there for the next process.
func TestKeptTexts(t *testing.T) {
	dir := t.TempDir()
	l := openLedger(t, dir)
	if l.KeptOthers() != nil || l.KeptOverrides() != nil {
		t.Errorf("a new ledger has %q and %q", l.KeptOthers(), l.KeptOverrides())
	}
	if err := errors.Join(l.KeepOthers([]byte("others")), l.KeepOverrides([]byte("overrides")), l.NoteTold("7 7")); err != nil {
		t.Fatal(err)
	}
	first := l.Numbers()
	closeLedger(t, l)
	if notes, err := ToldNotes(dir); err != nil || !slices.Equal(notes, []string{"7 7"}) {
		t.Errorf("at rest: %q, %v", notes, err)
	}
	l = openLedger(t, dir)
	if string(l.KeptOthers()) != "others" || string(l.KeptOverrides()) != "overrides" || !slices.Equal(l.ToldNotes(), []string{"7 7"}) {
		t.Errorf("%q, %q and %q", l.KeptOthers(), l.KeptOverrides(), l.ToldNotes())
	}
	if l.Numbers() <= first {
		t.Errorf("the next process begins with number %d, the one before with %d", l.Numbers(), first)
	}
	if !l.HasLog(l.Instance()) || l.HasLog("000000000000") {
		t.Error("it does not know which logs it has")
	}
	closeLedger(t, l)
	if err := os.WriteFile(filepath.Join(dir, sharedName), []byte("redis\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if notes, err := ToldNotes(dir); err != nil || notes != nil {
		t.Errorf("of one that shares a store: %q, %v", notes, err)
	}
}

// A database that was noted while the ledger was open is missed afterwards.
func TestNotedDatabases(t *testing.T) {
	dir := t.TempDir()
	l := openLedger(t, dir)
	path := filepath.Join(dir, "billing.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Close(), l.NoteDatabases()); err != nil {
		t.Fatal(err)
	}
	closeLedger(t, l)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	found, err := Recover(dir)
	if err != nil || len(found) != 1 || found[0].File != path || !found[0].Mended {
		t.Errorf("%+v, %v", found, err)
	}
}

// What stands for a name that nobody can read is of the kind that its line was.
func TestLostEntry(t *testing.T) {
	for text, want := range map[string]entry{
		`{"region":"eu`: {Region: "lost-4"},
		`{"note":{"a`:   {Note: &note{Reason: "lost"}},
		`{"subject":{`:  {Lost: true},
	} {
		if got := lostEntry(text, 4); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}
