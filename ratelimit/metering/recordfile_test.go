package metering

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// writtenLog is a ledger with an archive and a segment, and its records.
func writtenLog(t *testing.T) (*Ledger, []Record) {
	t.Helper()
	l := openLedger(t, t.TempDir())
	t.Cleanup(func() { _ = l.Close() }) // it may fail on what was damaged
	s, r := numbers(t, l, "acme", "eu")
	for i := range firstSegment/2 + 50 {
		call := Invocation{Subject: s, Region: r, At: l.Now()}
		seq := admit(t, l, s, r, call.At)
		if err := l.Done(seq, call, Ending{Status: 200 + i%300, Attempts: 1 + i%2, Duration: 1234567, BytesIn: uint64(i), BytesOut: 99}); err != nil {
			t.Fatal(err)
		}
	}
	archiveAll(t, l)
	var all []Record
	err := l.own.readAll(l.Position().Last, func(_ *logFile, r *Record) error { all = append(all, *r); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return l, all
}

func archiveAll(t *testing.T, l *Ledger) {
	t.Helper()
	l.mu.Lock()
	_, err := l.own.log.each(l.own.projection.add)
	err = errors.Join(err, l.save(l.own, l.config.Now()))
	done := l.own.saved
	l.mu.Unlock()
	if err = errors.Join(err, l.own.archive(done)); err != nil {
		t.Fatal(err)
	}
}

// readFiles reads all records of a ledger's own log, newest file first.
func readFiles(t *testing.T, l *Ledger) (all []Record, found []Finding) {
	t.Helper()
	files, found := recordFiles(l.own.instance.dir)
	var b Batch
	full := false
	for i := len(files) - 1; i >= 0; i-- {
		found = append(found, files[i].Read(&b, 0, full)...)
		full = full || len(b.Types) > 0
		var of []Record
		for j, kind := range b.Types {
			if kind == 0 || kind == TypeUnreadable {
				continue
			}
			var r Record
			b.get(j, &r)
			of = append(of, r)
		}
		all = append(of, all...)
	}
	return all, found
}

func sameRecords(t *testing.T, got, want []Record) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("record %+v, want %+v", got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
}

func TestRecordFiles(t *testing.T) {
	l, want := writtenLog(t)
	got, found := readFiles(t, l)
	if len(found) > 0 {
		t.Errorf("found %+v", found)
	}
	sameRecords(t, got, want)
	files, _ := recordFiles(l.own.instance.dir)
	if len(files) < 2 || !files[0].archive || files[len(files)-1].archive {
		t.Fatalf("files %+v", files)
	}
	var b Batch
	from := want[len(want)-10].Seq
	if found := files[1].Read(&b, from, false); len(found) > 0 || b.First != from || len(b.Types) != 10 {
		t.Errorf("from record %d: %d records from %d, %+v", from, len(b.Types), b.First, found)
	}
}

// A segment that becomes an archive between the listing of files and their reading is read there.
func TestRecordFilesArchivedMeanwhile(t *testing.T) {
	l, _ := writtenLog(t)
	s, r := numbers(t, l, "acme", "eu")
	for range firstSegment * segmentGrowth { // the second segment gets full
		admit(t, l, s, r, l.Now())
	}
	files, _ := recordFiles(l.own.instance.dir)
	archiveAll(t, l)
	var b Batch
	if found := files[1].Read(&b, 0, true); len(found) > 0 || len(b.Types) != firstSegment*segmentGrowth {
		t.Errorf("%d records, %+v", len(b.Types), found)
	}
	if _, err := os.Stat(files[1].Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was not archived: %v", err)
	}
}

// What is damaged is said, and everything else is read.
func TestRecordFilesDamaged(t *testing.T) {
	flip := func(t *testing.T, path string, at int64) {
		data, err := os.ReadFile(path)
		if err == nil {
			data[at] ^= 1
			err = os.WriteFile(path, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		damage func(t *testing.T, archive, segment string)
		say    string
		file   string // which is named
		lost   int    // records; -1: those of the archive
	}{
		"a record": {func(t *testing.T, _, s string) { flip(t, s, headerSize+3*RecordSize+20) }, " cannot be read", ".seg", 1},
		"a record that is gone": {func(t *testing.T, _, s string) {
			file, err := os.OpenFile(s, os.O_RDWR, 0)
			if err == nil {
				_, err = file.WriteAt(make([]byte, RecordSize), headerSize+5*RecordSize)
				err = errors.Join(err, file.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
		}, " cannot be read", ".seg", 1},
		"a header":             {func(t *testing.T, _, s string) { flip(t, s, 20) }, "its header", ".seg", 0},
		"an archive":           {func(t *testing.T, a, _ string) { flip(t, a, 100) }, "its hash", ".zst", -1},
		"an archive that left": {func(t *testing.T, a, _ string) { _ = os.Remove(a) }, "no such file", ".zst", -1},
		"the manifest":         {func(t *testing.T, a, _ string) { flip(t, filepath.Join(filepath.Dir(a), manifestName), 30) }, "not what was written", manifestName, 0},
		"an archive and the manifest": {func(t *testing.T, a, _ string) {
			flip(t, a, 1000)
			flip(t, filepath.Join(filepath.Dir(a), manifestName), 30)
		}, "the archive is damaged", ".zst", -1},
	} {
		t.Run(name, func(t *testing.T) {
			l, want := writtenLog(t)
			files, _ := recordFiles(l.own.instance.dir)
			archived := int(files[0].Next - files[0].First)
			tt.damage(t, files[0].Path, files[1].Path)
			got, found := readFiles(t, l)
			said := false
			for _, f := range found {
				said = said || strings.Contains(f.What, tt.say) && strings.HasSuffix(f.File, tt.file) && f.Remedy != ""
			}
			if !said {
				t.Errorf("found %+v, want %q of %s", found, tt.say, tt.file)
			}
			lost := tt.lost
			if lost < 0 {
				lost = archived
			}
			if len(got) != len(want)-lost {
				t.Errorf("%d records of %d, want %d lost", len(got), len(want), lost)
			}
		})
	}
}

// Records that are being written while they are read are not damage.
func TestRecordFilesWhileWritten(t *testing.T) {
	l := openLedger(t, t.TempDir())
	defer closeLedger(t, l)
	s, r := numbers(t, l, "acme", "eu")
	var running atomic.Int32
	failed := make(chan error, 3)
	for range cap(failed) {
		running.Add(1)
		go func() {
			defer running.Add(-1)
			var err error
			for i := 0; err == nil && i < 30_000; i++ {
				_, err = l.Admit(Invocation{Subject: s, Region: r, At: l.Now()})
			}
			failed <- err
		}()
	}
	for running.Load() > 0 {
		got, found := readFiles(t, l)
		if len(found) > 0 {
			t.Fatalf("found %+v", found)
		}
		for i := range got {
			if got[i].Seq != uint64(i+1) {
				t.Fatalf("record %d stands at %d", got[i].Seq, i+1)
			}
		}
	}
	for range cap(failed) {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}
