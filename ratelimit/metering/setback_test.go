package metering

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// Files of the log that were put back from an older copy beside the checkpoint of now: what is recorded after them would have
// the numbers of records that are in the sums, and not be counted. The ledger does not open, however the machine ran meanwhile;
// after Recover, the sums are what they were, and what is recorded then is counted.
func TestLogBehindItsSums(t *testing.T) {
	for _, before := range []int{0, 1, 40, firstSegment + 40} { // records that the older copy has
		for _, rebooted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d records, rebooted %v", before, rebooted), func(t *testing.T) {
				dir := t.TempDir()
				id := countIn(t, dir, before)
				wal := filepath.Join(dir, "inst", id, "wal")
				older := t.TempDir()
				if err := os.CopyFS(older, os.DirFS(wal)); err != nil {
					t.Fatal(err)
				}
				countIn(t, dir, 60)
				for _, path := range glob(t, filepath.Join(older, "*"+segmentSuffix)) {
					text, err := os.ReadFile(path)
					if err == nil {
						err = os.WriteFile(filepath.Join(wal, filepath.Base(path)), text, 0o600)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if rebooted {
					otherBoot(t, filepath.Join(dir, "inst", id, checkpointName))
				}
				_, err := Open(Config{Dir: dir})
				damage := (*durable.DamageError)(nil)
				if !errors.As(err, &damage) || filepath.Dir(damage.File) != wal || !strings.Contains(err.Error(), "edgegate usage recover") {
					t.Fatalf("%v", err)
				}
				if found, err := Verify(dir); err != nil || len(found) == 0 {
					t.Errorf("it does not open, and nothing is found: %v", err)
				}
				if found, err := Recover(dir); err != nil || len(found) == 0 || found[0].Lost == "" {
					t.Fatalf("%+v, %v", found, err)
				}
				for _, more := range []int{7, 0} {
					countIn(t, dir, more)
					l := openLedger(t, dir)
					if n := monthly(t, l, "acme").Invocations; n != uint64(before+60+7) {
						t.Errorf("%d invocations, want %d", n, before+60+7)
					}
					closeLedger(t, l)
				}
			})
		}
	}
}

// otherBoot has a checkpoint be of an earlier start of the machine.
func otherBoot(t *testing.T, path string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: checkpointWait})
	if err == nil {
		err = db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyBoot, []byte("another")) })
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A checkpoint that was put back from an older copy: the records that came after it are added, also those that are archived.
func TestCheckpointSetBack(t *testing.T) {
	dir := t.TempDir()
	id := countIn(t, dir, 5)
	path := filepath.Join(dir, "inst", id, checkpointName)
	older, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	countIn(t, dir, firstSegment+10)
	archiveIn(t, dir)
	glob(t, filepath.Join(dir, "inst", id, "archive", "*"+archiveSuffix))
	if err := os.WriteFile(path, older, 0o600); err != nil {
		t.Fatal(err)
	}
	if found, err := Verify(dir); err != nil || len(found) > 0 {
		t.Errorf("%+v, %v", found, err)
	}
	for more := range 2 {
		l := openLedger(t, dir)
		if n := monthly(t, l, "acme").Invocations; n != uint64(firstSegment+15+more) {
			t.Errorf("%d invocations", n)
		}
		closeLedger(t, l)
		countIn(t, dir, 1)
	}
}
