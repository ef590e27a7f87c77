// Package atomicfile writes a file as a whole: a reader, and a process that starts
// after a crash, sees the old file or the new one.
//
//	file, err := atomicfile.Create("projects.json", 0o644)
//	if err != nil {
//		return err
//	}
//	defer file.Discard()
//	if _, err := file.Write(data); err != nil {
//		return err
//	}
//	return file.Commit()
//
// The ledger has its own (durable.Replace), with other names for temporary files.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// File is the new content of a file, in a temporary file beside it. One goroutine uses
// it.
type File struct {
	temporary *os.File
	path      string
	mode      os.FileMode
	done      bool // committed or discarded

	syncDir func(dir string) error // tests replace it
}

// Create creates an empty temporary file in the directory of path. It does not touch
// path. After Commit the file has the given mode, whatever the umask.
//
// The name of the temporary file is a dot, the name of path, and a random end: several
// processes may write the same path at a time, and the last to commit wins. A crash
// before Commit leaves the temporary file behind.
func Create(path string, mode os.FileMode) (*File, error) {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, err
	}
	return &File{
		temporary: temporary,
		path:      path,
		mode:      mode,
		syncDir:   syncDirectory,
	}, nil
}

// Write appends to the temporary file.
func (f *File) Write(p []byte) (int, error) { return f.temporary.Write(p) }

// Commit gives the temporary file the name path, when its content is on the disk, and
// writes the name to the disk. After an error of the former, path is as it was.
func (f *File) Commit() error {
	if f.done {
		return fmt.Errorf("%s: %w", f.path, fs.ErrClosed)
	}
	f.done = true
	err := f.temporary.Chmod(f.mode)
	if err == nil {
		err = f.temporary.Sync()
	}
	if err = errors.Join(err, f.temporary.Close()); err == nil {
		err = os.Rename(f.temporary.Name(), f.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.temporary.Name()))
	}
	return f.syncDir(filepath.Dir(f.path))
}

// Discard removes the temporary file. It does nothing after Commit.
func (f *File) Discard() {
	if f.done {
		return
	}
	f.done = true
	_ = f.temporary.Close()
	_ = os.Remove(f.temporary.Name())
}

// syncDirectory writes a directory to the disk: the name of a new file survives a power
// loss only after that. It leaves out a directory that may be written to and not read.
func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
