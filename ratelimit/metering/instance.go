package metering

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
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
}

// errLocked says that another process holds the lock.
var errLocked = errors.New("another process has it")

// claim locks all directories without a process. The caller continues the first of
// them, own; if there is none, own is a new directory.
func claim(dir string) (own *instance, orphans []*instance, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	if err := refuseNetwork(dir); err != nil {
		return nil, nil, err
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return nil, nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		locked, err := lockInstance(name)
		switch {
		case errors.Is(err, errLocked):
		case err != nil:
			return nil, nil, errors.Join(err, closeInstances(own, orphans))
		case own == nil:
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
	return lockInstance(path)
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

// instanceLog is the log of one instance with its sums.
type instanceLog struct {
	instance   *instance
	log        *log
	dictionary *dictionary
	checkpoint *checkpoint
	projection *projection
	archiving  sync.Mutex // guards the files of segments and archives: readers hold it while they read from the start
	saved      uint64     // the last record that is in the checkpoint and in no open segment
}

// openInstanceLog opens an instance log in the directory of a ledger with an id.
func openInstanceLog(i *instance, ledger string, now func() time.Time) (*instanceLog, error) {
	b := &instanceLog{instance: i}
	var err error
	if b.dictionary, err = openDictionary(filepath.Join(i.dir, "dict.seg")); err != nil {
		return nil, err
	}
	if b.checkpoint, err = openCheckpoint(filepath.Join(i.dir, "checkpoint.db")); err != nil {
		return nil, errors.Join(err, b.dictionary.close())
	}
	b.projection = newProjection(b.dictionary)
	err = b.checkpoint.load(b.projection)
	if err == nil {
		b.log, err = openLog(filepath.Join(i.dir, "wal"), b.projection.last, now)
	}
	if err == nil {
		_, err = b.log.each(b.projection.add)
	}
	if err == nil {
		err = errors.Join(b.dictionary.pin(ledger), b.dictionary.reserve(b.projection.highest))
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

// close syncs the log, writes the checkpoint and closes all files.
func (b *instanceLog) close() error {
	b.log.end()
	_, err := b.log.each(b.projection.add)
	err = errors.Join(err, b.dictionary.sync())
	if _, syncErr := b.log.sync(); syncErr != nil {
		err = errors.Join(err, syncErr)
	}
	if err == nil {
		err = b.checkpoint.save(b.projection)
	}
	return errors.Join(err, b.log.close(), b.checkpoint.close(), b.dictionary.close(), b.instance.close())
}
