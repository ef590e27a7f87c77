package metering

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// instance is the directory of an instance log. The process that writes the log
// holds the lock of the directory.
type instance struct {
	id   string // 12 hex digits, created with the directory
	dir  string
	lock *os.File

	copied   bool // another process may write it elsewhere: it is not written on
	diverged bool // it was, and its sums are nobody's
}

// errLocked says that another process holds the lock.
var errLocked = errors.New("another process has it")

// claim locks all directories without a process. The caller continues the first of
// them that is no copy, own; if there is none, own is a new directory.
func claim(dir string) (own *instance, orphans []*instance, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	if err := refuseNetwork(dir); err != nil {
		return nil, nil, err
	}
	names, err := durable.Entries(dir, "")
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		locked, err := takeInstance(name)
		switch {
		case errors.Is(err, errLocked):
		case err != nil:
			return nil, nil, errors.Join(err, closeInstances(own, orphans))
		case own == nil && !locked.copied:
			own = locked
		default:
			orphans = append(orphans, locked)
		}
	}
	for own == nil && err == nil {
		// Other processes may take over the new directory before it is locked.
		if own, err = newInstance(dir); errors.Is(err, errLocked) {
			own, err = nil, nil
		}
	}
	return own, orphans, err
}

func closeInstances(own *instance, orphans []*instance) error {
	var errs []error
	for _, i := range append(orphans, own) {
		if i != nil {
			errs = append(errs, i.close())
		}
	}
	return errors.Join(errs...)
}

func newInstance(dir string) (*instance, error) {
	var b [6]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, hex.EncodeToString(b[:]))
	if err := os.Mkdir(path, 0o700); err != nil {
		return nil, err
	}
	if err := durable.SyncDirectory(dir); err != nil {
		return nil, err
	}
	return takeInstance(path)
}

// lockInstance locks a directory. It returns errLocked if another process has it.
func lockInstance(dir string) (*instance, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(file); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", dir, err), file.Close())
	}
	return &instance{id: filepath.Base(dir), dir: dir, lock: file}, nil
}

func (i *instance) close() error { return i.lock.Close() }

// ErrLocked says that another process has the lock.
var ErrLocked = errLocked

// Lock creates a file if it does not exist and locks it. It returns ErrLocked if
// another process has the lock. The lock is released by closing it and by the end
// of the process.
func Lock(path string) (io.Closer, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(file); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
	}
	return file, nil
}

// The files in the directory of an instance log, beside its directories wal and archive.
const (
	dictionaryName = "dict.seg"
	checkpointName = "checkpoint.db"
)

// instanceLog is the log of one instance with its sums.
type instanceLog struct {
	instance   *instance
	log        *log
	dictionary *dictionary
	checkpoint *checkpoint
	projection *projection
	archiving  sync.Mutex // guards the files of segments and archives: readers hold it while they read from the start
	saved      uint64     // the last record that is in the checkpoint and in no open segment
	aside      error      // says which damaged file was set aside, and why
}

// openInstanceLog opens an instance log in the directory of a ledger with an id.
func openInstanceLog(i *instance, ledger string, now func() time.Time) (*instanceLog, error) {
	b := &instanceLog{instance: i}
	var err error
	if b.dictionary, err = openDictionary(filepath.Join(i.dir, dictionaryName)); err != nil {
		return nil, err
	}
	b.projection = newProjection(b.dictionary)
	if b.checkpoint, b.aside, err = openCheckpoint(filepath.Join(i.dir, checkpointName), b.projection); err != nil {
		return nil, errors.Join(err, b.dictionary.close())
	}
	if err = b.inUse(); err == nil {
		err = b.addArchives()
	}
	if err == nil {
		b.log, err = openLogOf(&log{
			dir:    filepath.Join(i.dir, "wal"),
			now:    now,
			kept:   b.projection.last,
			intact: b.checkpoint.sameBoot,
		})
	}
	if err == nil {
		_, err = b.log.each(b.projection.add)
	}
	if err == nil {
		if err = errors.Join(b.accounted(), b.whole()); err == nil {
			err = errors.Join(b.dictionary.pin(ledger), b.checkpoint.inUse(b.log.active.Load().first))
		}
		b.saved = b.log.closedTo()
	}
	if err != nil {
		if b.log != nil {
			err = errors.Join(err, b.log.close())
		}
		return nil, errors.Join(err, b.checkpoint.close(), b.dictionary.close())
	}
	return b, nil
}

// inUse returns an error if the segment that was in use is missing. openLog would begin
// another in its place.
func (b *instanceLog) inUse() error {
	active := b.checkpoint.active
	if active == 0 {
		return nil
	}
	path := (&log{dir: filepath.Join(b.instance.dir, "wal")}).path(active)
	_, err := os.Stat(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	lines, err := readManifest(filepath.Join(b.instance.dir, "archive"))
	if err != nil || slices.ContainsFunc(lines, func(line archived) bool { return line.First == active }) {
		return err
	}
	return &durable.DamageError{File: path, Offset: -1, What: "it is missing, and was in use"}
}

// whole returns an error if a file of the log lacks what others refer to.
func (b *instanceLog) whole() error {
	if what := b.dictionary.missing(b.projection.highest, b.projection.regions, b.projection.notes); what != "" {
		return &durable.DamageError{File: filepath.Join(b.instance.dir, dictionaryName), Offset: -1, What: what}
	}
	dir := filepath.Join(b.instance.dir, "archive")
	lines, err := readManifest(dir)
	if err != nil {
		return err
	}
	archives, err := durable.Entries(dir, archiveSuffix)
	if err != nil {
		return err
	}
	// A crash leaves at most one archive that is not in the manifest, and its segment.
	listed := make(map[string]bool)
	for _, line := range lines {
		listed[line.File] = true
	}
	for _, path := range archives {
		name := filepath.Base(path)
		if _, err := os.Stat(filepath.Join(b.log.dir, strings.TrimSuffix(name, archiveSuffix)+segmentSuffix)); !listed[name] && err != nil {
			return &durable.DamageError{File: filepath.Join(dir, manifestName), Offset: -1, What: fmt.Sprintf("the line of %s is missing", name)}
		}
	}
	if n := len(lines); n > 0 {
		if first, next := b.log.first, lines[n-1].First+lines[n-1].Records; first > next {
			return &durable.DamageError{File: b.log.path(next), Offset: -1, What: fmt.Sprintf("it is missing: the archives end before record %d, the next file begins with %d", next, first)}
		}
	}
	return nil
}

// addArchives adds up the archives if the checkpoint does not have all of their records: it
// is new, or older than they are.
func (b *instanceLog) addArchives() error {
	lines, err := readManifest(filepath.Join(b.instance.dir, "archive"))
	if n := len(lines); err != nil || n == 0 || lines[n-1].First+lines[n-1].Records-1 <= b.projection.last {
		return err
	}
	return eachArchive(b.instance.dir, func(line *archived, records []Record) error {
		if next := b.projection.last + 1; line.First > next {
			return &durable.DamageError{
				File:   filepath.Join(b.instance.dir, checkpointName),
				Offset: -1,
				What: fmt.Sprintf("it is new, and of the records %d to %d, which are in its sums, there is no archive: the sums cannot be made again",
					next, line.First-1),
			}
		}
		for i := range records {
			if records[i].Seq > b.projection.last {
				b.projection.add(&records[i])
			}
		}
		return nil
	})
}

// hasRecords reports whether the directory of an instance log has files of records.
func hasRecords(dir string) bool {
	segments, _ := segmentFiles(filepath.Join(dir, "wal")) // what cannot be read is an error of others
	archives, _ := durable.Entries(filepath.Join(dir, "archive"), archiveSuffix)
	return len(segments)+len(archives) > 0
}

// close syncs the log, writes the checkpoint and closes all files.
func (b *instanceLog) close() error {
	b.log.end()
	_, err := b.log.each(b.projection.add)
	err = errors.Join(err, b.dictionary.sync())
	if _, syncErr := b.log.sync(); syncErr != nil {
		err = errors.Join(err, syncErr)
	}
	if err == nil {
		err = b.checkpoint.save(b.projection, b.dictionary)
	}
	return errors.Join(err, b.log.close(), b.checkpoint.close(), b.dictionary.close(), b.instance.close())
}

// logsName is a folder in the directory of the ledger with an empty file for each of its
// logs, named by its id. It stands beside the logs, so that one that is gone as a whole is
// missed.
const logsName = "logs"

// note has a log be missed once it is gone. Call it before its first record.
func (b *instanceLog) note() error {
	ledger := filepath.Dir(filepath.Dir(b.instance.dir))
	path := filepath.Join(ledger, logsName, b.instance.id)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = durable.SyncDirectory(ledger)
	}
	if err == nil {
		err = durable.Replace(path, 0o600, func(*os.File) error { return nil })
	}
	if err != nil {
		return fmt.Errorf("noting the log %s: %w", b.instance.id, err)
	}
	return nil
}

// whatIsGone is what happened to a log that missingLogs returns.
const whatIsGone = "it is missing, with its records"

// missingLogs returns the folders of logs that were noted, in the directory of a ledger,
// and have neither records nor sums any more.
func missingLogs(ledger string) (gone []string, err error) {
	noted, err := durable.Entries(filepath.Join(ledger, logsName), "")
	for _, path := range noted {
		dir := filepath.Join(ledger, "inst", filepath.Base(path))
		if !there(filepath.Join(dir, checkpointName)) && !hasRecords(dir) {
			gone = append(gone, dir)
		}
	}
	return gone, err
}

// checkLogs returns an error if a log is missing.
func checkLogs(ledger string) error {
	gone, err := missingLogs(ledger)
	if err == nil && len(gone) > 0 {
		err = &durable.DamageError{File: gone[0], Offset: -1, What: whatIsGone}
	}
	return err
}

// inspectLogs looks for logs that are missing. What is mended is that they are missed.
func inspectLogs(ledger string, mend bool) (found []Finding, err error) {
	gone, err := missingLogs(ledger)
	for _, dir := range gone {
		id := filepath.Base(dir)
		f := spot(dir, -1, whatIsGone).
			losing("what " + id + " counted, but for what a store in Redis has of it").
			mending("restore it from a copy; without one, " + durable.Mending + ", after which the ledger goes on without it")
		f.done = "the ledger goes on without it"
		if mend && err == nil {
			if err = os.Remove(filepath.Join(ledger, logsName, id)); err == nil {
				f = f.mended()
			}
		}
		found = append(found, f)
	}
	return found, err
}
