package metering

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// Finding is a place in the directory of a ledger that is not what was written.
type Finding struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"` // in bytes; -1 if it is the file as a whole
	What   string `json:"what"`
	Remedy string `json:"remedy"`
	Lost   string `json:"lost,omitempty"`   // what cannot be made again
	Kept   string `json:"kept,omitempty"`   // where Recover keeps the file as it was
	Mended bool   `json:"mended,omitempty"` // by Recover; it may be that a part is lost

	done string // Remedy once it is mended
}

// mended is the finding once Recover has done what can be done.
func (f Finding) mended() Finding {
	f.Mended, f.Remedy = true, f.done
	switch {
	case f.Remedy == "" && f.Lost == "":
		f.Remedy = "it is mended"
	case f.Remedy == "":
		f.Remedy = "what is whole is kept"
	}
	return f
}

// Verify reads the whole directory of a ledger that no process uses, and returns
// all that is damaged. The error is ErrLocked if a process uses it, and a *NoLedgerError
// if it has no ledger.
func Verify(dir string) ([]Finding, error) {
	found, _, err := inspect(dir, false, nil)
	return found, err
}

// VerifySums is Verify, and if nothing is damaged it returns the sums of all records, and
// the logs that they are of: not of one from which records were lost, nor of one that
// another gateway may have written on. records is how many were read.
func VerifySums(dir string) (found []Finding, records uint64, sums []Usage, logs []string, err error) {
	_, notShared := os.Stat(filepath.Join(dir, sharedName))
	found, records, err = inspect(dir, false, func(b *instanceLog) {
		// Of a copied log Redis may have more, and so may lines.
		here, place, err := readPlace(b.instance.dir)
		if copied := err == nil && place != "" && place != here; copied && notShared == nil {
			return
		}
		sums, logs = append(sums, b.usage()...), append(logs, b.instance.id)
	})
	return found, records, sums, logs, err
}

// Recover mends what can be mended in the directory of a ledger that no process uses:
// names from the checkpoint, and the checkpoint's sums, at the next Open, from the
// records. Each damaged file is kept under another name. It returns what it found; a
// second call finds only what it cannot mend.
func Recover(dir string) ([]Finding, error) {
	found, _, err := RecoverRecords(dir)
	return found, err
}

// RecoverRecords is Recover, and returns how many records were read, too.
func RecoverRecords(dir string) ([]Finding, uint64, error) { return inspect(dir, true, nil) }

// recovery is Verify or Recover of one instance log.
type recovery struct {
	mend  bool
	dir   string // of the instance log
	found []Finding

	names    []entry            // of the dictionary, from the checkpoint; nil without one
	known    []string           // the databases that there are, from the checkpoint
	counted  func(*instanceLog) // called with the sums of all records if nothing was lost; may be nil
	kept     *projection        // the sums in the checkpoint; nil without one
	last     uint64             // the last record in them
	accepted uint64             // the last lost record without whose units they may be
	active   uint64             // the first record of the segment that was in use
	next     uint64             // the record that comes after the archives
	entries  *dictionary        // the names

	live *instanceLog // set while a process has the log: records after last may be half written
	read uint64       // how many whole records there are, without those that are lost
}

func inspect(dir string, mend bool, counted func(*instanceLog)) (found []Finding, records uint64, err error) {
	if err := checkLedger(dir); err != nil {
		return nil, 0, err
	}
	var known []string // the databases that logs say there are
	paths, err := durable.Entries(filepath.Join(dir, "inst"), "")
	if err != nil {
		return found, records, err
	}
	for _, path := range paths {
		i, err := lockInstance(path)
		if err != nil {
			return found, records, err
		}
		r := &recovery{mend: mend, dir: path, counted: counted}
		err = errors.Join(r.run(), i.close())
		found, known, records = append(found, r.found...), append(known, r.known...), records+r.read
		if err != nil {
			return found, records, err
		}
	}
	for _, name := range inspected {
		f, err := inspectDatabase(filepath.Join(dir, name), slices.Contains(known, name), mend)
		found = append(found, f...)
		if mend && len(f) > 0 && name != "quotas.db" {
			err = errors.Join(err, ForgetTold(dir))
		}
		if err != nil {
			return found, records, err
		}
	}
	gone, err := inspectLogs(dir, mend)
	return append(append(found, gone...), inspectIdentity(dir, mend)...), records, err
}

// finding notes one, and mends it with fix after the file was set aside. The file may
// be missing.
func (r *recovery) finding(f Finding, fix func() error) error { return r.findings([]Finding{f}, fix) }

// findings is finding of several in one file.
func (r *recovery) findings(all []Finding, fix func() error) (err error) {
	kept, path := "", all[0].File
	if r.mend && fix != nil {
		if _, statErr := os.Stat(path); statErr == nil { //nolint:gosec // a file of the directory that is to be mended
			kept, err = durable.SetAside(path)
		}
		if err == nil {
			err = fix()
		}
	}
	for _, f := range all {
		f.Kept, f.Remedy = kept, cmp.Or(f.Remedy, durable.Mending)
		if r.mend && fix != nil && err == nil {
			f = f.mended()
		}
		r.found = append(r.found, f)
	}
	return err
}

func (r *recovery) path(names ...string) string {
	return filepath.Join(append([]string{r.dir}, names...)...)
}

// files looks at each file.
func (r *recovery) files() error {
	for _, look := range []func() error{r.checkpoint, r.dictionary, r.archives, r.segments} {
		if err := look(); err != nil {
			return err
		}
	}
	return nil
}

func (r *recovery) run() error {
	if err := r.files(); err != nil {
		return err
	}
	if len(r.found) > 0 && !r.mend {
		return nil // what follows needs whole files
	}
	return r.records()
}

// checkpoint loads the checkpoint, which has the last record and the names.
func (r *recovery) checkpoint() error {
	path := r.path(checkpointName)
	if r.live != nil {
		return r.liveCheckpoint(path)
	}
	places, err := bbolt.Verify(path, checkpointWait)
	if err != nil {
		return err
	}
	var found []Finding
	for _, p := range places {
		found = append(found, spot(path, p.Offset, p.What))
	}
	if !there(path) && hasRecords(r.dir) {
		found = append(found, spot(path, -1, bbolt.Missing))
	}
	if len(found) > 0 {
		return r.newCheckpoint(found)
	}
	if !there(path) {
		return nil
	}
	// A copy is opened, since opening a checkpoint notes in which start of the machine.
	temporary, err := os.MkdirTemp("", "checkpoint-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(filepath.Join(temporary, checkpointName), data, 0o600) //nolint:gosec // a directory of its own, and a constant name
	}
	if err != nil {
		return err
	}
	kept := newProjection(newDictionary())
	c, err := tryCheckpoint(filepath.Join(temporary, checkpointName), kept)
	if damage := (*durable.DamageError)(nil); errors.As(err, &damage) {
		return r.newCheckpoint([]Finding{spot(path, -1, damage.What)})
	}
	if err != nil {
		return err
	}
	r.kept, r.last, r.active, r.accepted = kept, kept.last, c.active, c.accepted
	r.known = c.known()
	r.names, err = c.names()
	if err = errors.Join(err, c.close()); err != nil {
		return err
	}
	return r.unaccounted(path)
}

// sumsAgain says what becomes of a checkpoint that is not whole.
const sumsAgain = "its sums are made again of the records when the gateway starts"

// newCheckpoint begins a checkpoint without sums.
func (r *recovery) newCheckpoint(found []Finding) error {
	for i := range found {
		found[i].Remedy, found[i].done = cmp.Or(found[i].Remedy, sumsAgain), sumsAgain
	}
	if lost := r.lostAfter(0); len(lost) > 0 {
		for i := range found {
			found[i] = found[i].sumless(lost)
		}
	}
	return r.findings(found, func() error {
		db, err := bbolt.Open(found[0].File, 0o600, &bbolt.Options{Timeout: checkpointWait})
		if err != nil {
			return err
		}
		return db.Close()
	})
}

// dictionary reads the names, and makes lines that are damaged or missing again of the
// checkpoint.
func (r *recovery) dictionary() error {
	path := r.path(dictionaryName)
	r.entries = newDictionary()
	err := r.entries.load(path)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	var damage *durable.DamageError
	switch {
	case errors.As(err, &damage):
		return r.newDictionary(Finding{File: path, Offset: damage.Offset, What: damage.What})
	case err != nil:
		return err
	case len(r.entries.entries) < len(r.names):
		what := fmt.Sprintf("it has %d lines, and %s has %d", len(r.entries.entries), checkpointName, len(r.names))
		return r.newDictionary(Finding{File: path, Offset: r.entries.size, What: what})
	}
	return nil
}

// newDictionary writes all lines again.
func (r *recovery) newDictionary(f Finding) error {
	text, err := os.ReadFile(f.File)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	var entries []entry
	lost := 0
	for i := range max(len(lines), len(r.names)) {
		var e entry
		switch {
		case i < len(r.names):
			e = r.names[i]
		case decodeLine([]byte(lines[i]), &e):
		case i == len(lines)-1 && !strings.HasSuffix(string(text), "\n"):
			continue // it was never in use, or records will be found to refer to it
		default:
			lost++
			e = lostEntry(lines[i], i)
		}
		entries = append(entries, e)
	}
	if lost > 0 {
		f.Lost = fmt.Sprintf("%d names: their invocations are counted under no name", lost)
	}
	r.entries = newDictionary()
	for _, e := range entries {
		r.entries.take(e)
	}
	return r.finding(f, func() error { return writeDictionary(f.File, entries) })
}

// lostEntry stands for a line that nobody can read, so that the numbers after it stay.
func lostEntry(text string, i int) entry {
	switch {
	case strings.Contains(text, `"region"`):
		return entry{Region: fmt.Sprintf("lost-%d", i)}
	case strings.Contains(text, `"note"`):
		return entry{Note: &note{Reason: "lost"}}
	}
	return entry{Lost: true}
}

// records reads all records from the first on, and compares what they refer to and add
// up to with the dictionary and the checkpoint.
func (r *recovery) records() error {
	b := &instanceLog{instance: &instance{dir: r.dir}, dictionary: r.entries, log: &log{dir: r.path("wal")}}
	all, again := newProjection(r.entries), newProjection(r.entries)
	end, err := lastRecord(r.path("wal"), r.last)
	if err != nil {
		return err
	}
	err = b.readAll(end, func(from *logFile, record *Record) error {
		if record.Seq != all.last+1 {
			return fmt.Errorf("the records %d to %d are missing", all.last+1, record.Seq-1)
		}
		all.add(record)
		if record.Seq <= r.last {
			again.add(record)
		}
		return nil
	})
	if err != nil {
		return r.finding(spot(r.dir, -1, err.Error()).mending("restore the files from a copy; the sums are not changed by this"), nil)
	}
	if what := r.entries.missing(all.highest, all.regions, all.notes); what != "" {
		entries := r.entries.entries
		for range max(0, int(all.highest)-len(r.entries.subjects)) {
			entries = append(entries, entry{Lost: true})
		}
		for i := len(r.entries.regions); i < int(all.regions); i++ {
			entries = append(entries, entry{Region: fmt.Sprintf("lost-%d", i)})
		}
		for range max(0, int(all.notes)-len(r.entries.notes)) {
			entries = append(entries, entry{Note: &note{Reason: "lost"}})
		}
		f := spot(r.path(dictionaryName), r.entries.size, what).losing("the names: the invocations are counted, under none")
		if err := r.finding(f, func() error { return writeDictionary(f.File, entries) }); err != nil {
			return err
		}
	}
	if lost := all.lost.last(); r.mend && lost > max(r.accepted, again.lost.last()) { // which was told
		if err := acceptLost(r.path(checkpointName), lost); err != nil {
			return err
		}
	}
	if len(all.lost) > 0 || !r.mend && len(r.found) > 0 {
		return nil
	}
	if r.counted != nil {
		r.counted(&instanceLog{instance: &instance{id: filepath.Base(r.dir), dir: r.dir}, dictionary: r.entries, projection: all})
	}
	if r.kept == nil {
		return nil
	}
	return r.compare(again)
}

// compare compares the sums in the checkpoint with those of all records.
func (r *recovery) compare(again *projection) error {
	for key := range again.sums { // old hours are not kept
		if r.kept.sums[key] == nil && key.span == Monthly {
			r.kept.sums[key] = new(tally)
		}
	}
	for _, key := range slices.SortedFunc(sumKeys(r.kept.sums), compareKeys) {
		var sums Sums
		if t := again.sums[key]; t != nil {
			sums = t.Sums
		}
		if kept := r.kept.sums[key].Sums; !kept.same(&sums) {
			s := r.entries.lookup(key.subject)
			return r.newCheckpoint([]Finding{spot(r.path(checkpointName), -1, fmt.Sprintf("for %s, %s/%s in %s, from %s on, it has %d invocations and %d adjusted, the records %d and %d",
				s.Organization, s.Project, s.Function, r.entries.regionName(key.region), time.Unix(key.start, 0).UTC().Format(time.RFC3339),
				kept.Invocations, kept.Adjusted(), sums.Invocations, sums.Adjusted())).mending(durable.Mending)})
		}
	}
	return nil
}
