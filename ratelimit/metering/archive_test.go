package metering

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// day is what a gateway records: an admission and an end for each of n invocations of some functions, eight at a time.
func day(n int) []Record {
	var records []Record
	var running []Record
	random, at := rand.New(rand.NewPCG(1, 2)), now
	for range n {
		at = at.Add(time.Duration(random.ExpFloat64()*1000) * time.Microsecond)
		begun := Record{Type: TypeAdmitted, Seq: uint64(len(records) + 1), Region: uint16(random.IntN(3)), At: at, Subject: uint32(random.IntN(50) * random.IntN(50)), Units: 1}
		records, running = append(records, begun), append(running, begun)
		if len(running) < 8 {
			continue
		}
		i := random.IntN(len(running))
		begun = running[i]
		running = slices.Delete(running, i, i+1)
		records = append(records, Record{
			Type: TypeDone, Seq: uint64(len(records) + 1), Region: begun.Region, At: begun.At, Subject: begun.Subject, Units: 1, Status: 200, Attempts: 1,
			Duration: time.Duration(2000+random.ExpFloat64()*3000) * time.Microsecond, BytesOut: uint64(300 + random.IntN(20)), Ref: begun.Seq,
		})
	}
	return records
}

func TestPack(t *testing.T) {
	records := day(1000)
	again, err := unpack(pack(records), 1, uint64(len(records)))
	if err != nil || !slices.Equal(again, records) {
		t.Errorf("%d records, %v", len(again), err)
	}
	rapid.Check(t, func(t *rapid.T) {
		var want []Record
		for i := range rapid.IntRange(0, 20).Draw(t, "n") {
			r := Record{
				Type: TypeDone, Flags: rapid.Uint8().Draw(t, "flags"), Attempts: rapid.Uint8().Draw(t, "attempts"), Region: rapid.Uint16().Draw(t, "region"),
				Status: rapid.Uint16().Draw(t, "status"), Seq: 5 + uint64(i), At: time.UnixMicro(rapid.Int64Range(-1e15, 1e16).Draw(t, "at")).UTC(),
				Subject: rapid.Uint32().Draw(t, "subject"), Units: rapid.Uint32().Draw(t, "units"), Note: rapid.Uint32().Draw(t, "revision"),
				Duration: time.Duration(rapid.Uint32().Draw(t, "duration")) * time.Microsecond,
				BytesIn:  uint64(rapid.Uint32().Draw(t, "in")), BytesOut: uint64(rapid.Uint32().Draw(t, "out")), Ref: rapid.Uint64Range(0, 4+uint64(i)).Draw(t, "ref"),
			}
			want = append(want, r)
		}
		got, err := unpack(pack(want), 5, uint64(len(want)))
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%+v, %v, want %+v", got, err, want)
		}
	})
}

// Archives that were made before columns were in planes are read as before.
func TestArchiveOfBefore(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "archive-1"))); err != nil {
		t.Fatal(err)
	}
	var got []Record
	err := eachArchive(dir, func(_ *archived, r []Record) error { got = append(got, r...); return nil })
	if err != nil || !slices.Equal(got, day(60)) {
		t.Errorf("%d records, %v", len(got), err)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(pack(day(20)), uint64(32))
	f.Add([]byte{1, 0}, uint64(1)) // the form of before
	f.Fuzz(func(_ *testing.T, data []byte, n uint64) {
		_, _ = unpack(data, 1, n%1000) // it must end, without a panic
	})
}

// Full segments become archives that follow each other; what is counted stays so.
func TestLedgerArchives(t *testing.T) {
	dir := t.TempDir()
	l := openLedger(t, dir)
	s, r := numbers(t, l, "acme", "eu")
	const n = firstSegment + segmentGrowth*firstSegment + 10
	for range n {
		admit(t, l, s, r, now)
	}
	closeLedger(t, l)
	l = openLedger(t, dir)
	instance := l.own.instance.dir
	if err := l.own.archive(l.own.saved); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(instance, "wal", "*")); err != nil || len(left) > 2 {
		t.Errorf("%q, %v", left, err)
	}
	if got, err := VerifyArchives(instance); err != nil || got != n-10 {
		t.Errorf("%d records, %v, want %d", got, err, n-10)
	}
	closeLedger(t, l)
	l = openLedger(t, dir)
	if got := monthly(t, l, "acme").Invocations; got != n {
		t.Errorf("%d are counted, want %d", got, n)
	}
	closeLedger(t, l)
	archives, err := filepath.Glob(filepath.Join(instance, "archive", "*"+archiveSuffix))
	if err != nil || len(archives) != 2 {
		t.Fatalf("%q, %v", archives, err)
	}
	whole, err := os.ReadFile(archives[1])
	if err != nil {
		t.Fatal(err)
	}
	whole[len(whole)/2] ^= 1
	if err := os.WriteFile(archives[1], whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyArchives(instance); err == nil || !strings.Contains(err.Error(), "its hash is not that of the manifest") {
		t.Errorf("a bit is wrong: %v", err)
	}
	// A line that was not finished is none, and reading leaves it there. One that is not what was written is an error,
	// whichever byte of it is wrong.
	manifest := filepath.Join(instance, "archive", manifestName)
	text, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(manifest, text[:len(text)-5], 0o600); err != nil {
		t.Fatal(err)
	}
	if lines, err := readManifest(filepath.Dir(manifest)); err != nil || len(lines) != 1 {
		t.Errorf("%+v, %v", lines, err)
	}
	for at := range text {
		damaged := bytes.Clone(text)
		damaged[at] ^= 1
		if err := os.WriteFile(manifest, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		lines, err := readManifest(filepath.Dir(manifest))
		var damage *durable.DamageError
		if !errors.As(err, &damage) && (at < len(text)-1 || len(lines) != 1) {
			t.Errorf("byte %d, %q, is wrong: %+v, %v", at, text[at], lines, err)
		}
		if got, err := os.ReadFile(manifest); err != nil || !bytes.Equal(got, damaged) {
			t.Fatalf("reading changed the file: %v", err)
		}
	}
}

// The bytes that an invocation takes in the archive (at most 6).
func BenchmarkArchive(b *testing.B) {
	const n = 500_000
	records := day(n)
	path := filepath.Join(b.TempDir(), "x.zst")
	for b.Loop() {
		line := archived{First: 1, Records: uint64(len(records))}
		if err := writeArchive(path, records, &line); err != nil {
			b.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/n, "B/invocation")
}
