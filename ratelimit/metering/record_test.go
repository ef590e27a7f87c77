package metering

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func sample() Record {
	return Record{
		Type: TypeDone, Flags: 3, Attempts: 2, Region: 513, Status: 546, Seq: 1 << 40, Ref: 1<<40 - 5,
		At: time.Date(2026, 11, 24, 12, 0, 0, 123456000, time.UTC), Subject: 70000, Units: 1, Note: 9,
		Duration: 1500 * time.Microsecond, BytesIn: 10, BytesOut: 5 << 20,
	}
}

// bytesOf is a record as it lies in a segment.
func bytesOf(r Record) []byte {
	b := make([]byte, RecordSize)
	publish(b, r.encode(b))
	return b
}

func TestRecordRoundTrip(t *testing.T) {
	for _, want := range []Record{
		sample(),
		{Type: TypeAdmitted, At: time.Unix(0, 0).UTC()},
		{
			Type: TypeVoid, Flags: math.MaxUint8, Attempts: math.MaxUint8, Region: math.MaxUint16, Status: math.MaxUint16, Seq: math.MaxUint64,
			Ref: math.MaxUint64, At: time.Unix(-5, 0).UTC(), Subject: math.MaxUint32, Units: math.MaxUint32, Note: math.MaxUint32,
			Duration: math.MaxUint32 * time.Microsecond, BytesIn: math.MaxUint32, BytesOut: math.MaxUint32,
		},
	} {
		var got Record
		if err := got.decode(bytesOf(want)); err != nil || got != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
}

func TestRecordSaturates(t *testing.T) {
	r := Record{Type: TypeDone, Duration: 2 * time.Hour, BytesIn: 1 << 33, BytesOut: math.MaxUint64}
	var got Record
	if err := got.decode(bytesOf(r)); err != nil || got.Duration != math.MaxUint32*time.Microsecond || got.BytesIn != math.MaxUint32 || got.BytesOut != math.MaxUint32 {
		t.Errorf("%+v, %v", got, err)
	}
	r.Duration = -time.Second
	if err := got.decode(bytesOf(r)); err != nil || got.Duration != 0 {
		t.Errorf("a negative duration is %v, %v", got.Duration, err)
	}
}

// Any one or two wrong bits, and any run of up to 32, are noticed: CRC-32C promises it, this holds us to its use.
func TestRecordBitFlips(t *testing.T) {
	whole := bytesOf(sample())
	var r Record
	flip := func(b []byte, bit int) { b[bit/8] ^= 1 << (bit % 8) }
	b := bytesOf(sample())
	for i := range RecordSize * 8 {
		flip(b, i)
		if err := r.decode(b); err == nil {
			t.Fatalf("bit %d is wrong, and nobody noticed", i)
		}
		for j := range i {
			flip(b, j)
			if err := r.decode(b); err == nil {
				t.Fatalf("bits %d and %d are wrong, and nobody noticed", i, j)
			}
			flip(b, j)
		}
		flip(b, i)
	}
	random := rand.New(rand.NewPCG(1, 1))
	for range 10_000 {
		copy(b, whole)
		from := random.IntN(RecordSize*8 - 32)
		flip(b, from)
		for k := 1; k < 32; k++ {
			if random.IntN(2) == 0 {
				flip(b, from+k)
			}
		}
		if err := r.decode(b); err == nil {
			t.Fatalf("a burst from bit %d on is wrong, and nobody noticed", from)
		}
	}
}

func TestRecordErrors(t *testing.T) {
	var r Record
	if err := r.decode(make([]byte, RecordSize)); !errors.Is(err, errUnwritten) {
		t.Errorf("zeros: %v", err)
	}
	if err := r.decode(bytesOf(Record{Type: 'Q'})); err == nil || err.Error() != "there is no type 'Q' of records: was it written by a newer version?" {
		t.Errorf("type Q: %v", err)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(bytesOf(sample()))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) != RecordSize {
			return
		}
		var r, again Record
		if r.decode(b) != nil {
			return
		}
		if err := again.decode(bytesOf(r)); err != nil || again != r {
			t.Fatalf("%+v became %+v, %v", r, again, err)
		}
	})
}
