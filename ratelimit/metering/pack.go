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
	if data[0] != packed {
		return unpackWhole(data, first, n)
	}
	b := new(Batch)
	if err := b.unpackPlanes(data[1:], first, n); err != nil {
		return nil, err
	}
	records := make([]Record, n)
	for i := range records {
		b.get(i, &records[i])
	}
	return records, nil
}

// unpackWhole decodes archives of the older format without planes.
func unpackWhole(data []byte, first, n uint64) ([]Record, error) {
	records := make([]Record, n)
	for i := range records {
		records[i].Seq = first + uint64(i)
	}
	for k := range columns {
		c, last := &columns[k], int64(0)
		values, rest, ok := cut(data)
		if !ok {
			return nil, errArchive
		}
		data = rest
		for i := range records {
			v, used := binary.Varint(values)
			if used <= 0 {
				return nil, errArchive
			}
			values = values[used:]
			v += c.against(records, i, last)
			c.set(&records[i], v)
			if records[i].Ref == 0 {
				last = v
			}
		}
		if len(values) > 0 {
			return nil, errArchive
		}
	}
	if len(data) > 0 {
		return nil, errArchive
	}
	return records, nil
}

// unpack is the function unpack into a batch.
func (b *Batch) unpack(data []byte, first, n uint64) error {
	if n > SegmentRecords || len(data) == 0 {
		return errArchive
	}
	if data[0] == packed {
		return b.unpackPlanes(data[1:], first, n)
	}
	records, err := unpackWhole(data, first, n)
	b.resize(first, len(records))
	for i := range records {
		b.put(i, &records[i])
	}
	return err
}

// unpackPlanes reads all columns, in their order.
func (b *Batch) unpackPlanes(data []byte, first, n uint64) error {
	b.resize(first, int(n))
	b.targets = sized(b.targets, int(n))
	c := &columnReader{batch: b, data: data, targets: b.targets}
	c.refs()
	readColumn(c, b.Types, nothing)
	readColumn(c, b.Flags, nothing)
	readColumn(c, b.Attempts, nothing)
	readColumn(c, b.Regions, referred)
	readColumn(c, b.Statuses, nothing)
	readColumn(c, b.At, previous)
	readColumn(c, b.Subjects, referred)
	readColumn(c, b.Units, referred)
	readColumn(c, b.Notes, nothing)
	readColumn(c, b.Durations, nothing)
	readColumn(c, b.BytesIn, nothing)
	readColumn(c, b.BytesOut, nothing)
	if c.bad || len(c.data) > 0 {
		return errArchive
	}
	return nil
}

// columnReader reads an archive column by column, in the order of columns.
type columnReader struct {
	batch *Batch
	data  []byte // the columns that were not read yet
	bad   bool
	// targets has for each record where the one in its Ref is: noRef without a Ref, notHere
	// if that is in another file.
	targets []int32
}

const (
	noRef   = -1
	notHere = -2
)

// planeReader reads the values of planes.
type planeReader struct {
	planes planes
	at     [binary.MaxVarintLen64]int // how much of each plane is read
}

// next returns the values of the next column by kind.
func (c *columnReader) next() *[kinds]planeReader {
	values := new([kinds]planeReader)
	for kind := range values {
		for i := range values[kind].planes {
			part, rest, ok := cut(c.data)
			c.bad = c.bad || !ok
			values[kind].planes[i], c.data = part, rest
		}
	}
	return values
}

// take returns the next value. Its first byte is read here, which is all of most values.
func (p *planeReader) take() (int64, bool) {
	i := p.at[0]
	if i < len(p.planes[0]) && p.planes[0][i] < 0x80 {
		p.at[0]++
		v := p.planes[0][i]
		return int64(v>>1) ^ -int64(v&1), true
	}
	return p.takeLong()
}

func (p *planeReader) takeLong() (int64, bool) {
	v := uint64(0)
	for k := range p.planes {
		i := p.at[k]
		if i >= len(p.planes[k]) {
			return 0, false
		}
		p.at[k]++
		b := p.planes[k][i]
		v |= uint64(b&0x7f) << (7 * k)
		if b < 0x80 {
			return int64(v>>1) ^ -int64(v&1), true
		}
	}
	return 0, false
}

// allRead reports whether there is no further value.
func (p *planeReader) allRead() bool {
	for k := range p.planes {
		if p.at[k] != len(p.planes[k]) {
			return false
		}
	}
	return true
}

// refs reads the first column.
func (c *columnReader) refs() {
	values := &c.next()[withoutRef]
	for i := range c.batch.Refs {
		back, ok := values.take()
		if !ok {
			c.bad = true
			return
		}
		c.batch.Refs[i], c.targets[i] = 0, noRef
		if back == 0 {
			continue
		}
		seq := c.batch.First + uint64(i)
		if c.batch.Refs[i] = seq - uint64(back); c.batch.Refs[i] == 0 {
			continue
		}
		c.targets[i] = notHere
		if back > 0 && back <= int64(i) {
			c.targets[i] = int32(i) - int32(back)
		}
	}
	c.bad = c.bad || !values.allRead()
}

// readColumn reads the next column.
func readColumn[T ~uint8 | uint16 | uint32 | int64](c *columnReader, into []T, against base) {
	values, last := c.next(), T(0)
	if c.bad {
		return
	}
	without, with := &values[withoutRef], &values[withRef]
	for i, target := range c.targets {
		if target == noRef {
			v, ok := without.take()
			if !ok {
				c.bad = true
				return
			}
			if against == previous {
				last += T(v)
				into[i] = last
			} else {
				into[i] = T(v)
			}
			continue
		}
		v, ok := with.take()
		if !ok {
			c.bad = true
			return
		}
		switch {
		case against != nothing && target >= 0:
			into[i] = into[target] + T(v)
		case against == previous:
			into[i] = last + T(v)
		default:
			into[i] = T(v)
		}
	}
	c.bad = !without.allRead() || !with.allRead()
}
