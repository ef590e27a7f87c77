package metering

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

const (
	archiveSuffix = ".zst"
	manifestName  = "manifest.jsonl"
	// archiveEvery is how often segments that are full and added up are archived.
	archiveEvery = 10 * time.Second
)

// archived is a line of the manifest: a file, and how its content goes on from
// that of the line before.
type archived struct {
	File     string `json:"file"`
	First    uint64 `json:"first"` // the Seq of its first record
	Records  uint64 `json:"records"`
	SHA256   string `json:"sha256"`   // of the file
	Previous string `json:"previous"` // the SHA256 of the line before; "" for the first
}

// column is what of a record is stored beside that of the other records: what is
// alike lies together.
type column struct {
	get  func(r *Record) int64
	set  func(r *Record, v int64)
	base base
}

// base is what a value is stored as the difference to.
type base uint8

const (
	nothing  base = iota
	referred      // the record that this one is about, where there is one
	previous      // that, or else the last record that is about no other
)

// columns are all but Seq, which is the place. What a record is about comes
// first, as others need it.
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
	{func(r *Record) int64 { return int64(r.Revision) }, func(r *Record, v int64) { r.Revision = uint32(v) }, nothing},
	{func(r *Record) int64 { return r.Duration.Microseconds() }, func(r *Record, v int64) { r.Duration = time.Duration(v) * time.Microsecond }, nothing},
	{func(r *Record) int64 { return int64(r.BytesIn) }, func(r *Record, v int64) { r.BytesIn = uint64(v) }, nothing},
	{func(r *Record) int64 { return int64(r.BytesOut) }, func(r *Record, v int64) { r.BytesOut = uint64(v) }, nothing},
}

// against returns the value that the i-th record's is stored as the difference
// to. last is the column's value of the last record that is about no other.
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

// refBack is how far back the record that r is about is, 0 for none.
func refBack(r *Record) int64 {
	if r.Ref == 0 {
		return 0
	}
	return int64(r.Seq - r.Ref)
}

func setRefBack(r *Record, v int64) {
	if r.Ref = 0; v != 0 {
		r.Ref = r.Seq - uint64(v)
	}
}

// pack writes records by columns.
func pack(records []Record) []byte {
	var out []byte
	for k := range columns {
		c, last := &columns[k], int64(0)
		values := make([]byte, 0, 2*len(records))
		for i := range records {
			v := c.get(&records[i])
			values = binary.AppendVarint(values, v-c.against(records, i, last))
			if refBack(&records[i]) == 0 {
				last = v
			}
		}
		out = binary.AppendUvarint(out, uint64(len(values)))
		out = append(out, values...)
	}
	return out
}

var errArchive = errors.New("the archive is damaged")

// unpack is the reverse of pack.
func unpack(data []byte, first, n uint64) ([]Record, error) {
	if n > SegmentRecords {
		return nil, errArchive
	}
	records := make([]Record, n)
	for i := range records {
		records[i].Seq = first + uint64(i)
	}
	for k := range columns {
		c, last := &columns[k], int64(0)
		size, used := binary.Uvarint(data)
		if used <= 0 || size > uint64(len(data)-used) {
			return nil, errArchive
		}
		values := data[used : used+int(size)]
		data = data[used+int(size):]
		for i := range records {
			v, used := binary.Varint(values)
			if used <= 0 {
				return nil, errArchive
			}
			values = values[used:]
			v += c.against(records, i, last)
			c.set(&records[i], v)
			if refBack(&records[i]) == 0 {
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

// archive compresses the segments of a book that are full and kept in its sums.
func (b *book) archive(done uint64) error {
	b.archiving.Lock()
	defer b.archiving.Unlock()
	paths, err := segmentFiles(b.log.dir)
	if err != nil {
		return err
	}
	for i, path := range paths[:max(0, len(paths)-1)] {
		next, err := firstOf(paths[i+1])
		if err != nil {
			return err
		}
		if next > done+1 {
			return nil
		}
		if err := b.archiveOne(path, next); err != nil {
			return fmt.Errorf("archiving %s: %w", path, err)
		}
	}
	return nil
}

// firstOf reads the number of a segment off its name.
func firstOf(path string) (first uint64, err error) {
	name := strings.TrimSuffix(filepath.Base(path), segmentSuffix)
	_, err = fmt.Sscanf(name, "%d", &first)
	return first, err
}

// archiveOne replaces a segment, which ends before next, with its archive.
func (b *book) archiveOne(path string, next uint64) error {
	dir := filepath.Join(b.instance.dir, "archive")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	records, err := readSegment(path, next)
	if err != nil {
		return err
	}
	lines, err := readManifest(dir)
	if err != nil {
		return err
	}
	line := archived{File: fmt.Sprintf("%020d%s", records[0].Seq, archiveSuffix), First: records[0].Seq, Records: uint64(len(records))}
	if !slices.ContainsFunc(lines, func(other archived) bool { return other.First == line.First }) {
		if err := writeArchive(filepath.Join(dir, line.File), records, &line); err != nil {
			return err
		}
		if len(lines) > 0 {
			line.Previous = lines[len(lines)-1].SHA256
		}
		if err := appendManifest(dir, line); err != nil {
			return err
		}
	}
	return os.Remove(path)
}

// readSegment reads all records of a file that nobody writes any more.
func readSegment(path string, next uint64) ([]Record, error) {
	s, err := OpenSegment(path)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if next <= s.first || next > s.first+s.slots {
		return nil, fmt.Errorf("it begins with record %d, the next file with %d", s.first, next)
	}
	records := make([]Record, next-s.first)
	for i := range records {
		if records[i], err = s.At(i); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// writeArchive writes a file and reads it again before it counts.
func writeArchive(path string, records []Record, line *archived) error {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	defer encoder.Close()
	data := encoder.EncodeAll(pack(records), nil)
	again, err := decompress(data, line.First, line.Records)
	if err != nil || !slices.Equal(again, records) {
		return errors.Join(errArchive, err)
	}
	sum := sha256.Sum256(data)
	line.SHA256 = hex.EncodeToString(sum[:])
	temporary := path + ".new"
	file, err := os.Create(temporary)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return SyncDirectory(filepath.Dir(path))
}

func decompress(data []byte, first, n uint64) ([]Record, error) {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	raw, err := decoder.DecodeAll(data, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errArchive, err)
	}
	return unpack(raw, first, n)
}

// readManifest reads the lines of a manifest; one that was not finished does not
// count, and is cut off.
func readManifest(dir string) ([]archived, error) {
	file, err := os.OpenFile(filepath.Join(dir, manifestName), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var lines []archived
	whole, reader := int64(0), bufio.NewReader(file)
	for {
		text, err := reader.ReadBytes('\n')
		var line archived
		if errors.Is(err, io.EOF) || json.Unmarshal(bytes.TrimSpace(text), &line) != nil {
			return lines, file.Truncate(whole)
		}
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
		whole += int64(len(text))
	}
}

func appendManifest(dir string, line archived) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(dir, manifestName), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(append(text, '\n'))
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close(), SyncDirectory(dir))
}

// VerifyArchives reads all archives of an instance's directory and checks them
// against their manifest. It returns how many records they have.
func VerifyArchives(instanceDir string) (records uint64, err error) {
	err = eachArchive(instanceDir, func(_ *archived, r []Record) error {
		records += uint64(len(r))
		return nil
	})
	return records, err
}

// eachArchive hands over the records of the archives of an instance's directory,
// file by file, as long as they are what the manifest says.
func eachArchive(instanceDir string, visit func(*archived, []Record) error) error {
	dir := filepath.Join(instanceDir, "archive")
	lines, err := readManifest(dir)
	if err != nil {
		return err
	}
	previous := archived{}
	for _, line := range lines {
		data, err := os.ReadFile(filepath.Join(dir, filepath.Base(line.File)))
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		switch {
		case hex.EncodeToString(sum[:]) != line.SHA256:
			return fmt.Errorf("%s: %w: its hash is not that of the manifest", line.File, errArchive)
		case line.Previous != previous.SHA256:
			return fmt.Errorf("%s: %w: it does not follow %s", line.File, errArchive, previous.File)
		case previous.File != "" && line.First != previous.First+previous.Records:
			return fmt.Errorf("%s: %w: record %d is missing", line.File, errArchive, previous.First+previous.Records)
		}
		records, err := decompress(data, line.First, line.Records)
		if err == nil {
			err = visit(&line, records)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", line.File, err)
		}
		previous = line
	}
	return nil
}
