package metering

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// asWriter makes the test binary append to the segment that it names until it is killed, and say each number.
const asWriter = "EDGEGATE_METERING_WRITER"

func TestMain(m *testing.M) {
	if path := os.Getenv(asWriter); path != "" {
		writeForEver(path)
	}
	if dir := os.Getenv(asLedger); dir != "" {
		admitForEver(dir)
	}
	os.Exit(m.Run())
}

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func create(t *testing.T, first uint64, slots int) *Segment {
	t.Helper()
	s, err := createSegment(filepath.Join(t.TempDir(), "1.seg"), first, slots, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !s.closed {
			_ = s.Close()
		}
	})
	return s
}

// reopen is what the next process sees.
func reopen(t *testing.T, s *Segment) *Segment {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := OpenSegment(s.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
	return again
}

func TestSegmentKeepsRecords(t *testing.T) {
	s := create(t, 100, 10)
	for i := range 10 {
		r := sample()
		r.Subject = uint32(i)
		if err := s.Append(&r); err != nil || r.Seq != 100+uint64(i) {
			t.Fatalf("record %d has number %d, %v", i, r.Seq, err)
		}
	}
	for range 3 {
		if err := s.Append(new(Record)); !errors.Is(err, ErrFull) {
			t.Errorf("the eleventh of ten: %v", err)
		}
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	if found, err := s.Recover(now, 0); err != nil || found != (Recovered{Records: 10}) {
		t.Errorf("%+v, %v", found, err)
	}
	if s.First() != 100 || !s.Created().Equal(now) || s.Prefix() != 10 {
		t.Errorf("from %d, of %s, %d records", s.First(), s.Created(), s.Prefix())
	}
	for i := range 10 {
		want := sample()
		want.Subject, want.Seq = uint32(i), 100+uint64(i)
		if got, err := s.At(i); err != nil || got != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
	if err := s.Append(new(Record)); !errors.Is(err, ErrFull) {
		t.Errorf("the eleventh of ten: %v", err)
	}
}

func TestSegmentByManyAtOnce(t *testing.T) {
	const writers, each = 8, 2000
	s := create(t, 1, writers*each)
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			for i := range each {
				if err := s.Append(&Record{Type: TypeAdmitted, Subject: uint32(w), Units: uint32(i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { running.Wait(); close(done) }()
	for before := 0; s.Prefix() < writers*each; before = s.Prefix() {
		if s.Prefix() < before {
			t.Fatalf("the prefix went back from %d to %d", before, s.Prefix())
		}
	}
	<-done
	next := make([]uint32, writers)
	for i := range writers * each {
		r, err := s.At(i)
		if err != nil {
			t.Fatal(err)
		}
		if r.Units != next[r.Subject] {
			t.Fatalf("writer %d: %d after %d", r.Subject, r.Units, next[r.Subject])
		}
		next[r.Subject]++
	}
}

// What a process left when it was killed between taking a slot and writing it, and what a machine left when it lost power.
func TestSegmentRecovers(t *testing.T) {
	s := create(t, 1, 10)
	for range 6 {
		r := sample()
		if err := s.Append(&r); err != nil {
			t.Fatal(err)
		}
	}
	clear(s.slot(1))                // taken, nothing written
	clear(s.slot(3)[:4])            // taken, not published
	s.slot(4)[40] ^= 1              // torn
	copy(s.slot(7), s.slot(0)[4:8]) // bits of a record that never was, after the end
	s = reopen(t, s)
	found, err := s.Recover(now, 0)
	if err != nil || found != (Recovered{Records: 3, Dead: 3, Torn: 2}) {
		t.Fatalf("%+v, %v", found, err)
	}
	types := ""
	for i := range s.Prefix() {
		r, err := s.At(i)
		if err != nil || r.Type == TypeDead && !r.At.Equal(now) {
			t.Fatalf("%+v, %v", r, err)
		}
		types += string(r.Type)
	}
	if types != "DXDXXDXX" {
		t.Errorf("records %s", types)
	}
	r := sample()
	if err := s.Append(&r); err != nil || r.Seq != 9 {
		t.Errorf("the next has number %d, %v", r.Seq, err)
	}
	if again, err := reopen(t, s).Recover(now, 0); err != nil || again != (Recovered{Records: 9}) {
		t.Errorf("a second time: %+v, %v", again, err)
	}
}

func TestSegmentRefusesAForeignRecord(t *testing.T) {
	s := create(t, 1, 4)
	copy(s.slot(2), bytesOf(Record{Type: TypeAdmitted, Seq: 77}))
	if _, err := s.Recover(now, 0); err == nil || !strings.Contains(err.Error(), "record 2: its number is 77, want 3") {
		t.Errorf("%v", err)
	}
	if published(s.slot(0)) {
		t.Error("it was changed")
	}
}

func TestSegmentErrors(t *testing.T) {
	s := create(t, 1, 4)
	if _, err := createSegment(s.path, 1, 4, now); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second of the name: %v", err)
	}
	if left, err := filepath.Glob(s.path + ".*"); err != nil || len(left) != 0 {
		t.Errorf("left over: %q, %v", left, err)
	}
	for _, wrong := range []struct {
		first uint64
		slots int
	}{{0, 4}, {1, 0}, {1, SegmentRecords + 1}} {
		if _, err := createSegment(filepath.Join(t.TempDir(), "x"), wrong.first, wrong.slots, now); err == nil {
			t.Errorf("%+v is possible", wrong)
		}
	}
	if _, err := createSegment(filepath.Join(t.TempDir(), "no", "x"), 1, 1, now); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("in no directory: %v", err)
	}
	whole, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	change := func(at int, to byte) []byte {
		b := append([]byte(nil), whole...)
		b[at] = to
		return b
	}
	later := change(7, '2')
	binary.LittleEndian.PutUint32(later[60:], headerChecksum(later))
	if _, err := openChanged(t, change(7, '2')); !errors.As(err, new(*durable.DamageError)) {
		t.Errorf("a damaged version: %v", err)
	}
	for want, content := range map[string][]byte{
		"reading its header":                           whole[:100],
		"it is no segment of a ledger":                 change(0, 'e'),
		`it has version "02", this program reads "01"`: later,
		"its header: the checksum is wrong":            change(8, 9),
		"it has 1216 bytes, its header says 1280":      whole[:1216],
		"it has 1281 bytes, its header says 1280":      append(change(0, 'E'), 0),
	} {
		if _, err := openChanged(t, content); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := OpenSegment("missing.seg"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// openChanged opens a segment whose file has a content.
func openChanged(t *testing.T, content []byte) (*Segment, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "1.seg")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return OpenSegment(path)
}

func TestWriteZeros(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "zeros"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const size = 3<<20 + 5
	if err := writeZeros(file, size); err != nil {
		t.Fatal(err)
	}
	if info, err := file.Stat(); err != nil || info.Size() != size {
		t.Errorf("%v, %v", info, err)
	}
	_ = file.Close()
	if err := writeZeros(file, size); !errors.Is(err, os.ErrClosed) {
		t.Errorf("%v", err)
	}
}

// writeForEver says a number only after its record was appended, as a gateway calls a function only then.
func writeForEver(path string) {
	s, err := OpenSegment(path)
	if err == nil {
		_, err = s.Recover(time.Now(), 0)
	}
	for b := make([]byte, 0, 8); err == nil; b = b[:0] {
		r := Record{Type: TypeAdmitted, At: time.Now()}
		if err = s.Append(&r); err == nil {
			for shift := 0; shift < 64; shift += 8 {
				b = append(b, byte(r.Seq>>shift))
			}
			_, err = os.Stdout.Write(b)
		}
	}
	os.Exit(1)
}

// A process is killed again and again: every number that it said is there, none twice.
func TestSegmentOutlivesKills(t *testing.T) {
	s := create(t, 1, SegmentRecords)
	path := s.path
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	said := make(map[uint64]bool)
	for range 20 {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), asWriter+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for i := range 500 {
			var b [8]byte
			if _, err := io.ReadFull(out, b[:]); err != nil {
				t.Fatal(err)
			}
			seq := uint64(0)
			for k := range b {
				seq |= uint64(b[k]) << (8 * k)
			}
			if said[seq] {
				t.Fatalf("number %d was given twice", seq)
			}
			if said[seq] = true; i == 499 {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait() // it was killed
	}
	if s, err = OpenSegment(path); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if found, err := s.Recover(now, 0); err != nil || found.Torn != 0 || found.Records < len(said) {
		t.Errorf("%+v, %v, %d were said", found, err, len(said))
	}
	for seq := range said {
		if r, err := s.At(int(seq - 1)); err != nil || r.Type != TypeAdmitted {
			t.Errorf("%d was said and is %+v, %v", seq, r, err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	s, err := createSegment(filepath.Join(b.TempDir(), "1.seg"), 1, SegmentRecords, now)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	r := sample()
	b.ReportAllocs()
	for b.Loop() {
		if s.Append(&r) != nil {
			s.taken.Store(0) // the same pages again: a gateway's next segment is prepared beforehand
		}
	}
}

func BenchmarkRecover(b *testing.B) {
	s, err := createSegment(filepath.Join(b.TempDir(), "1.seg"), 1, SegmentRecords, now)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for r := sample(); s.Append(&r) == nil; {
	}
	for b.Loop() {
		if found, err := s.Recover(now, 0); err != nil || found.Records != SegmentRecords {
			b.Fatal(found, err)
		}
	}
}
