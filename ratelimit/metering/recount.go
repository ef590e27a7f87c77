package metering

import (
	"fmt"
	"path/filepath"
	"runtime"
)

// Recounted is what one log says when all of it is read again.
type Recounted struct {
	Instance string
	Last     uint64 // the number of the last record that was read, of Records
	Records  uint64
	Damage   error // the first that is wrong with the files; nil: nothing
	Read     []Usage
	Kept     []Usage // the sums that are in use, up to the same record
}

// Recount reads the logs again, archives and all, and adds them up anew. Each
// record is handed to also, which may be nil.
func (l *Ledger) Recount(also func(instance string, r *Record)) ([]Recounted, error) {
	l.mu.Lock()
	logs := l.logs()
	l.mu.Unlock()
	all := make([]Recounted, 0, len(logs))
	for _, b := range logs {
		r, err := l.recount(b, also)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

func (l *Ledger) recount(b *instanceLog, also func(instance string, r *Record)) (Recounted, error) {
	b.archiving.Lock() // files stay where they are
	defer b.archiving.Unlock()
	l.mu.Lock()
	_, err := b.log.each(b.projection.add)
	r := Recounted{Instance: b.instance.id, Last: b.projection.last, Kept: b.usage()}
	l.mu.Unlock()
	if err != nil {
		return r, err
	}
	again := &instanceLog{instance: b.instance, dictionary: b.dictionary, projection: newProjection(b.dictionary.lookup)}
	r.Damage = b.readAll(r.Last, func(_ *logFile, record *Record) error {
		if r.Records++; record.Seq != r.Records {
			return fmt.Errorf("record %d is missing: %d comes next", r.Records, record.Seq)
		}
		again.projection.add(record)
		if also != nil {
			also(b.instance.id, record)
		}
		return nil
	})
	r.Read = again.usage()
	return r, nil
}

// logFile is a file that records are in.
type logFile struct {
	name   string
	sha256 string // by the manifest; "" for a segment, which is in none
}

// readAll hands over the records of a log from the first one on, to the last,
// with the files that they are in.
func (b *instanceLog) readAll(last uint64, visit func(*logFile, *Record) error) error {
	archivedTo := uint64(0)
	err := eachArchive(b.instance.dir, func(line *archived, records []Record) error {
		from := &logFile{name: filepath.Join("archive", line.File), sha256: line.SHA256}
		for i := range records {
			if err := visit(from, &records[i]); err != nil {
				return err
			}
			archivedTo = records[i].Seq
		}
		return nil
	})
	if err != nil {
		return err
	}
	paths, err := segmentFiles(b.log.dir)
	if err != nil {
		return err
	}
	for i, path := range paths {
		end := last
		if i+1 < len(paths) {
			next, err := firstOf(paths[i+1])
			if err != nil {
				return err
			}
			end = min(last, next-1)
		}
		if err := readFile(path, archivedTo, end, visit); err != nil {
			return err
		}
	}
	return nil
}

// readFile hands over the records of a segment that come after one and not after
// another.
func readFile(path string, after, last uint64, visit func(*logFile, *Record) error) error {
	from := &logFile{name: filepath.Join("wal", filepath.Base(path))}
	s, err := OpenSegment(path)
	if err != nil {
		return err
	}
	defer s.Close()
	for seq := max(s.first, after+1); seq <= last; seq++ {
		record, err := s.At(int(seq - s.first))
		if err != nil {
			return err
		}
		if err := visit(from, &record); err != nil {
			return fmt.Errorf("segment %s: %w", path, err)
		}
	}
	return nil
}

// Position tells how far the log of this process is.
type Position struct {
	Instance string
	Begun    uint64 // the last record that was there when the log was opened
	Last     uint64 // the last record
	Deferred int    // see Ledger.Deferred
}

// Position returns the end of the log. All records up to it are written when it
// returns.
func (l *Ledger) Position() Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := Position{Instance: l.Instance(), Begun: l.begun, Deferred: l.deferredCount()}
	s := l.own.log.active.Load()
	p.Last = s.first + min(s.taken.Load(), s.length()) - 1
	for {
		read, err := l.own.log.each(l.own.projection.add)
		if read >= p.Last || err != nil { // who reads the log again meets the error too
			return p
		}
		runtime.Gosched() // an append is between its two steps
	}
}
