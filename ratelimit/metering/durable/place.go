package durable

import (
	"errors"
	"os"
)

// ErrMoved says that another file has the name of one.
var ErrMoved = errors.New("it was replaced by another")

// Place is a file or directory under its name, as it was when PlaceOf was called.
type Place struct {
	Path string
	is   os.FileInfo
}

// PlaceOf returns the place of a file that exists.
func PlaceOf(path string) (Place, error) {
	is, err := os.Stat(path)
	return Place{path, is}, err
}

// PlaceOfFile returns the place of a file that is open.
func PlaceOfFile(path string, is os.FileInfo) Place { return Place{path, is} }

// Check returns nil if the file is where it was, fs.ErrNotExist if nothing is there, and
// ErrMoved if another is.
func (p *Place) Check() error {
	now, err := os.Stat(p.Path)
	if err == nil && !os.SameFile(p.is, now) {
		err = &os.PathError{Op: "stat", Path: p.Path, Err: ErrMoved}
	}
	return err
}
