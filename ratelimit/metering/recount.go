package metering

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// Recounted compares the sums in use of an instance log with those that all of its
// records add up to.
type Recounted struct {
	Instance string
	Last     uint64  // the number of the last record
	Records  uint64  // how many records were read, without those that are lost
	Lost     Lost    // the others: their units are in Kept alone
	Damage   error   // the first defect in the files; nil: none
	Read     []Usage // the sums of the records that were read
	Kept     []Usage // the sums in use, up to Last
}

// Recount reads all records of this process's instance logs, with the archives, and
// adds them up anew. It calls visit with each record; visit may be nil.
func (l *Ledger) Recount(visit func(instance string, r *Record)) ([]Recounted, error) {
	l.mu.Lock()
	logs := l.logs()
	l.mu.Unlock()
	all := make([]Recounted, 0, len(logs))
	for _, b := range logs {
		r, err := l.recount(b, visit)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

func (l *Ledger) recount(b *instanceLog, visit func(instance string, r *Record)) (Recounted, error) {
	b.archiving.Lock() // files stay where they are
	defer b.archiving.Unlock()
	l.mu.Lock()
	_, err := b.log.each(b.projection.add)
	r := Recounted{Instance: b.instance.id, Last: b.projection.last, Kept: b.usage()}
	l.mu.Unlock()
	if err != nil {
		return r, err
	}
	again := &instanceLog{instance: b.instance, dictionary: b.dictionary, projection: newProjection(b.dictionary)}
	r.Damage = b.readAll(r.Last, func(_ *logFile, record *Record) error {
		if err := again.projection.follows(record); err != nil {
			return err
		}
		again.projection.add(record)
		if !record.isLost() {
			r.Records++
		}
		if visit != nil {
			visit(b.instance.id, record)
		}
		return nil
	})
	r.Read, r.Lost = again.usage(), again.projection.lost
	return r, nil
}

// Verify reads all files of the ledger while it is in use, and returns all that is
// damaged, and how many records were read. Calls do not wait for it.
func (l *Ledger) Verify() (found []Finding, records uint64, err error) {
	if away := l.InPlace(); Displaced(away) {
		return []Finding{l.displaced(away)}, 0, nil // what is there may be of others
	}
	l.mu.Lock()
	logs := l.logs()
	l.mu.Unlock()
	for _, b := range logs {
		of, n, err := l.verifyLog(b)
		if err != nil {
			return found, records, err
		}
		found, records = append(found, of...), records+n
	}
	for _, name := range inspected {
		f, err := inspectDatabase(filepath.Join(l.config.Dir, name), slices.Contains(l.own.checkpoint.known(), name), false)
		if err != nil {
			return found, records, err
		}
		found = append(found, f...)
	}
	gone, err := inspectLogs(l.config.Dir, false)
	return append(append(found, gone...), inspectIdentity(l.config.Dir, false)...), records, err
}

// displaced is the finding that files of the ledger are not in their place.
func (l *Ledger) displaced(why error) Finding {
	f := spot(l.config.Dir, -1, why.Error()).mending(durable.Mending)
	for i := range l.places {
		if l.places[i].Check() != nil {
			f.File = l.places[i].Path
			break
		}
	}
	if cut := (*os.PathError)(nil); errors.Is(why, ErrCut) && errors.As(why, &cut) {
		f.File = cut.Path
	}
	for _, cause := range []causeError{ErrGone, ErrReplaced, ErrRemoved, ErrCut} {
		if errors.Is(why, cause) {
			f.What, f.Remedy, _ = strings.Cut(string(cause), ": ")
		}
	}
	return f
}

// verifyLog says what is damaged in an instance log in use: what Verify of a directory
// says, and where the files are whole, which sums are not those of the records.
func (l *Ledger) verifyLog(b *instanceLog) (found []Finding, records uint64, err error) {
	r := &recovery{dir: b.instance.dir, live: b, kept: newProjection(newDictionary())}
	b.archiving.Lock() // files stay where they are
	l.mu.Lock()
	_, readErr := b.log.each(b.projection.add)
	r.last, r.active = b.projection.last, b.checkpoint.active
	l.mu.Unlock()
	err = r.files()
	b.archiving.Unlock()
	if err != nil || len(r.found) > 0 {
		return r.found, r.read, err
	}
	if readErr != nil {
		return nil, r.read, readErr
	}
	again, err := l.recount(b, nil)
	if err != nil {
		return nil, r.read, err
	}
	return l.verifySums(&again), again.Records, nil
}

// liveCheckpoint is checkpoint of a log that this process has.
func (r *recovery) liveCheckpoint(path string) error {
	places, err := r.live.checkpoint.db.Verify()
	if err != nil {
		return err
	}
	var found []Finding
	for _, p := range places {
		found = append(found, spot(path, p.Offset, p.What))
	}
	if len(found) > 0 {
		return r.newCheckpoint(found)
	}
	r.names, err = r.live.checkpoint.names()
	return err
}

// lostAfter returns the lost records after a number. It passes over what it cannot read.
func (r *recovery) lostAfter(after uint64) (lost Lost) {
	note := func(record *Record) {
		if record.isLost() && record.Seq > after {
			lost.add(record.Seq)
		}
	}
	dir := r.path("archive")
	lines, _ := readManifest(dir) // an error of archives
	for _, line := range lines {
		if line.First+line.Records <= after+1 {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, line.File))
		if err != nil {
			continue
		}
		records, _ := decompress(data, line.First, line.Records)
		for i := range records {
			note(&records[i])
		}
	}
	paths, _ := segmentFiles(r.path("wal")) // an error of segments
	for _, path := range paths {
		first, err := firstOf(path)
		data, readErr := os.ReadFile(path)
		if errors.Join(err, readErr) != nil {
			continue
		}
		for at := headerSize; at+RecordSize <= len(data); at += RecordSize {
			var record Record
			if record.decode(data[at:]) == nil && record.Seq == first+uint64(at-headerSize)/RecordSize {
				note(&record)
			}
		}
	}
	return lost
}

// unaccounted tells of lost records that come after those in the checkpoint. What is mended
// is that the ledger opens without their units.
func (r *recovery) unaccounted(path string) error {
	lost := r.lostAfter(max(r.last, r.accepted))
	if len(lost) == 0 {
		return nil
	}
	f := spot(path, -1, sumsLost(lost)).sumless(lost)
	if r.mend {
		if err := acceptLost(path, lost.last()); err != nil {
			return err
		}
		f = f.mended()
	}
	r.found = append(r.found, f)
	return nil
}

// sumless is a finding about a checkpoint that has not the units of lost records.
func (f Finding) sumless(lost Lost) Finding {
	f.Lost = fmt.Sprintf("the units of the records %s, which are lost too", lost)
	f.Remedy = "restore it from the latest copy; without one, " + durable.Mending + ", after which the sums are without these units"
	f.done = "the sums are without these units"
	return f
}

// asFinding returns an error about a file as a finding.
func asFinding(err error, path string) Finding {
	if damage := (*durable.DamageError)(nil); errors.As(err, &damage) {
		return spot(damage.File, damage.Offset, damage.What).mending(durable.Mending)
	}
	return spot(path, -1, err.Error()).mending(durable.Mending)
}

// verifySums compares the sums in use with those of all records.
func (l *Ledger) verifySums(r *Recounted) (found []Finding) {
	dir := filepath.Join(l.config.Dir, "inst", r.Instance)
	if r.Damage != nil {
		return []Finding{asFinding(r.Damage, dir)}
	}
	if len(r.Lost) > 0 { // the sums have more than the records that are left
		return nil
	}
	kept, read := sumsByName(r.Kept), sumsByName(r.Read)
	for i := range r.Read { // old hours are not kept
		if u := &r.Read[i]; u.Span == Monthly && kept[u.name()] == nil {
			kept[u.name()] = new(Sums)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(kept)) {
		has, sums := kept[name], cmp.Or(read[name], new(Sums))
		if has.same(sums) {
			continue
		}
		found = append(found, Finding{
			File:   filepath.Join(dir, checkpointName),
			Offset: -1,
			What: fmt.Sprintf("for %s it has %d invocations and %d adjusted, the records %d and %d",
				name, has.Invocations, has.Adjusted(), sums.Invocations, sums.Adjusted()),
			Remedy: durable.Mending,
		})
	}
	return found
}

// sumsByName adds up sums that have the same name.
func sumsByName(all []Usage) map[string]*Sums {
	byName := make(map[string]*Sums, len(all))
	for i := range all {
		sums := byName[all[i].name()]
		if sums == nil {
			sums = new(Sums)
			byName[all[i].name()] = sums
		}
		sums.add(&all[i].Sums)
	}
	return byName
}

// name tells which sum it is. An hour in which an older build was replaced by this one,
// or in which the ledger changed, has several.
func (u *Usage) name() string {
	return fmt.Sprintf("%s, %s/%s in %q, cycle %d %s, ledger %s v%d, %c from %s on", u.Organization, u.Project, u.Function, u.Region,
		unixOrZero(u.Cycle.Anchor), u.Cycle.zone(), u.Origin.Ledger, u.Origin.Form, u.Span, u.Start.Format(time.RFC3339))
}

// logFile is a file with records: an archive or a segment.
type logFile struct {
	name   string
	sha256 string // from the manifest; "" for a segment
}

// readAll calls visit with all records of an instance log up to last, in order, and
// the file that each is in.
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

// readFile calls visit with the records of a segment after the record after, up to
// last.
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
	s := l.own.log.last()
	p.Last = s.first + min(s.taken.Load(), s.length()) - 1
	for {
		read, err := l.own.log.each(l.own.projection.add)
		if read >= p.Last || err != nil { // reading the log again meets the error too
			return p
		}
		runtime.Gosched() // an append has reserved its slot and not written it yet
	}
}
