package metering

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// sumsOf is what a ledger says was counted, without the times of adjustments.
func sumsOf(l *Ledger) (string, error) {
	usage, err := l.Usage()
	adjustments, adjustErr := l.Adjustments()
	refusals, refuseErr := l.Refusals()
	var lines []string
	for _, u := range usage {
		lines = append(lines, fmt.Sprintf("%s %s %s %s %c %d %+v", u.Instance, u.Organization, u.Function, u.Region, u.Span, u.Start.Unix(), u.Sums))
	}
	for _, a := range adjustments {
		lines = append(lines, fmt.Sprintf("%s %d %+v", a.Instance, a.Seq, a))
	}
	for _, r := range refusals {
		lines = append(lines, fmt.Sprintf("%+v", r))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), errors.Join(err, adjustErr, refuseErr)
}

// state writes a directory with all that a gateway leaves behind when it is killed: two logs, one with an archive, segments
// in use, names, sums, and records that are in no checkpoint yet.
func state(t *testing.T) (dir, want string) {
	t.Helper()
	dir = t.TempDir()
	if _, err := Identity(dir); err != nil {
		t.Fatal(err)
	}
	one := openLedger(t, dir)
	two := openLedger(t, dir)
	for i, l := range []*Ledger{one, two} {
		for f := range 5 {
			s, err := l.Subject(Subject{Organization: fmt.Sprintf("org%d", f%3), Project: "p", Function: fmt.Sprintf("f%d", f)})
			if err != nil {
				t.Fatal(err)
			}
			r, err := l.Region([]string{"eu", "us"}[f%2])
			if err != nil {
				t.Fatal(err)
			}
			for n := range 30 + (1-i)*firstSegment/5 {
				admit(t, l, s, r, l.Now().Add(-time.Duration(n%50)*time.Hour))
			}
		}
		if _, err := l.Adjust(Adjustment{Subject: Subject{Organization: "org1", Project: "p", Function: "f1"}, Region: "us", At: l.Now(), Units: -3, Reason: "goodwill"}); err != nil {
			t.Fatal(err)
		}
		l.Refused(Subject{Organization: "org1"}, 429)
		l.mu.Lock()
		l.recordRefused(l.config.Now(), true)
		_, err := l.own.log.each(l.own.projection.add)
		err = errors.Join(err, l.save(l.own, l.config.Now()))
		err = errors.Join(err, l.own.archive(l.own.saved), l.own.checkpoint.inUse(l.own.log.active.Load().first))
		l.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		s, r := numbers(t, l, "late", "eu")
		for range 20 { // in no checkpoint
			admit(t, l, s, r, l.Now())
		}
	}
	one.mu.Lock()
	two.mu.Lock()
	copied := t.TempDir()
	err := os.CopyFS(copied, os.DirFS(dir)) // as a kill leaves it
	two.mu.Unlock()
	one.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	closeLedger(t, one)
	closeLedger(t, two)
	again := clone(t, copied)
	l := openLedger(t, again)
	want, err = sumsOf(l)
	if err != nil {
		t.Fatal(err)
	}
	closeLedger(t, l)
	return copied, want
}

func clone(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		used := bytes.TrimRight(text, "\x00") // most of a segment is empty
		return errors.Join(os.WriteFile(filepath.Join(to, name), used, 0o600), os.Truncate(filepath.Join(to, name), int64(len(text))))
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// hurt damages one file of a directory and says how.
func hurt(t *testing.T, dir string, random *rand.Rand) string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Base(path) != "lock" && filepath.Base(filepath.Dir(path)) != logsName { // these are empty
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	path := files[random.IntN(len(files))]
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	name, _ := filepath.Rel(dir, path)
	switch random.IntN(10) {
	case 0:
		err = os.Remove(path)
		name += " is gone"
	case 1, 2:
		at := random.IntN(len(text))
		err = os.Truncate(path, int64(at))
		name += fmt.Sprintf(" is cut at %d of %d", at, len(text))
	default:
		at := random.IntN(len(text))
		switch random.IntN(4) {
		case 0: // heads
			at = random.IntN(min(len(text), 128))
		case 1: // the last that is in use
			if end := len(strings.TrimRight(string(text), "\x00")); end > 0 {
				at = max(0, end-1-random.IntN(min(end, 200)))
			}
		case 2: // boundaries of pages
			at = min(len(text)-1, at/4096*4096+random.IntN(48))
		}
		before := text[at]
		text[at] ^= 1 << random.IntN(8)
		name += fmt.Sprintf(": byte %d of %d is %02x, was %02x", at, len(text), text[at], before)
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// Whatever file of the directory is damaged, and however: the ledger opens with the same sums, or it refuses with an error
// that names a file. After Recover it opens, and the sums are the same, or Recover said what is lost.
func TestDamagedDirectory(t *testing.T) {
	dir, want := state(t)
	if found, err := Verify(clone(t, dir)); err != nil || len(found) > 0 {
		t.Fatalf("the directory is whole: %+v, %v", found, err)
	}
	same, mended, told := 0, 0, 0
	for seed := range uint64(damagedCases) {
		broken := clone(t, dir)
		what := hurt(t, broken, rand.New(rand.NewPCG(seed, 7)))
		l, err := Open(Config{Dir: broken})
		if err == nil {
			got, err := sumsOf(l)
			if err != nil || got != want {
				t.Fatalf("seed %d, %s: it opens, with other sums: %v\n%s\nwant\n%s", seed, what, err, got, want)
			}
			closeLedger(t, l)
			same++
			continue
		}
		var damage *durable.DamageError
		if !errors.As(err, &damage) || !strings.Contains(err.Error(), "edgegate usage recover") {
			t.Fatalf("seed %d, %s: %v", seed, what, err)
		}
		found, err := Verify(broken)
		if err != nil || len(found) == 0 {
			t.Fatalf("seed %d, %s: it does not open (%v), and nothing is found: %v", seed, what, damage, err)
		}
		done, err := Recover(broken)
		if err != nil || len(done) == 0 {
			t.Fatalf("seed %d, %s: recovering: %+v, %v", seed, what, done, err)
		}
		if again, err := Recover(broken); err != nil || len(again) > 0 {
			t.Fatalf("seed %d, %s: a second recovery: %+v, %v", seed, what, again, err)
		}
		if l, err = Open(Config{Dir: broken}); err != nil {
			t.Fatalf("seed %d, %s: after recovery %+v: %v", seed, what, done, err)
		}
		got, err := sumsOf(l)
		if err != nil {
			t.Fatal(err)
		}
		closeLedger(t, l)
		lost := ""
		for _, f := range done {
			lost += f.Lost
		}
		switch {
		case got == want:
			mended++
		case lost == "":
			t.Fatalf("seed %d, %s: after recovery %+v the sums are\n%s\nwant\n%s", seed, what, done, got, want)
		default:
			told++
		}
	}
	t.Logf("%d cases: %d with the same sums at once, %d after recovery, %d with a loss that was told", damagedCases, same, mended, told)
	if same == 0 || mended == 0 {
		t.Error("the cases do not reach all that can happen")
	}
}

// A directory in use is not touched.
func TestRecoverRefusesWhatIsInUse(t *testing.T) {
	dir := t.TempDir()
	l := openLedger(t, dir)
	defer closeLedger(t, l)
	for _, inspect := range []func(string) ([]Finding, error){Verify, Recover} {
		if found, err := inspect(dir); !errors.Is(err, ErrLocked) {
			t.Errorf("%+v, %v", found, err)
		}
	}
	if _, err := Verify(filepath.Join(dir, "missing")); err == nil {
		t.Error("a directory that is missing was verified")
	}
	if found, err := Recover(t.TempDir()); !errors.As(err, new(*NoLedgerError)) || len(found) > 0 {
		t.Errorf("%+v, %v", found, err)
	}
}

// What a crash leaves of a file that is written is no file of the ledger: it is not damage, and does not keep a gateway from starting.
func TestUnfinishedFiles(t *testing.T) {
	dir, want := state(t)
	archive := glob(t, filepath.Join(dir, "inst", "*", "archive", "0*"+archiveSuffix))[0]
	segment := glob(t, filepath.Join(dir, "inst", "*", "wal", "0*"+segmentSuffix))[0]
	for _, path := range []string{archive, segment, filepath.Join(dir, "inst", filepath.Base(filepath.Dir(filepath.Dir(archive)))), filepath.Join(dir, identityName)} {
		half := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
		if err := os.WriteFile(half, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, inspect := range []func(string) ([]Finding, error){Verify, Recover} {
		if found, err := inspect(dir); err != nil || len(found) > 0 {
			t.Errorf("%+v, %v", found, err)
		}
	}
	l := openLedger(t, dir)
	if got, err := sumsOf(l); err != nil || got != want {
		t.Errorf("%s\nwant\n%s\n%v", got, want, err)
	}
	closeLedger(t, l)
}

// A checkpoint that is missing is found, told at the start, and made again with the same sums.
func TestCheckpointMissing(t *testing.T) {
	for _, empty := range []bool{false, true} {
		dir := t.TempDir()
		l := openLedger(t, dir)
		s, r := numbers(t, l, "f", "eu")
		for range 7 {
			admit(t, l, s, r, l.Now())
		}
		want, err := sumsOf(l)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(l.own.instance.dir, checkpointName)
		closeLedger(t, l)
		if empty {
			err = os.Truncate(path, 0)
		} else {
			err = os.Remove(path)
		}
		if err != nil {
			t.Fatal(err)
		}
		mended := clone(t, dir)
		for range 2 {
			if found, err := Verify(dir); err != nil || len(found) != 1 || found[0].File != path || found[0].Remedy != sumsAgain {
				t.Fatalf("%+v, %v", found, err)
			}
		}
		if found, err := Recover(mended); err != nil || len(found) != 1 || !found[0].Mended || found[0].Lost != "" {
			t.Errorf("%+v, %v", found, err)
		}
		for _, dir := range []string{dir, mended} {
			l = openLedger(t, dir)
			got, err := sumsOf(l)
			if told := len(l.SetAside()) == 1; err != nil || got != want || told == (dir == mended) {
				t.Errorf("empty %t: told %v, %v\n%s\nwant\n%s", empty, l.SetAside(), err, got, want)
			}
			closeLedger(t, l)
			if found, err := Verify(dir); err != nil || len(found) > 0 {
				t.Errorf("%+v, %v", found, err)
			}
		}
	}
}

// A log that is gone, alone or with all others, is damage that names it and says what mends it; what is lost is said. In a
// directory of an older build nothing is noted, until the first start.
func TestMissingLog(t *testing.T) {
	for name, remove := range map[string]func(dir, id string) error{
		"the folder of one": func(dir, id string) error { return os.RemoveAll(filepath.Join(dir, "inst", id)) },
		"all":               func(dir, _ string) error { return os.RemoveAll(filepath.Join(dir, "inst")) },
		"all files of one": func(dir, id string) error {
			folder := filepath.Join(dir, "inst", id)
			return errors.Join(os.RemoveAll(folder), os.Mkdir(folder, 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			countIn(t, dir, 1)
			if err := os.RemoveAll(filepath.Join(dir, "logs")); err != nil {
				t.Fatal(err)
			}
			id := countIn(t, dir, 1)
			folder := filepath.Join(dir, "inst", id)
			if err := remove(dir, id); err != nil {
				t.Fatal(err)
			}
			_, err := Open(Config{Dir: dir})
			if damage := (*durable.DamageError)(nil); !errors.As(err, &damage) || damage.File != folder || !strings.Contains(err.Error(), "edgegate usage recover") {
				t.Errorf("%v", err)
			}
			if found, err := Verify(dir); err != nil || len(found) != 1 || found[0].File != folder || found[0].Mended {
				t.Errorf("%+v, %v", found, err)
			}
			done, err := Recover(dir)
			if err != nil || len(done) != 1 || !done[0].Mended || !strings.Contains(done[0].Lost, id) {
				t.Errorf("%+v, %v", done, err)
			}
			if again, err := Recover(dir); err != nil || len(again) > 0 {
				t.Errorf("%+v, %v", again, err)
			}
			countIn(t, dir, 1)
		})
	}
}

// Of a log that was taken over nobody notices by its own files that they are gone.
func TestMissingLogInUse(t *testing.T) {
	dir := t.TempDir()
	one, two := openLedger(t, dir), openLedger(t, dir)
	closeLedger(t, one)
	closeLedger(t, two)
	l := openLedger(t, dir)
	gone := filepath.Join(dir, "inst", l.Orphans()[0])
	if err := os.RemoveAll(gone); err != nil {
		t.Fatal(err)
	}
	found, _, err := l.Verify()
	if err != nil || !slices.ContainsFunc(found, func(f Finding) bool { return f.File == gone }) {
		t.Errorf("%+v, %v", found, err)
	}
	_ = l.Close() // it cannot keep the sums
	if _, err := Open(Config{Dir: dir}); !errors.As(err, new(*durable.DamageError)) {
		t.Errorf("%v", err)
	}
}
