package metering

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// verifyAllAtOnce damages several files of a ledger in use. Verify says of them in use what it says of them at rest. They are
// whole afterwards.
func verifyAllAtOnce(t *testing.T, l *Ledger) {
	t.Helper()
	dir, instance := l.config.Dir, l.own.instance.dir
	segments := glob(t, filepath.Join(instance, "wal", "*"+segmentSuffix))
	flipped := map[string]int64{ // at which byte
		glob(t, filepath.Join(instance, "archive", "*"+archiveSuffix))[0]: 9,
		filepath.Join(instance, dictionaryName):                           12,
		l.own.log.last().path:                                             headerSize + 2*RecordSize + 20,
	}
	flip := func() {
		for path, at := range flipped {
			file, err := os.OpenFile(path, os.O_RDWR, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 1)
			_, err = file.ReadAt(b, at)
			b[0] ^= 1
			_, writeErr := file.WriteAt(b, at)
			if err = errors.Join(err, writeErr, file.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	flip()
	found, records, err := l.Verify()
	if err != nil || len(found) != len(flipped) || records == 0 {
		t.Fatalf("%+v, %d records in %d files, %v", found, records, len(segments), err)
	}
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	atRest, err := Verify(copied)
	for i := range atRest {
		atRest[i].File = filepath.Join(dir, strings.TrimPrefix(atRest[i].File, copied))
	}
	if err != nil || !slices.Equal(found, atRest) {
		t.Errorf("in use\n%+v\nat rest\n%+v, %v", found, atRest, err)
	}
	flip()
	if err := os.Rename(instance, instance+"-away"); err != nil {
		t.Fatal(err)
	}
	found, _, err = l.Verify()
	if err != nil || len(found) != 1 || found[0].File != instance || !strings.HasPrefix(found[0].Remedy, "put it back") {
		t.Errorf("%+v, %v", found, err)
	}
	if err := os.Rename(instance+"-away", instance); err != nil {
		t.Fatal(err)
	}
}

// A ledger in use is verified while calls go on: damage to any of its files is found.
func TestVerifyInUse(t *testing.T) {
	dir := t.TempDir()
	if _, err := Identity(dir); err != nil {
		t.Fatal(err)
	}
	l := openLedger(t, dir)
	t.Cleanup(func() { _ = l.Close() }) // it may fail on what was damaged
	s, r := numbers(t, l, "acme", "eu")
	for range firstSegment + 10 {
		admit(t, l, s, r, l.Now())
	}
	l.mu.Lock()
	_, err := l.own.log.each(l.own.projection.add)
	err = errors.Join(err, l.save(l.own, l.config.Now()))
	err = errors.Join(err, l.own.archive(l.own.saved))
	l.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	found, records, err := l.Verify()
	if err != nil || len(found) > 0 || records < firstSegment+10 {
		t.Fatalf("%+v, %d records, %v", found, records, err)
	}
	instance := l.own.instance.dir
	for _, path := range []string{
		glob(t, filepath.Join(instance, "archive", "*"+archiveSuffix))[0], filepath.Join(instance, "archive", manifestName),
		filepath.Join(instance, dictionaryName), filepath.Join(dir, identityName), filepath.Join(dir, identityCopyName),
	} {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		damaged := append([]byte{whole[0] ^ 1}, whole[1:]...)
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		found, records, err := l.Verify()
		if err != nil || len(found) != 1 || found[0].File != path || records < 10 {
			t.Errorf("%s: %+v, %d records, %v", path, found, records, err)
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verifyAllAtOnce(t, l)
	l.mu.Lock()
	for _, sum := range l.own.projection.sums {
		sum.Invocations++
		break
	}
	l.mu.Unlock()
	if found, _, err := l.Verify(); err != nil || len(found) != 1 || !strings.Contains(found[0].What, "acme") {
		t.Errorf("a sum is another: %+v, %v", found, err)
	}
}

// A checkpoint that is cut while it is in use is found as other damage is, again and again.
func TestVerifyCutCheckpoint(t *testing.T) {
	for _, size := range []int64{0, 100, 4096, 9000} {
		l := openLedger(t, t.TempDir())
		t.Cleanup(func() { _ = l.Close() }) // it fails
		s, r := numbers(t, l, "acme", "eu")
		admit(t, l, s, r, l.Now())
		path := l.own.checkpoint.db.Path()
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			found, _, err := l.Verify()
			if err != nil || len(found) == 0 || found[0].File != path || found[0].Remedy != sumsAgain || strings.Contains(found[0].What, "nil pointer") {
				t.Errorf("cut at %d: %+v, %v", size, found, err)
			}
		}
	}
}

// An hour in which a build with ids of another form was replaced has two sums of one function. Both are compared with the
// records, each with its own.
func TestVerifyTellsFormsApart(t *testing.T) {
	l := openLedger(t, t.TempDir())
	for n, origin := range []Origin{{"0123456789abcdef", FormHour}, {"0123456789abcdef", FormPeriod}, {"fedcba9876543210", FormPeriod}} {
		l.setOrigin(origin)
		s, r := numbers(t, l, "acme", "eu")
		for range 3 + n {
			admit(t, l, s, r, l.Now())
		}
	}
	if found, records, err := l.Verify(); err != nil || len(found) > 0 || records < 12 {
		t.Fatalf("%+v, %d records, %v", found, records, err)
	}
	l.mu.Lock()
	for key := range l.own.projection.sums {
		if key.span == Monthly {
			delete(l.own.projection.sums, key)
			break
		}
	}
	l.mu.Unlock()
	if found, _, err := l.Verify(); err != nil || len(found) != 1 || !strings.Contains(found[0].What, "it has 0 invocations") {
		t.Errorf("a sum is missing: %+v, %v", found, err)
	}
}
