package metering

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// RecordSize is how long every record is, in bytes.
const RecordSize = 64

// Type tells what a record reports.
type Type uint8

// The types of records. TypeVoid without a Ref is an adjustment.
const (
	TypeAdmitted  Type = 'A' // an invocation was admitted and is about to be sent
	TypeDone      Type = 'D' // the invocation of Ref ended
	TypeRejected  Type = 'R' // Units requests were refused with Status
	TypeVoid      Type = 'V' // the invocation of Ref was never sent; without a Ref: an adjustment by an operator
	TypeClockStep Type = 'T' // the machine's clock was set, by Duration
	TypeCut       Type = 'C' // the organization of Subject has new terms from the minute BytesIn on
	TypeDead      Type = 'X' // a slot that was reserved and never written: nothing was sent
)

// The flags of records.
const (
	FlagCut    uint8 = 1  // TypeDone: the response ended before it was complete
	FlagBack   uint8 = 2  // TypeClockStep: the clock was set back
	FlagMinus  uint8 = 4  // adjustment: Units are deducted, not added
	FlagLost   uint8 = 16 // TypeDead: it stands for a record that was lost with its file
	FlagUnsent uint8 = 8  // TypeAdmitted: Units requests that were refused and count all the same, in RegionNone
)

func (t Type) valid() bool {
	switch t {
	case TypeAdmitted, TypeDone, TypeRejected, TypeVoid, TypeClockStep, TypeCut, TypeDead:
		return true
	case TypeUnreadable: // no record has it
	}
	return false
}

// Record is one entry of the log.
type Record struct {
	Type     Type
	Flags    uint8
	Attempts uint8     // TypeDone: how many times the invocation was sent
	Region   uint16    // number in the dictionary
	Status   uint16    // TypeDone and TypeRejected: the HTTP status of the response
	Seq      uint64    // position in the log, from 1; set by the log
	Ref      uint64    // TypeDone and TypeVoid: Seq of the TypeAdmitted record
	At       time.Time // when the invocation was admitted, in whole microseconds
	Subject  uint32    // number in the dictionary
	Units    uint32    // how many invocations or requests
	Note     uint32    // of an adjustment: the number of its note in the dictionary; otherwise 0
	// TypeDone: how long the invocation took, in microseconds up to 71 minutes, and
	// its bytes, up to 4 GiB each. Greater values are stored as the maximum.
	Duration          time.Duration
	BytesIn, BytesOut uint64
}

// Why 64 bytes are not a record.
var (
	errUnwritten = errors.New("nothing was written there")
	errTorn      = errors.New("the checksum is wrong")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum returns the CRC-32C of an encoded record without its first four bytes,
// where it is stored. It is never 0: that marks an empty slot.
func checksum(b []byte) uint32 {
	if sum := crc32.Checksum(b[4:RecordSize], castagnoli); sum != 0 {
		return sum
	}
	return math.MaxUint32
}

// encode writes a record into b, except for its checksum, which it returns.
func (r *Record) encode(b []byte) uint32 {
	b = b[:RecordSize:RecordSize]
	le := binary.LittleEndian
	le.PutUint32(b[4:], uint32(r.Type)|uint32(r.Flags)<<8|uint32(r.Region)<<16)
	le.PutUint64(b[8:], r.Seq)
	le.PutUint64(b[16:], uint64(r.At.UnixMicro()))
	le.PutUint64(b[24:], uint64(r.Subject)|uint64(r.Units)<<32)
	le.PutUint64(b[32:], uint64(r.Status)|uint64(r.Attempts)<<16|uint64(saturate(max(0, r.Duration/time.Microsecond)))<<32)
	le.PutUint64(b[40:], uint64(saturate(r.BytesIn))|uint64(saturate(r.BytesOut))<<32)
	le.PutUint64(b[48:], uint64(r.Note))
	le.PutUint64(b[56:], r.Ref)
	return checksum(b)
}

// bytes returns the record as it is stored in a segment.
func (r *Record) bytes() []byte {
	b := make([]byte, RecordSize)
	binary.LittleEndian.PutUint32(b, r.encode(b))
	return b
}

func saturate[N time.Duration | uint64](n N) uint32 {
	if uint64(n) > math.MaxUint32 {
		return math.MaxUint32
	}
	return uint32(n)
}

// decode reads a record from b. It returns errUnwritten for an empty slot and
// errTorn for a wrong checksum.
func (r *Record) decode(b []byte) error {
	b = b[:RecordSize:RecordSize]
	le := binary.LittleEndian
	switch sum := le.Uint32(b); {
	case sum == 0:
		return errUnwritten
	case sum != checksum(b):
		return errTorn
	}
	head, sums, done, bytes := le.Uint32(b[4:]), le.Uint64(b[24:]), le.Uint64(b[32:]), le.Uint64(b[40:])
	*r = Record{
		Type:     Type(head),
		Flags:    uint8(head >> 8),
		Region:   uint16(head >> 16),
		Seq:      le.Uint64(b[8:]),
		At:       time.UnixMicro(int64(le.Uint64(b[16:]))).UTC(),
		Subject:  uint32(sums),
		Units:    uint32(sums >> 32),
		Status:   uint16(done),
		Attempts: uint8(done >> 16),
		Duration: time.Duration(done>>32) * time.Microsecond,
		BytesIn:  bytes & math.MaxUint32,
		BytesOut: bytes >> 32,
		Note:     le.Uint32(b[48:]),
		Ref:      le.Uint64(b[56:]),
	}
	if !r.Type.valid() {
		return fmt.Errorf("there is no type %q of records: was it written by a newer version?", rune(r.Type))
	}
	return nil
}

// Lost has the numbers of records that are lost, in order: dead ones stand for them. Their
// units are in the sums that were made before, and can be made of nothing again.
type Lost []LostRange

// LostRange is one or several lost records that follow each other.
type LostRange struct{ First, Last uint64 }

// add adds a number that is above all others, or there already.
func (l *Lost) add(seq uint64) {
	n := len(*l)
	switch {
	case n > 0 && seq <= (*l)[n-1].Last:
	case n > 0 && seq == (*l)[n-1].Last+1:
		(*l)[n-1].Last = seq
	default:
		*l = append(*l, LostRange{seq, seq})
	}
}

// Count returns how many they are.
func (l Lost) Count() (n uint64) {
	for _, r := range l {
		n += r.Last - r.First + 1
	}
	return n
}

// last returns the highest number, 0 if there is none.
func (l Lost) last() uint64 {
	if len(l) == 0 {
		return 0
	}
	return l[len(l)-1].Last
}

func (l Lost) String() string {
	parts := make([]string, 0, len(l))
	for _, r := range l {
		if r.First == r.Last {
			parts = append(parts, fmt.Sprint(r.First))
			continue
		}
		parts = append(parts, fmt.Sprintf("%d to %d", r.First, r.Last))
	}
	return strings.Join(parts, ", ")
}

// isLost reports whether a record stands for one that was lost.
func (r *Record) isLost() bool { return r.Type == TypeDead && r.Flags&FlagLost != 0 }

// TypeUnreadable stands in a Batch for a record that is there and cannot be read.
const TypeUnreadable Type = 'U'

// Batch holds the records of a file by column. It is made to be read into again and
// again: its memory is that of the largest file.
type Batch struct {
	First     uint64 // the Seq of the first record
	Types     []Type // 0: nothing was written there
	Flags     []uint8
	Attempts  []uint8
	Regions   []uint16
	Statuses  []uint16
	At        []int64 // Unix microseconds
	Subjects  []uint32
	Units     []uint32
	Notes     []uint32
	Durations []uint32 // microseconds
	BytesIn   []uint32
	BytesOut  []uint32
	Refs      []uint64

	// What is read from the disk, decompressed, and where its records' Refs are.
	file, buffer []byte
	targets      []int32
	decoder      *zstd.Decoder
}

// resize has the batch hold n records from a number on, none of which is written yet.
func (b *Batch) resize(first uint64, n int) {
	b.First = first
	b.extend(n)
	clear(b.Types)
}

// extend has the batch hold n records: those that it has, and others that must be set.
func (b *Batch) extend(n int) {
	b.Types, b.Flags, b.Attempts = sized(b.Types, n), sized(b.Flags, n), sized(b.Attempts, n)
	b.Regions, b.Statuses = sized(b.Regions, n), sized(b.Statuses, n)
	b.At, b.Refs = sized(b.At, n), sized(b.Refs, n)
	b.Subjects, b.Units, b.Notes = sized(b.Subjects, n), sized(b.Units, n), sized(b.Notes, n)
	b.Durations = sized(b.Durations, n)
	b.BytesIn, b.BytesOut = sized(b.BytesIn, n), sized(b.BytesOut, n)
}

// sized returns a slice of n values, the first of which are those of s. If its memory is not
// enough it gets twice as much, which leaves less garbage than append does.
func sized[T any](s []T, n int) []T {
	if n <= cap(s) {
		return s[:n]
	}
	larger := make([]T, n, max(n, 2*cap(s)))
	copy(larger, s)
	return larger
}

// put sets the i-th record.
func (b *Batch) put(i int, r *Record) {
	b.Types[i], b.Flags[i], b.Attempts[i], b.Regions[i], b.Statuses[i] = r.Type, r.Flags, r.Attempts, r.Region, r.Status
	b.At[i], b.Subjects[i], b.Units[i], b.Refs[i] = r.At.UnixMicro(), r.Subject, r.Units, r.Ref
	b.Notes[i] = r.Note
	b.Durations[i], b.BytesIn[i], b.BytesOut[i] = uint32(r.Duration/time.Microsecond), uint32(r.BytesIn), uint32(r.BytesOut)
}

// get sets r to the i-th record.
func (b *Batch) get(i int, r *Record) {
	*r = Record{
		Type:     b.Types[i],
		Flags:    b.Flags[i],
		Attempts: b.Attempts[i],
		Region:   b.Regions[i],
		Status:   b.Statuses[i],
		Seq:      b.First + uint64(i),
		Ref:      b.Refs[i],
		At:       time.UnixMicro(b.At[i]).UTC(),
		Subject:  b.Subjects[i],
		Units:    b.Units[i],
		Note:     b.Notes[i],
		Duration: time.Duration(b.Durations[i]) * time.Microsecond,
		BytesIn:  uint64(b.BytesIn[i]),
		BytesOut: uint64(b.BytesOut[i]),
	}
}

// equal reports whether the batch has the same records.
func (b *Batch) equal(records []Record) bool {
	if len(b.Types) != len(records) {
		return false
	}
	for i := range records {
		var r Record
		b.get(i, &r)
		if r != records[i] {
			return false
		}
	}
	return true
}

// read sets the i-th record to one that is stored in a segment, as Record.decode reads
// it. One that cannot be read is TypeUnreadable, and one that was not written is left out.
func (b *Batch) read(i int, slot []byte) {
	slot = slot[:RecordSize:RecordSize]
	le := binary.LittleEndian
	sum := le.Uint32(slot)
	if sum == 0 {
		b.Types[i] = 0
		return
	}
	head, sums, done := le.Uint32(slot[4:]), le.Uint64(slot[24:]), le.Uint64(slot[32:])
	if sum != checksum(slot) || !Type(head).valid() || le.Uint64(slot[8:]) != b.First+uint64(i) {
		b.Types[i] = TypeUnreadable
		return
	}
	b.Types[i], b.Flags[i], b.Regions[i] = Type(head), uint8(head>>8), uint16(head>>16)
	b.At[i], b.Refs[i] = int64(le.Uint64(slot[16:])), le.Uint64(slot[56:])
	b.Subjects[i], b.Units[i] = uint32(sums), uint32(sums>>32)
	b.Notes[i] = le.Uint32(slot[48:])
	b.Statuses[i], b.Attempts[i], b.Durations[i] = uint16(done), uint8(done>>16), uint32(done>>32)
	b.BytesIn[i], b.BytesOut[i] = le.Uint32(slot[40:]), le.Uint32(slot[44:])
}
