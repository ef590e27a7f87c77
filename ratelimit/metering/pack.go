package metering

import (
	"encoding/binary"
	"errors"
	"time"
)

var errArchive = errors.New("the archive is damaged")

// column is one field of all records of an archive. Archives store records by
// column: equal and similar values lie together and compress better.
type column struct {
	get  func(r *Record) int64
	set  func(r *Record, v int64)
	base base
}

// base selects the value that a column's value is stored as the difference to.
type base uint8

const (
	nothing  base = iota // the value itself is stored
	referred             // that of the record in Ref; 0 without a Ref
	previous             // that of the record in Ref; without a Ref that of the last record without one
)

// columns are all fields of a record but Seq, which follows from its position. Ref
// comes first: the other columns need it.
var columns = []column{
	{refBack, setRefBack, nothing},
	{func(r *Record) int64 { return int64(r.Type) }, func(r *Record, v int64) { r.Type = Type(v) }, nothing},
	{func(r *Record) int64 { return int64(r.Flags) }, func(r *Record, v int64) { r.Flags = uint8(v) }, nothing},
	{func(r *Record) int64 { return int64(r.Attempts) }, func(r *Record, v int64) { r.Attempts = uint8(v) }, nothing},
	{func(r *Record) int64 { return int64(r.Region) }, func(r *Record, v int64) { r.Region = uint16(v) }, referred},
	{func(r *Record) int64 { return int64(r.Status) }, func(r *Record, v int64) { r.Status = uint16(v) }, nothing},
	{func(r *Record) int64 { return r.At.UnixMicro() }, func(r *Record, v int64) { r.At = time.UnixMicro(v).UTC() }, previous},
	{func(r *Record) int64 { return int64(r.Subject) }, func(r *Record, v int64) { r.Subject = uint32(v) }, referred},
	{func(r *Record) int64 { return int64(r.Units) }, func(r *Record, v int64) { r.Units = uint32(v) }, referred},
	{func(r *Record) int64 { return int64(r.Note) }, func(r *Record, v int64) { r.Note = uint32(v) }, nothing},
	{func(r *Record) int64 { return r.Duration.Microseconds() }, func(r *Record, v int64) { r.Duration = time.Duration(v) * time.Microsecond }, nothing},
	{func(r *Record) int64 { return int64(r.BytesIn) }, func(r *Record, v int64) { r.BytesIn = uint64(v) }, nothing},
	{func(r *Record) int64 { return int64(r.BytesOut) }, func(r *Record, v int64) { r.BytesOut = uint64(v) }, nothing},
}

// against returns the value that the i-th record's value is stored as the
// difference to. last is the column's value in the last record without a Ref.
func (c *column) against(records []Record, i int, last int64) int64 {
	if c.base == nothing {
		return 0
	}
	if back := refBack(&records[i]); back > 0 && back <= int64(i) {
		return c.get(&records[i-int(back)])
	}
	if c.base == previous {
		return last
	}
	return 0
}

// refBack returns how many records before r its Ref is; 0 without a Ref.
func refBack(r *Record) int64 {
	if r.Ref == 0 {
		return 0
	}
	return int64(r.Seq - r.Ref)
}

func setRefBack(r *Record, v int64) {
	r.Ref = 0
	if v != 0 {
		r.Ref = r.Seq - uint64(v)
	}
}

// The kinds of records, whose values are stored apart in all columns but the
// first, which tells them apart.
const (
	withoutRef = iota
	withRef
	kinds
)

// kindOf returns the kind of a record in column k.
func kindOf(r *Record, k int) int {
	if k > 0 && r.Ref != 0 {
		return withRef
	}
	return withoutRef
}

// planes hold values as varints, byte by byte: all first bytes, then all second
// bytes, and so on. First bytes are almost random, later ones almost constant, so
// that they compress well apart.
type planes [binary.MaxVarintLen64][]byte

func (p *planes) put(v int64) {
	var b [binary.MaxVarintLen64]byte
	for i := range binary.PutVarint(b[:], v) {
		p[i] = append(p[i], b[i])
	}
}

func (p *planes) take() (int64, bool) {
	var b [binary.MaxVarintLen64]byte
	for i := range p {
		if len(p[i]) == 0 {
			return 0, false
		}
		b[i], p[i] = p[i][0], p[i][1:]
		if b[i] < 0x80 {
			v, used := binary.Varint(b[:i+1])
			return v, used > 0
		}
	}
	return 0, false
}

// packed is the first byte that pack writes. Archives of the older format without
// planes begin with a length, which is never 0.
const packed = 0

// pack encodes records by column, each as the planes of each kind.
func pack(records []Record) []byte {
	out := []byte{packed}
	for k := range columns {
		c, last := &columns[k], int64(0)
		var values [kinds]planes
		for i := range records {
			v := c.get(&records[i])
			values[kindOf(&records[i], k)].put(v - c.against(records, i, last))
			if records[i].Ref == 0 {
				last = v
			}
		}
		for kind := range values {
			for _, plane := range values[kind] {
				out = binary.AppendUvarint(out, uint64(len(plane)))
				out = append(out, plane...)
			}
		}
	}
	return out
}

// cut splits data into a part that is preceded by its length, and the rest.
func cut(data []byte) (part, rest []byte, ok bool) {
	size, used := binary.Uvarint(data)
	if used <= 0 || size > uint64(len(data)-used) {
		return nil, nil, false
	}
	data = data[used:]
	return data[:size], data[size:], true
}

// unpack decodes what pack wrote: n records, the first with the number first.
func unpack(data []byte, first, n uint64) ([]Record, error) {
	if n > SegmentRecords || len(data) == 0 {
		return nil, errArchive
	}
	records := make([]Record, n)
	for i := range records {
		records[i].Seq = first + uint64(i)
	}
	if data[0] != packed {
		return records, unpackWhole(records, data)
	}
	return records, unpackPlanes(records, data[1:])
}

func unpackPlanes(records []Record, data []byte) error {
	for k := range columns {
		c, last := &columns[k], int64(0)
		var values [kinds]planes
		for kind := range values {
			for i := range values[kind] {
				var ok bool
				if values[kind][i], data, ok = cut(data); !ok {
					return errArchive
				}
			}
		}
		for i := range records {
			v, ok := values[kindOf(&records[i], k)].take()
			if !ok {
				return errArchive
			}
			v += c.against(records, i, last)
			c.set(&records[i], v)
			if records[i].Ref == 0 {
				last = v
			}
		}
		for kind := range values {
			for _, plane := range values[kind] {
				if len(plane) > 0 {
					return errArchive
				}
			}
		}
	}
	if len(data) > 0 {
		return errArchive
	}
	return nil
}

// unpackWhole decodes archives of the older format without planes.
func unpackWhole(records []Record, data []byte) error {
	for k := range columns {
		c, last := &columns[k], int64(0)
		values, rest, ok := cut(data)
		if !ok {
			return errArchive
		}
		data = rest
		for i := range records {
			v, used := binary.Varint(values)
			if used <= 0 {
				return errArchive
			}
			values = values[used:]
			v += c.against(records, i, last)
			c.set(&records[i], v)
			if records[i].Ref == 0 {
				last = v
			}
		}
		if len(values) > 0 {
			return errArchive
		}
	}
	if len(data) > 0 {
		return errArchive
	}
	return nil
}
