package metering

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// RecordFile is a file with records of an instance log: an archive, or a segment that was
// not archived yet.
type RecordFile struct {
	Path  string
	First uint64 // the Seq of its first record
	Next  uint64 // that of the file after it; 0 for the last one

	sha256  string // of an archive, from the manifest; "" if that does not have it
	archive bool
}

// recordFiles returns the files of an instance log, in order, and what is wrong with their
// list. It needs no lock: a segment that is archived meanwhile is found all the same.
func recordFiles(instanceDir string) (files []RecordFile, found []Finding) {
	dir := filepath.Join(instanceDir, "archive")
	paths, err := segmentFiles(filepath.Join(instanceDir, "wal")) // first: what becomes an archive now is in both lists
	if err != nil {
		found = append(found, asFinding(err, filepath.Join(instanceDir, "wal")))
	}
	lines, err := readManifest(dir)
	known := make(map[uint64]bool)
	for _, line := range lines {
		known[line.First] = true
		files = append(files, RecordFile{
			Path:    filepath.Join(dir, line.File),
			First:   line.First,
			Next:    line.First + line.Records,
			sha256:  line.SHA256,
			archive: true,
		})
	}
	if err != nil { // the rest is known by the names of the files alone
		found = append(found, asFinding(err, filepath.Join(dir, manifestName)))
		archives, err := durable.Entries(dir, archiveSuffix)
		if err != nil {
			found = append(found, asFinding(err, dir))
		}
		files = addFiles(files, archives, archiveSuffix, known)
	}
	files = addFiles(files, paths, segmentSuffix, known)
	slices.SortFunc(files, func(a, b RecordFile) int { return cmp.Compare(a.First, b.First) })
	for i := range files[:max(0, len(files)-1)] {
		f, next := &files[i], files[i+1].First
		if f.Next != 0 && f.Next < next {
			found = append(found, spot(f.Path, -1, fmt.Sprintf("the file after it is missing: records %d to %d", f.Next, next-1)).mending(durable.Mending))
		}
		if f.Next == 0 {
			f.Next = next
		}
	}
	return files, found
}

// addFiles adds those of the files whose first record is not known, and makes it known.
func addFiles(files []RecordFile, paths []string, suffix string, known map[uint64]bool) []RecordFile {
	for _, path := range paths {
		first, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(path), suffix), 10, 64)
		if err == nil && !known[first] {
			known[first] = true
			files = append(files, RecordFile{Path: path, First: first, archive: suffix == archiveSuffix})
		}
	}
	return files
}

// RecordLog is an instance log whose records can be read while it is written. Nothing waits
// for its readers: they hold no lock of the ledger while they read, and files that are
// archived meanwhile are found in their new place.
type RecordLog struct {
	Instance string // the id of the log

	dir   string
	names *dictionary
}

// RecordLogs returns the instance logs of this process: its own, and those that it took over.
func (l *Ledger) RecordLogs() []RecordLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	logs := make([]RecordLog, 0, 1+len(l.orphans))
	for _, b := range l.logs() {
		logs = append(logs, RecordLog{Instance: b.instance.id, dir: b.instance.dir, names: b.dictionary})
	}
	return logs
}

// Files returns the files with the records of the log, in order, and what is wrong with
// their list.
func (r *RecordLog) Files() ([]RecordFile, []Finding) { return recordFiles(r.dir) }

// Subject returns the function behind a number in a record, the zero Subject if there is none.
func (r *RecordLog) Subject(number uint32) Subject { return r.names.lookup(SubjectID(number)) }

// Region returns the name behind the number of a region, "" if there is none.
func (r *RecordLog) Region(number uint16) string { return r.names.regionName(number) }

// Subjects returns all that the log has ever had.
func (r *RecordLog) Subjects() []Subject { return r.names.all() }

// Regions returns the names of all regions that the log has ever had.
func (r *RecordLog) Regions() []string {
	r.names.mu.Lock()
	defer r.names.mu.Unlock()
	return slices.Clone(r.names.regions[1:])
}

// Read reads the records of the file from a number on. full says that a later file has
// records: all of this one's were written then. It returns what is wrong with the file;
// the batch has what can be read.
func (f *RecordFile) Read(b *Batch, from uint64, full bool) []Finding {
	b.resize(f.First, 0)
	if f.archive {
		return f.readArchive(b)
	}
	found, err := f.readSegment(b, max(from, f.First), full)
	if errors.Is(err, fs.ErrNotExist) { // it was archived since it was listed
		dir := filepath.Join(filepath.Dir(filepath.Dir(f.Path)), "archive")
		a := RecordFile{Path: filepath.Join(dir, archiveName(f.First)), First: f.First, Next: f.Next}
		lines, _ := readManifest(dir) // its damage is found when files are listed
		for _, line := range lines {
			if line.First == a.First {
				a.Next, a.sha256 = line.First+line.Records, line.SHA256
			}
		}
		return a.readArchive(b)
	}
	if err != nil {
		found = append(found, asFinding(err, f.Path))
	}
	return found
}

const (
	// readSlots is how many slots of a segment are read at once: 1 MiB.
	readSlots = 1 << 14
	// settleTries and settleWait bound the wait for records that are being written while
	// they are read, of which there are at most settleMost.
	settleTries = 5
	settleWait  = 2 * time.Millisecond
	settleMost  = 1024
)

// readSegment reads the slots of a segment from a number on, up to the last one that was
// written. The file is read and not mapped: if it is cut meanwhile, that is an error.
func (f *RecordFile) readSegment(b *Batch, from uint64, full bool) (found []Finding, err error) {
	file, err := os.Open(f.Path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	header := make([]byte, headerSize)
	if _, err := file.ReadAt(header, 0); err != nil {
		return nil, &durable.DamageError{File: f.Path, What: fmt.Sprintf("reading its header: %v", err)}
	}
	slots := binary.LittleEndian.Uint64(header[16:])
	if !bytes.Equal(header[:len(magic)], magic) || binary.LittleEndian.Uint32(header[60:]) != headerChecksum(header) ||
		binary.LittleEndian.Uint64(header[8:]) != f.First || slots > SegmentRecords {
		// The records have checksums of their own.
		found = append(found, spot(f.Path, 0, "its header is not what was written").mending(durable.Mending))
		slots = SegmentRecords
		if info, err := file.Stat(); err == nil {
			slots = min(slots, uint64(max(0, info.Size()-headerSize))/RecordSize)
		}
	}
	if f.Next != 0 {
		slots = min(slots, f.Next-f.First)
	}
	from -= f.First
	if from >= slots {
		return found, nil
	}
	b.resize(f.First+from, 0)
	n, err := b.readSlots(file, from, int(slots-from), full)
	if err != nil {
		found = append(found, asFinding(&durable.DamageError{File: f.Path, Offset: int64(headerSize + (from+uint64(n))*RecordSize), What: err.Error()}, f.Path))
	}
	end := n
	for !full && end > 0 && b.Types[end-1] == 0 {
		end--
	}
	for tries := 0; tries < settleTries && b.rereadGaps(file, from, end); tries++ {
		time.Sleep(settleWait)
	}
	found = append(found, b.gaps(f.Path, from, end)...)
	for end > 0 && b.Types[end-1] == 0 {
		end--
	}
	b.Types = b.Types[:end]
	return found, nil
}

// readSlots reads n slots of a segment from one on, and returns how many it read. Unless the
// segment is full, it stops where nothing was written for a long way.
func (b *Batch) readSlots(file *os.File, from uint64, n int, full bool) (int, error) {
	b.buffer = sized(b.buffer, readSlots*RecordSize)
	for at := 0; at < n; at += readSlots {
		size := min(readSlots, n-at)
		b.extend(at + size)
		got, err := file.ReadAt(b.buffer[:size*RecordSize], int64(headerSize+(from+uint64(at))*RecordSize))
		written := false
		for i := range got / RecordSize {
			b.read(at+i, b.buffer[i*RecordSize:])
			written = written || b.Types[at+i] != 0
		}
		switch {
		case got < size*RecordSize:
			return at + got/RecordSize, fmt.Errorf("the file ends here: %w", err)
		case !written && !full:
			return at, nil
		}
	}
	return n, nil
}

// rereadGaps reads those of the first n slots again that could not be read or were not
// written. It reports whether there are still some that may be written soon.
func (b *Batch) rereadGaps(file *os.File, from uint64, n int) (left bool) {
	slot, looked := make([]byte, RecordSize), 0
	for i, t := range b.Types[:n] {
		if t != 0 && t != TypeUnreadable {
			continue
		}
		if looked++; looked > settleMost {
			return false // that is damage
		}
		if _, err := file.ReadAt(slot, int64(headerSize+(from+uint64(i))*RecordSize)); err == nil {
			b.read(i, slot)
		}
		left = left || b.Types[i] == 0 || b.Types[i] == TypeUnreadable
	}
	return left
}

// gaps returns a finding if some of the first n records cannot be read.
func (b *Batch) gaps(path string, from uint64, n int) []Finding {
	var bad Lost
	for i, t := range b.Types[:n] {
		if t == 0 || t == TypeUnreadable {
			bad.add(b.First + uint64(i))
		}
	}
	if len(bad) == 0 {
		return nil
	}
	offset := int64(headerSize + (from+bad[0].First-b.First)*RecordSize)
	what := fmt.Sprintf("record %d cannot be read", bad[0].First)
	if n := bad.Count(); n > 1 {
		what = fmt.Sprintf("%d records cannot be read, the first is record %d", n, bad[0].First)
	}
	return []Finding{spot(path, offset, what).mending(durable.Mending)}
}

// largestArchive bounds what an archive may hold, in bytes: eleven bytes a value at most.
const largestArchive = 256 << 20

func (f *RecordFile) readArchive(b *Batch) []Finding {
	err := b.load(f.Path)
	if err == nil && f.sha256 != "" {
		if sum := sha256.Sum256(b.file); hex.EncodeToString(sum[:]) != f.sha256 {
			err = &durable.DamageError{File: f.Path, Offset: -1, What: "its hash is not that of the manifest"}
		}
	}
	if err == nil {
		err = b.decompress(f.First, f.Next-f.First)
	}
	if err != nil {
		b.resize(f.First, 0)
		return []Finding{asFinding(err, f.Path)}
	}
	return nil
}

// load reads a whole file.
func (b *Batch) load(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err == nil {
		b.file = sized(b.file[:0], int(min(info.Size(), largestArchive)))
		_, err = io.ReadFull(file, b.file)
	}
	return err
}

// decompress is the function decompress of the file that was loaded.
func (b *Batch) decompress(first, n uint64) (err error) {
	if b.decoder == nil {
		// It needs no Close: it decompresses in one goroutine, that of the caller.
		b.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(largestArchive))
		if err != nil {
			return err
		}
	}
	if b.buffer, err = b.decoder.DecodeAll(b.file, b.buffer[:0]); err != nil {
		return fmt.Errorf("%w: %w", errArchive, err)
	}
	return b.unpack(b.buffer, first, n)
}
