package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Replace writes a file as a whole: after a crash, path is the old file or the
// new one. It calls write with an empty file beside path, and gives that file the
// name path once its content is on the disk. The name is on the disk when Replace
// returns. If write fails, path is as it was.
//
// The name of the temporary file is fixed: a dot and the name of path. A crash
// leaves one such file, which the next call overwrites, and never a growing number
// of them. Only one goroutine of one process may replace a path at a time, which the
// locks of the ledger and of the exporters see to.
func Replace(path string, mode os.FileMode, write func(*os.File) error) error {
	return replace(path, mode, write, SyncDirectory)
}

// replace is Replace with what writes the directory to the disk, which tests
// replace.
func replace(path string, mode os.FileMode, write func(*os.File) error, syncDir func(dir string) error) error {
	dir, name := filepath.Split(path)
	temporary := filepath.Join(dir, "."+name)
	file, err := os.OpenFile(temporary, os.O_RDWR|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	err = write(file)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return syncDir(filepath.Dir(path))
}

// Entries returns the paths of what is in a directory and whose name has a suffix, sorted
// by name. Temporary files of Replace are not among them. A directory that does not exist
// has none.
func Entries(dir, suffix string) (paths []string, err error) {
	all, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range all {
		if name := e.Name(); !strings.HasPrefix(name, ".") && strings.HasSuffix(name, suffix) {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	return paths, nil
}

// SyncDirectory writes a directory to the disk: names of new files survive a power
// loss only after that.
func SyncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
