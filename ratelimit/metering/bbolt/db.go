package bbolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// Options are those of Open.
type Options struct {
	Timeout time.Duration // how long to wait for another process that has the file open; 0: for ever
	NoSync  bool          // for tests, which would wait for disks
	Known   bool          // the file was there before: if it is missing or empty, it is damaged
}

// Missing is what is wrong with a file that was in use, and is not there or empty.
const Missing = "it is missing or empty, and was in use"

// DB is an open file. It is safe for concurrent use: one transaction runs at a time. A
// transaction must not begin another.
type DB struct {
	bolt *bolt.DB
	path string
	file *os.File // that bolt has open, and has locked
	kept bool     // see Kept

	mu      sync.Mutex // held while a transaction runs: nobody else may wait for a lock of bolt, which it may never release
	suspect bool       // a page could not be read
	broken  error      // why no transaction can begin any more: bolt has kept a lock
}

// Open opens a file, or creates it.
func Open(path string, mode os.FileMode, o *Options) (*DB, error) {
	if o == nil {
		o = &Options{}
	}
	state, err := prepare(path, o.Timeout)
	if err != nil {
		return nil, err
	}
	if state == newFile && o.Known {
		return nil, &durable.DamageError{File: path, Offset: -1, What: Missing}
	}
	if state == newFile {
		if err := createFile(path, o); err != nil {
			return nil, err
		}
		if state, err = prepare(path, o.Timeout); err != nil {
			return nil, err
		}
	}
	db := &DB{path: path}
	err = db.guard(func() error {
		db.bolt, err = bolt.Open(path, mode, &bolt.Options{Timeout: o.Timeout, NoSync: o.NoSync, OpenFile: db.openFile})
		return err
	})
	if err != nil && db.suspect { // bolt has not closed it
		return nil, errors.Join(err, db.release())
	}
	if err != nil {
		return nil, err
	}
	if info, statErr := db.file.Stat(); statErr == nil {
		db.kept = unchanged(path, info)
	}
	if state == sealedFile {
		return db, nil
	}
	if err = db.transaction(db.bolt.Update, sealAll); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// createFile makes a file that is whole from the first moment on that it has its name: bbolt
// would leave a part of one on a disk without room. Another process may be first.
func createFile(path string, o *Options) (err error) {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	name := temporary.Name()
	defer func() {
		err = errors.Join(err, os.Remove(name))
	}()
	db := &DB{path: name}
	err = errors.Join(temporary.Close(), db.guard(func() error {
		if db.bolt, err = bolt.Open(name, 0o600, &bolt.Options{NoSync: o.NoSync}); err != nil {
			return err
		}
		return errors.Join(db.bolt.Update(sealAll), db.bolt.Close())
	}))
	if err != nil {
		return fmt.Errorf("creating %s: %w", path, err)
	}
	if info, statErr := os.Stat(path); statErr == nil && info.Size() == 0 {
		err = os.Remove(path) // of an older build that was killed
	}
	if err == nil {
		err = os.Link(name, path) // not a rename: it replaces nothing
	}
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err != nil || o.NoSync {
		return err
	}
	return durable.SyncDirectory(filepath.Dir(path))
}

// Kept reports whether the file was as this process left it when it was opened: nobody
// else changed it, nor put another in its place.
func (db *DB) Kept() bool { return db.kept }

// Kept reports whether a file is as this process left it.
func Kept(path string) bool {
	info, err := os.Stat(path)
	return err == nil && unchanged(path, info)
}

// Path returns the path of the file.
func (db *DB) Path() string { return db.path }

// View runs f in a transaction that changes nothing.
func (db *DB) View(f func(*Tx) error) error { return db.run(db.bolt.View, f) }

// Update runs f in a transaction. If f fails or meets a damaged value, nothing changes.
func (db *DB) Update(f func(*Tx) error) error { return db.run(db.bolt.Update, f) }

func (db *DB) run(in func(func(*bolt.Tx) error) error, f func(*Tx) error) error {
	return db.transaction(in, func(tx *bolt.Tx) error {
		t := &Tx{tx: tx, path: db.path}
		err := f(t)
		if t.damage != nil { // f took the value for missing
			return t.damage
		}
		return err
	})
}

// transaction runs f in a transaction of bolt. If a page cannot be read while bolt begins or
// ends one, as of a file that was cut, bolt never releases its locks: nobody may ask for
// them again.
func (db *DB) transaction(in func(func(*bolt.Tx) error) error, f func(*bolt.Tx) error) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.broken != nil {
		return db.broken
	}
	var begun *bolt.Tx
	ended := false // without a panic
	err := db.guard(func() error {
		err := in(func(tx *bolt.Tx) error {
			begun = tx
			return f(tx)
		})
		ended = true
		return err
	})
	if !ended && (begun == nil || begun.DB() != nil) {
		db.broken = err
	}
	return err
}

// Close closes the file.
func (db *DB) Close() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.broken != nil {
		return db.release()
	}
	// Of the file that is open: its name may be that of another meanwhile.
	now, statErr := db.file.Stat()
	if db.suspect || statErr != nil {
		checked.Delete(db.path)
	} else {
		checked.Store(db.path, now)
	}
	return db.bolt.Close()
}

func (db *DB) openFile(path string, flag int, mode os.FileMode) (file *os.File, err error) {
	db.file, err = os.OpenFile(path, flag, mode)
	return db.file, err
}

// release lets others open a file that bolt cannot close any more. Its mapping stays: the
// file would stay locked with it.
func (db *DB) release() error {
	checked.Delete(db.path)
	if db.file == nil {
		return nil
	}
	err := errors.Join(unlock(db.file), db.file.Close())
	db.file = nil
	return err
}

// unreadable is what is wrong with a file of which a page in memory is not on the disk.
const unreadable = "a part of it cannot be read: it was cut, or the disk fails"

// guard runs f. A panic of bbolt, or a page that cannot be read, is an error then.
func (db *DB) guard(f func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		if r := recover(); r != nil {
			db.suspect = true
			what := fmt.Sprint(r)
			if _, fault := r.(interface{ Addr() uintptr }); fault { // its text is that of a nil pointer
				what = unreadable
			}
			err = &durable.DamageError{File: db.path, Offset: -1, What: what}
		}
	}()
	return f()
}

// checked has the state of each file when this process closed it. A file that has not
// changed since needs no check.
var checked sync.Map // os.FileInfo by path

func unchanged(path string, now os.FileInfo) bool {
	then, ok := checked.Load(path)
	if !ok {
		return false
	}
	before, ok := then.(os.FileInfo)
	return ok && os.SameFile(before, now) && before.Size() == now.Size() && before.ModTime().Equal(now.ModTime())
}

// What is in a file before it is opened.
const (
	newFile      = iota // nothing
	unsealedFile        // values without checksums
	sealedFile
)

// prepare checks a file, unless this process was the last to change it.
func prepare(path string, timeout time.Duration) (state int, err error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return newFile, nil
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	switch {
	case info.Size() == 0:
		return newFile, nil
	case unchanged(path, info):
		return sealedFile, nil
	}
	if err := lock(file, timeout); err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	if info, err = file.Stat(); err != nil {
		return 0, err
	}
	c := check(file, info.Size(), nil)
	if len(c.findings) > 0 {
		return 0, c.damage(path)
	}
	if c.sealed {
		return sealedFile, nil
	}
	return unsealedFile, nil
}
