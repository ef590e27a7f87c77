package metering

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"
)

// RecordSize is how long every record is, in bytes.
const RecordSize = 64

// Type is what a record says.
type Type uint8

// The types of records.
const (
	TypeAdmitted  Type = 'A' // an invocation was admitted and is about to be sent
	TypeDone      Type = 'D' // the invocation of Ref ended
	TypeRejected  Type = 'R' // so many requests were refused with Status
	TypeVoid      Type = 'V' // Ref was not run after all; without a Ref, a person adjusts
	TypeClockStep Type = 'T' // the clock of the machine was set, by Duration
	TypeDead      Type = 'X' // a slot that was taken and never written: nothing ran
)

// The flags of records.
const (
	FlagCut   uint8 = 1 // of TypeDone: the answer was cut off before its end
	FlagBack  uint8 = 2 // of TypeClockStep: back
	FlagMinus uint8 = 4 // of an adjustment: Units are deducted, not added
)

func (t Type) valid() bool {
	switch t {
	case TypeAdmitted, TypeDone, TypeRejected, TypeVoid, TypeClockStep, TypeDead:
		return true
	}
	return false
}

// Record is one entry of the log.
type Record struct {
	Type     Type
	Flags    uint8
	Attempts uint8 // how often it was sent, of TypeDone
	Region   uint16
	Status   uint16 // of the answer, of TypeDone
	Seq      uint64 // given by the log, from 1 on
	Ref      uint64 // the Seq that it is about, of TypeDone and TypeVoid
	At       time.Time
	Subject  uint32 // an index into the dictionary: who called what
	Units    uint32 // of what is counted
	Note     uint32 // of an adjustment: the number of its note in the dictionary; otherwise 0
	// Duration, BytesIn and BytesOut are of TypeDone. What is beyond 71 minutes or
	// 4 GiB is kept as that.
	Duration          time.Duration
	BytesIn, BytesOut uint64
}

// What is wrong with 64 bytes that are no record.
var (
	errUnwritten = errors.New("nothing was written there")
	errTorn      = errors.New("the checksum is wrong")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is that of a record without its own place. It is never 0, which
// stands for a slot without a record.
func checksum(b []byte) uint32 {
	if sum := crc32.Checksum(b[4:RecordSize], castagnoli); sum != 0 {
		return sum
	}
	return math.MaxUint32
}

// encode writes all of a record but its checksum, which it returns.
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

// bytes is a record as it lies in a segment.
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

// decode reads a record: errUnwritten where there is none, errTorn where bits
// are wrong.
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
		Type: Type(head), Flags: uint8(head >> 8), Region: uint16(head >> 16),
		Seq: le.Uint64(b[8:]), At: time.UnixMicro(int64(le.Uint64(b[16:]))).UTC(),
		Subject: uint32(sums), Units: uint32(sums >> 32),
		Status: uint16(done), Attempts: uint8(done >> 16), Duration: time.Duration(done>>32) * time.Microsecond,
		BytesIn: bytes & math.MaxUint32, BytesOut: bytes >> 32,
		Note: le.Uint32(b[48:]), Ref: le.Uint64(b[56:]),
	}
	if !r.Type.valid() {
		return fmt.Errorf("there is no type %q of records: was it written by a newer version?", rune(r.Type))
	}
	return nil
}
