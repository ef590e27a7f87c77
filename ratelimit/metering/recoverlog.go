package metering

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// archives looks at the archives and their manifest. An archive that is damaged or
// missing becomes one of lost records, so that those after it keep their numbers. The
// manifest is made again of the archives.
func (r *recovery) archives() error {
	dir := r.path("archive")
	lines, manifestErr := readManifest(dir)
	known := make(map[string]archived)
	for _, line := range lines {
		known[line.File] = line
	}
	paths, err := durable.Entries(dir, archiveSuffix)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(paths))
	for _, path := range paths {
		names = append(names, filepath.Base(path))
	}
	for name := range known {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	r.next = 1
	var again []archived
	changed := false
	for i, name := range names {
		line, ok := known[name]
		if !ok {
			line = archived{File: name}
			if _, err := fmt.Sscanf(name, "%d", &line.First); err != nil || line.File != archiveName(line.First) {
				continue // nothing of ours
			}
			if line.Records = r.recordsOf(line.First, names[i+1:]); line.Records == 0 || r.hasSegment(line.First) {
				continue // a crash came before its line was written; its segment is still there
			}
			changed = true
		}
		line.Previous = ""
		if n := len(again); n > 0 {
			line.Previous = again[n-1].SHA256
		}
		lost, err := r.archive(dir, &line)
		if err != nil {
			return err
		}
		changed = changed || lost
		again = append(again, line)
		r.next = line.First + line.Records
	}
	if manifestErr == nil && !changed {
		return nil
	}
	f := Finding{File: filepath.Join(dir, manifestName), Offset: -1, What: "it does not have all archives"}
	if damage := (*durable.DamageError)(nil); errors.As(manifestErr, &damage) {
		f.Offset, f.What = damage.Offset, damage.What
	}
	return r.finding(f, func() error { return writeManifest(f.File, again) })
}

func writeManifest(path string, lines []archived) error {
	return durable.Replace(path, 0o600, func(file *os.File) error {
		for _, line := range lines {
			line.Checksum = line.checksum()
			text, err := json.Marshal(line)
			if err == nil {
				_, err = file.Write(append(text, '\n'))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// recordsOf returns how many records an archive without a line has: up to the next file.
func (r *recovery) recordsOf(first uint64, later []string) uint64 {
	next := r.last + 1
	if paths, err := segmentFiles(r.path("wal")); err == nil && len(paths) > 0 {
		if n, err := firstOf(paths[0]); err == nil {
			next = n
		}
	}
	for _, name := range later {
		var n uint64
		if _, err := fmt.Sscanf(name, "%d", &n); err == nil {
			next = n
			break
		}
	}
	return max(next, first) - first
}

func (r *recovery) hasSegment(first uint64) bool {
	_, err := os.Stat((&log{dir: r.path("wal")}).path(first))
	return err == nil
}

// archive reads one archive and sets its hash. It reports whether it was replaced.
func (r *recovery) archive(dir string, line *archived) (lost bool, err error) {
	path, hash := filepath.Join(dir, line.File), line.SHA256
	data, err := os.ReadFile(path)
	var records []Record
	if err == nil {
		sum := sha256.Sum256(data)
		if line.SHA256 = hex.EncodeToString(sum[:]); hash != "" && hash != line.SHA256 {
			err = fmt.Errorf("%w: its hash is not that of the manifest", errArchive)
		} else {
			records, err = decompress(data, line.First, line.Records)
		}
	}
	if err == nil {
		for i := range records {
			r.count(&records[i])
		}
		return false, nil
	}
	f := spot(path, -1, err.Error()).losing(r.lostRecords(line.First, line.Records))
	return r.mend, r.finding(f, func() error { return writeArchive(path, deadRecords(line.First, line.Records), line) })
}

// count counts a record that was read.
func (r *recovery) count(record *Record) {
	if !record.isLost() {
		r.read++
	}
}

// lostRecords says what it means that records cannot be read any more.
func (r *recovery) lostRecords(first, n uint64) string {
	last := first + n - 1
	where := fmt.Sprintf("the records %d to %d: nobody can prove any more what they say", first, last)
	switch {
	case r.kept == nil:
		return where + ", and their units are missing in the sums"
	case last <= r.last:
		return where + "; their units are in the sums"
	case first > r.last:
		return where + fmt.Sprintf(", and their units, at most one each, are missing in the sums: these end at record %d", r.last)
	}
	return where + fmt.Sprintf("; the units of those after %d, at most one each, are missing in the sums", r.last)
}

// segments looks at the segments, and at those that are missing between them.
func (r *recovery) segments() error {
	dir := r.path("wal")
	paths, err := segmentFiles(dir)
	if err != nil {
		return err
	}
	if r.active >= r.next && r.active > 0 && !slices.Contains(paths, (&log{dir: dir}).path(r.active)) {
		paths = append(paths, (&log{dir: dir}).path(r.active))
		slices.Sort(paths)
	}
	next := r.next // the record that the next segment begins with
	for i, path := range paths {
		first, err := firstOf(path)
		if err != nil {
			return err
		}
		if first > next {
			if err := r.missingSegment(dir, next, first-next); err != nil {
				return err
			}
		}
		end := uint64(0) // the first record of the segment after it
		if i+1 < len(paths) {
			if end, err = firstOf(paths[i+1]); err != nil {
				return err
			}
		}
		slots, err := r.segment(path, first, end)
		if err != nil {
			return err
		}
		next = max(next, first+slots)
		if end > 0 {
			next = min(next, end)
		}
	}
	return nil
}

// missingSegment puts segments of lost records where some are missing.
func (r *recovery) missingSegment(dir string, first, n uint64) error {
	for n > 0 {
		some := min(n, SegmentRecords)
		f := spot((&log{dir: dir}).path(first), -1, "it is missing").losing(r.lostRecords(first, some))
		if err := r.finding(f, func() error { return writeSegment(f.File, deadSegment(first, some, some)) }); err != nil {
			return err
		}
		first, n = first+some, n-some
	}
	return nil
}

// segment looks at one segment, and returns how many slots it has.
func (r *recovery) segment(path string, first, end uint64) (slots uint64, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) { // the one that was in use
		slots = max(firstSegment, max(r.last+1, first)-first)
		lost := max(r.last+1, first) - first
		f := spot(path, -1, "it is missing, and was in use").losing("what was recorded after the last checkpoint, of at most five seconds; and " + r.lostRecords(first, max(lost, 1)))
		return slots, r.finding(f, func() error { return writeSegment(path, deadSegment(first, slots, lost)) })
	}
	if err != nil {
		return 0, err
	}
	var at int64
	var problem string
	header := data[:min(len(data), headerSize)]
	whole := len(header) == headerSize && string(header[:8]) == string(magic) && binary.LittleEndian.Uint32(header[60:]) == headerChecksum(header) &&
		binary.LittleEndian.Uint64(header[8:]) == first
	switch {
	case whole:
		if slots = binary.LittleEndian.Uint64(header[16:]); len(data) != headerSize+int(slots)*RecordSize {
			problem, at = fmt.Sprintf("it has %d bytes, its header says %d", len(data), headerSize+int(slots)*RecordSize), int64(len(data))
		}
	case len(data) > headerSize && (len(data)-headerSize)%RecordSize == 0:
		problem, slots = "its header is not what was written", uint64(len(data)-headerSize)/RecordSize
	case end > 0:
		problem, slots = "its header is not what was written", end-first
	default:
		problem, slots = "its header is not what was written", max(firstSegment, max(r.last+1, first)-first)
	}
	again := deadSegment(first, slots, 0)
	if len(data) > headerSize {
		copy(again[headerSize:], data[headerSize:])
	}
	lost, last := r.slots(again, first, end)
	if len(lost) == 0 && last == 0 && problem == "" {
		return slots, nil
	}
	f := Finding{File: path, Offset: at, What: problem}
	if problem == "" {
		f.Offset, f.What = int64(headerSize+(last-1)*RecordSize), "a slot that was never in use has a checksum"
	}
	if n := len(lost); n > 0 {
		f.Lost = r.lostRecords(lost[0], lost[n-1]-lost[0]+1)
		if uint64(n) < lost[n-1]-lost[0]+1 {
			f.Lost = fmt.Sprintf("%d of %s", n, f.Lost)
		}
		if problem == "" {
			f.Offset = int64(headerSize + (lost[0]-first)*RecordSize)
			f.What = fmt.Sprintf("record %d: %v", lost[0], cmp.Or(new(Record).decode(data[f.Offset:]), errTorn))
		}
	}
	if len(data) < len(again) { // nobody knows what stood in the part that is gone
		whole := first + uint64(max(0, len(data)-headerSize))/RecordSize
		f.Lost = strings.TrimPrefix(fmt.Sprintf("%s; what was recorded from record %d on and is in no checkpoint: of at most five seconds before the gateway stopped",
			f.Lost, max(whole, r.last+1)), "; ")
	}
	return slots, r.finding(f, func() error { return writeSegment(path, again) })
}

// slots puts dead records where records are not what was written, and returns their
// numbers. It empties a slot that never held one, and returns the number of that slot,
// counted from 1.
func (r *recovery) slots(data []byte, first, end uint64) (lost []uint64, emptied uint64) {
	for at := headerSize; at < len(data); at += RecordSize {
		slot, seq := data[at:at+RecordSize], first+uint64(at-headerSize)/RecordSize
		var record Record
		err := record.decode(slot)
		switch {
		case r.live != nil && seq > r.last:
			return lost, emptied // in use
		case err == nil && record.Seq == seq:
			if seq >= r.next { // otherwise an archive has it
				r.count(&record)
			}
			continue
		case errors.Is(err, errUnwritten) && (seq > r.last || r.kept == nil):
			continue // reserved when the process ended, or never in use
		case end > 0 && seq >= end:
			continue // the segment was ended early
		case seq > r.last && strings.Trim(string(slot[4:]), "\x00") == "":
			clear(slot)
			emptied = seq - first + 1
			continue
		}
		dead := deadRecords(seq, 1)[0]
		copy(slot, dead.bytes())
		lost = append(lost, seq)
	}
	return lost, emptied
}

// deadSegment returns the file of a segment whose first records are lost.
func deadSegment(first, slots, lost uint64) []byte {
	data := make([]byte, headerSize+slots*RecordSize)
	copy(data, magic)
	binary.LittleEndian.PutUint64(data[8:], first)
	binary.LittleEndian.PutUint64(data[16:], slots)
	binary.LittleEndian.PutUint64(data[24:], uint64(time.Now().UnixMicro()))
	binary.LittleEndian.PutUint32(data[60:], headerChecksum(data))
	for i, record := range deadRecords(first, lost) {
		copy(data[headerSize+i*RecordSize:], record.bytes())
	}
	return data
}

func writeSegment(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return durable.Replace(path, 0o600, func(file *os.File) error {
		_, err := file.Write(data)
		return err
	})
}

// lastRecord returns the number of the last record in the segments, at least last.
func lastRecord(dir string, last uint64) (uint64, error) {
	paths, err := segmentFiles(dir)
	if err != nil || len(paths) == 0 {
		return last, err
	}
	for _, path := range paths[max(0, len(paths)-2):] { // the last may have been prepared only
		s, err := OpenSegment(path)
		if err != nil {
			return last, err
		}
		if n := s.Prefix(); n > 0 {
			last = max(last, s.first+uint64(n)-1)
		}
		if err := s.Close(); err != nil {
			return last, err
		}
	}
	return last, nil
}

func sumKeys(sums map[sumKey]*tally) iter.Seq[sumKey] {
	return func(yield func(sumKey) bool) {
		for key := range sums {
			if !yield(key) {
				return
			}
		}
	}
}

func compareKeys(a, b sumKey) int { return slices.Compare(a.encode(), b.encode()) }

// spot is a finding at a byte of a file.
func spot(file string, offset int64, what string) Finding {
	return Finding{File: file, Offset: offset, What: what}
}

func (f Finding) mending(remedy string) Finding {
	f.Remedy = remedy
	return f
}

func (f Finding) losing(lost string) Finding {
	f.Lost = lost
	return f
}

// deadRecords are records that stand for lost ones.
func deadRecords(first, n uint64) []Record {
	records := make([]Record, n)
	for i := range records {
		records[i] = Record{
			Type:  TypeDead,
			Flags: FlagLost,
			Seq:   first + uint64(i),
			At:    time.Now().UTC().Truncate(time.Microsecond),
		}
	}
	return records
}
