package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// DamageError says that a file does not hold what was written to it.
type DamageError struct {
	File   string
	Offset int64  // in bytes; negative if no place can be named
	What   string // what is wrong there
	Remedy string // what mends it
}

// Mending is the Remedy of a file of the ledger.
const Mending = "stop the gateway, copy its directory, and run `edgegate usage recover DIRECTORY`"

// Error implements error.
func (d *DamageError) Error() string {
	place := d.File
	if d.Offset >= 0 {
		place = fmt.Sprintf("%s: byte %d", d.File, d.Offset)
	}
	remedy := d.Remedy
	if remedy == "" {
		remedy = Mending
	}
	return fmt.Sprintf("%s: damaged: %s; %s", place, d.What, remedy)
}

// Named returns an error that names the file with a path, as most errors of files do by
// themselves.
func Named(path string, err error) error {
	if err == nil || strings.Contains(err.Error(), path) {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}

// SetAside renames a file that is damaged, so that another can take its place, and
// returns its new path. Nothing is ever removed.
func SetAside(path string) (kept string, err error) {
	for at := time.Now().UTC(); ; at = at.Add(time.Second) {
		kept = path + ".damaged-" + at.Format("20060102T150405Z")
		if _, err := os.Lstat(kept); errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err := os.Rename(path, kept); err != nil {
		return "", err
	}
	return kept, SyncDirectory(filepath.Dir(path))
}
