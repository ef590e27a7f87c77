package metering

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

func TestLostNumbers(t *testing.T) {
	var l Lost
	for _, seq := range []uint64{1, 2, 3, 2, 7, 9, 10} {
		l.add(seq)
	}
	if text := l.String(); text != "1 to 3, 7, 9 to 10" || l.Count() != 6 {
		t.Errorf("%s, %d", text, l.Count())
	}
}

// Records were lost, and their units are in the sums alone. A checkpoint that is missing, empty, damaged or older then is
// damage whose loss is told: the ledger does not open with less than was counted before an operator has accepted it.
func TestSumsOfLostRecords(t *testing.T) {
	segment := func(i string) string { return glob(t, filepath.Join(i, "wal", "*"+segmentSuffix))[0] }
	archive := func(i string) string { return glob(t, filepath.Join(i, "archive", "*"+archiveSuffix))[0] }
	for lostFile, of := range map[string]func(string) string{"a segment": segment, "an archive": archive} {
		for name, hurt := range map[string]func(path, older string) error{
			"missing": func(path, _ string) error { return os.Remove(path) },
			"empty":   func(path, _ string) error { return os.Truncate(path, 0) },
			"damaged": func(path, _ string) error { return os.WriteFile(path, []byte("nothing of ours"), 0o600) },
			"older": func(path, older string) error {
				text, err := os.ReadFile(older)
				return errors.Join(err, os.WriteFile(path, text, 0o600))
			},
		} {
			t.Run(lostFile+" is lost, checkpoint.db "+name, func(t *testing.T) {
				dir := t.TempDir()
				if _, err := Identity(dir); err != nil {
					t.Fatal(err)
				}
				id := countIn(t, dir, 5)
				i := filepath.Join(dir, "inst", id)
				path, older := filepath.Join(i, checkpointName), filepath.Join(t.TempDir(), checkpointName)
				if text, err := os.ReadFile(path); errors.Join(err, os.WriteFile(older, text, 0o600)) != nil {
					t.Fatal(err)
				}
				countIn(t, dir, 35)
				if lostFile == "an archive" {
					countIn(t, dir, firstSegment)
					archiveIn(t, dir)
				}
				if err := os.Remove(of(i)); err != nil {
					t.Fatal(err)
				}
				if found, err := Recover(dir); err != nil || len(found) == 0 || !strings.Contains(found[0].Lost, "in the sums") {
					t.Fatalf("%+v, %v", found, err)
				}
				countIn(t, dir, 10)
				if err := hurt(path, older); err != nil {
					t.Fatal(err)
				}
				told := func(found []Finding, err error) {
					t.Helper()
					if err != nil || len(found) == 0 || found[0].File != path || !strings.Contains(found[0].Lost, "the units of the records ") {
						t.Errorf("%+v, %v", found, err)
					}
				}
				copied := clone(t, dir)
				found, err := Verify(copied)
				for i := range found {
					found[i].File = filepath.Join(dir, strings.TrimPrefix(found[i].File, copied))
				}
				told(found, err)
				for range 2 {
					_, err := Open(Config{Dir: dir})
					if damage := (*durable.DamageError)(nil); !errors.As(err, &damage) || damage.File != path || !strings.Contains(err.Error(), "are lost") {
						t.Fatalf("%v", err)
					}
				}
				told(Verify(dir))
				found, err = Recover(dir)
				told(found, err)
				if again, err := Recover(dir); err != nil || len(again) > 0 {
					t.Errorf("%+v, %v", again, err)
				}
				countIn(t, dir, 3)
				l := openLedger(t, dir)
				if n := monthly(t, l, "acme").Invocations; n < 13 {
					t.Errorf("%d invocations", n)
				}
				closeLedger(t, l)
			})
		}
	}
}

// archiveIn archives what can be of a ledger.
func archiveIn(t *testing.T, dir string) {
	t.Helper()
	l := openLedger(t, dir)
	defer closeLedger(t, l)
	if err := l.own.archive(l.own.saved); err != nil {
		t.Fatal(err)
	}
}
