package metering

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// A segment's file is a header and a fixed number of slots for records. All its
// blocks are allocated when it is created: a full disk cannot hit a record later.
const (
	headerSize  = 1 << 10
	segmentSize = 64 << 20
	// SegmentRecords is how many records a segment of the usual size holds.
	SegmentRecords = (segmentSize - headerSize) / RecordSize
)

// magic is the start of a segment's file; its last two digits are the version.
var magic = []byte("EGLEDG01")

// ErrFull says that a segment has no slot left.
var ErrFull = errors.New("the segment is full")

// Segment is a file of the log, mapped into memory. Any number of goroutines may
// call Append while one calls Sync. Close must come after both.
type Segment struct {
	path    string
	place   durable.Place
	first   uint64 // the Seq of its first slot
	slots   uint64
	data    []byte        // the file
	taken   atomic.Uint64 // slots that were reserved; may exceed slots
	cut     atomic.Bool   // the file has lost its end: some slots are never written
	created time.Time

	// For one goroutine:
	prefix uint64 // how many slots from the start are written
	synced uint64 // how many of those are on the disk
	sealed uint64 // its length if it was ended early, otherwise 0
	closed bool
	kept   uint64             // records up to this one were on the disk once: Recover replaces none of them
	intact bool               // nothing took records since they were written, no power loss: Recover replaces none that is torn
	flush  func([]byte) error // msync; tests replace it
}

// createSegment creates a segment whose first record has the number first. File
// and name are on the disk when it returns. It fails if the file exists.
func createSegment(path string, first uint64, slots int, now time.Time) (*Segment, error) {
	if first == 0 || slots < 1 || slots > SegmentRecords {
		return nil, fmt.Errorf("creating a segment from record %d with %d slots: want from 1 on and 1 to %d slots", first, slots, SegmentRecords)
	}
	temporary := path + ".new" // see removeUnfinished
	if err := createSegmentFile(temporary, first, slots, now); err != nil {
		return nil, fmt.Errorf("creating a segment: %w", errors.Join(err, os.RemoveAll(temporary)))
	}
	// A link, not a rename: it replaces nothing.
	err := os.Link(temporary, path)
	if err = errors.Join(err, os.Remove(temporary)); err == nil {
		err = durable.SyncDirectory(filepath.Dir(path))
	}
	if err != nil {
		return nil, fmt.Errorf("creating a segment: %w", err)
	}
	return OpenSegment(path)
}

func createSegmentFile(path string, first uint64, slots int, now time.Time) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = writeEmptySegment(file, first, slots, now)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// writeEmptySegment writes the header of a segment and allocates its slots.
func writeEmptySegment(file *os.File, first uint64, slots int, now time.Time) error {
	header := make([]byte, headerSize)
	copy(header, magic)
	binary.LittleEndian.PutUint64(header[8:], first)
	binary.LittleEndian.PutUint64(header[16:], uint64(slots))
	binary.LittleEndian.PutUint64(header[24:], uint64(now.UnixMicro()))
	binary.LittleEndian.PutUint32(header[60:], headerChecksum(header))
	if err := allocate(file, int64(headerSize+slots*RecordSize)); err != nil {
		return err
	}
	_, err := file.WriteAt(header, 0)
	return err
}

func headerChecksum(header []byte) uint32 {
	var b [RecordSize]byte
	copy(b[4:], header[:60])
	return checksum(b[:])
}

// onceCurrent reports whether a header with another version had this one when it was
// written: it is damaged.
func onceCurrent(header []byte) bool {
	current := append(bytes.Clone(magic), header[len(magic):]...)
	return binary.LittleEndian.Uint32(header[60:]) == headerChecksum(current)
}

// OpenSegment maps a segment's file. Call Recover before Append if another process
// wrote it.
func OpenSegment(path string) (*Segment, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0) //nolint:gosec // the path is the caller's business
	if err != nil {
		return nil, fmt.Errorf("opening a segment: %w", err)
	}
	defer file.Close()
	header := make([]byte, headerSize)
	if _, err := file.ReadAt(header, 0); err != nil {
		return nil, &durable.DamageError{File: path, What: fmt.Sprintf("reading its header: %v", err)}
	}
	le := binary.LittleEndian
	switch {
	case !bytes.Equal(header[:6], magic[:6]):
		return nil, &durable.DamageError{File: path, What: "it is no segment of a ledger"}
	case !bytes.Equal(header[:8], magic) && !onceCurrent(header):
		return nil, fmt.Errorf("segment %s: it has version %q, this program reads %q", path, header[6:8], magic[6:8])
	case le.Uint32(header[60:]) != headerChecksum(header):
		return nil, &durable.DamageError{File: path, What: fmt.Sprintf("its header: %v", errTorn)}
	}
	s := &Segment{
		path:  path,
		first: le.Uint64(header[8:]),
		slots: le.Uint64(header[16:]),
		flush: syncMap,
	}
	s.created = time.UnixMicro(int64(le.Uint64(header[24:]))).UTC()
	size := headerSize + int64(s.slots)*RecordSize
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("segment %s: %w", path, err)
	}
	if info.Size() != size { // access to a page beyond the end of the file would kill the process
		return nil, &durable.DamageError{File: path, Offset: info.Size(), What: fmt.Sprintf("it has %d bytes, its header says %d", info.Size(), size)}
	}
	s.place = durable.PlaceOfFile(path, info)
	if s.data, err = mapFile(file, int(size)); err != nil {
		return nil, fmt.Errorf("segment %s: mapping it: %w", path, err)
	}
	return s, nil
}

// First returns the Seq of the first record.
func (s *Segment) First() uint64 { return s.first }

// Created returns when the file was created.
func (s *Segment) Created() time.Time { return s.created }

func (s *Segment) slot(i uint64) []byte {
	at := headerSize + i*RecordSize
	return s.data[at : at+RecordSize : at+RecordSize]
}

// catch turns the fault of an access to a part of the file that was cut off into an error.
// Without it the process would end. Defer it with what debug.SetPanicOnFault(true) returned.
func (s *Segment) catch(before bool, err *error) {
	debug.SetPanicOnFault(before)
	switch fault := recover().(type) {
	case nil:
	case interface{ Addr() uintptr }:
		s.cut.Store(true)
		*err = &os.PathError{Op: "access", Path: s.path, Err: ErrCut}
	default:
		panic(fault)
	}
}

// whole returns an error if the file has lost its end.
func (s *Segment) whole() error {
	info, err := os.Stat(s.path)
	if err == nil && info.Size() < int64(len(s.data)) {
		s.cut.Store(true)
		err = &os.PathError{Op: "stat", Path: s.path, Err: ErrCut}
	}
	return err
}

// Append sets r.Seq and writes r, or returns [ErrFull], or an error that wraps [ErrCut]. It
// neither blocks nor allocates.
func (s *Segment) Append(r *Record) (err error) {
	i := s.taken.Add(1) - 1
	if i >= s.slots {
		return ErrFull
	}
	defer s.catch(debug.SetPanicOnFault(true), &err)
	r.Seq = s.first + i
	slot := s.slot(i)
	publish(slot, r.encode(slot))
	return nil
}

// publish stores the checksum atomically, after everything it covers. From then on
// the slot holds a record.
func publish(slot []byte, sum uint32) {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], sum)
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&slot[0])), binary.NativeEndian.Uint32(b[:]))
}

// published reports whether a slot holds a record, whole or torn.
func published(slot []byte) bool {
	return atomic.LoadUint32((*uint32)(unsafe.Pointer(&slot[0]))) != 0
}

// Prefix returns how many slots from the start are written without a gap. One
// goroutine at a time may call it.
func (s *Segment) Prefix() int {
	_ = s.advance() // a segment that was cut goes on no further
	return int(s.prefix)
}

func (s *Segment) advance() (err error) {
	defer s.catch(debug.SetPanicOnFault(true), &err)
	for s.prefix < s.slots && published(s.slot(s.prefix)) {
		s.prefix++
	}
	return nil
}

// At reads the record in slot i, which must be below Prefix.
func (s *Segment) At(i int) (r Record, err error) {
	defer s.catch(debug.SetPanicOnFault(true), &err)
	if err := r.decode(s.slot(uint64(i))); err != nil {
		return r, fmt.Errorf("segment %s, record %d: %w", s.path, i, err)
	}
	if want := s.first + uint64(i); r.Seq != want {
		return r, fmt.Errorf("segment %s, record %d: its number is %d, want %d", s.path, i, r.Seq, want)
	}
	return r, nil
}

// Recovered counts the slots that Recover found.
type Recovered struct {
	Records int // whole records
	Dead    int // slots that were reserved and not written: the process ended in between
	Torn    int // slots with a wrong checksum: the machine lost power, or the disk fails
}

// Recover finds the end of a segment that another process wrote and replaces every
// slot before it that holds no whole record with a record of TypeDead: an
// invocation without a record was not sent. The segment has at least atLeast
// slots in use; 0 if no other follows: it has all records then that were on the disk once.
// If a whole record does not belong where it is, or one is not whole that was on the
// disk, Recover changes nothing and returns a *durable.DamageError.
func (s *Segment) Recover(now time.Time, atLeast uint64) (Recovered, error) {
	var found Recovered
	var lost []uint64
	if atLeast == 0 && s.kept >= s.first {
		// Where an older copy of the file was put back, these are missing. What is appended
		// in their place would not be counted: the sums have these numbers.
		atLeast = s.kept - s.first + 1
	}
	end := min(atLeast, s.slots)
	for i := range s.slots {
		if !published(s.slot(i)) {
			continue
		}
		end = max(end, i+1)
		if _, err := s.At(int(i)); err != nil {
			if s.intact || s.first+i <= s.kept || !errors.Is(err, errTorn) {
				return found, s.damaged(i, err)
			}
			found.Torn++
			lost = append(lost, i)
		}
	}
	for i := range end {
		if !published(s.slot(i)) {
			if s.first+i <= s.kept {
				return found, s.damaged(i, errUnwritten)
			}
			found.Dead++
			lost = append(lost, i)
		}
	}
	for _, i := range lost {
		dead := Record{Type: TypeDead, Seq: s.first + i, At: now}
		slot := s.slot(i)
		publish(slot, dead.encode(slot))
	}
	found.Records = int(end) - len(lost)
	s.taken.Store(end)
	s.prefix = end
	return found, nil
}

// damaged says that slot i is not what was written.
func (s *Segment) damaged(i uint64, err error) error {
	return &durable.DamageError{File: s.path, Offset: int64(headerSize + i*RecordSize), What: fmt.Sprintf("record %d: %v", s.first+i, err)}
}

// Sync writes the records below Prefix to the disk. After an error the kernel may
// have dropped the pages: copy them to another file, do not sync again.
func (s *Segment) Sync() error {
	prefix := s.Prefix()
	if err := s.flush(s.data[:headerSize+prefix*RecordSize]); err != nil {
		return fmt.Errorf("segment %s: syncing: %w", s.path, err)
	}
	s.synced = uint64(prefix)
	return nil
}

// seal ends a segment early. It waits for the slots that are reserved to be written
// and returns how many those are.
func (s *Segment) seal() uint64 {
	taken := min(s.taken.Add(s.slots)-s.slots, s.slots)
	for uint64(s.Prefix()) < taken && !s.cut.Load() {
		runtime.Gosched() // an Append has reserved its slot and not written it yet
	}
	s.sealed = taken
	return taken
}

// copyTo writes the first slots of the segment to an empty file.
func (s *Segment) copyTo(file *os.File, slots uint64) error {
	if err := writeEmptySegment(file, s.first, int(slots), s.created); err != nil {
		return err
	}
	_, err := file.WriteAt(s.data[headerSize:headerSize+slots*RecordSize], headerSize)
	return err
}

// length returns how many records the segment holds when it is full or sealed.
func (s *Segment) length() uint64 {
	if s.sealed > 0 {
		return s.sealed
	}
	return s.slots
}

// Close unmaps the file. Nothing may be appended afterwards.
func (s *Segment) Close() error {
	s.closed = true
	if err := unmap(s.data); err != nil {
		return fmt.Errorf("segment %s: closing: %w", s.path, err)
	}
	return nil
}

// writeZeros allocates the blocks of a file by writing to all of it, where the
// system has no other way.
func writeZeros(file io.WriterAt, size int64) error {
	zeros := make([]byte, 1<<20)
	for at := int64(0); at < size; at += int64(len(zeros)) {
		if _, err := file.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at); err != nil {
			return err
		}
	}
	return nil
}

func closeAll(segments []*Segment) error {
	var errs []error
	for _, s := range segments {
		if !s.closed {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}
