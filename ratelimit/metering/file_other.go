//go:build !unix

package metering

import (
	"errors"
	"os"
	"runtime"
)

var errNoMap = errors.New("the ledger needs files that are mapped into memory, which this program cannot do on " + runtime.GOOS)

func mapFile(*os.File, int) ([]byte, error) { return nil, errNoMap }

func unmap([]byte) error { return errNoMap }

func syncMap([]byte) error { return errNoMap }

func lockFile(*os.File) error { return errNoMap }

// mayWrite cannot find out whether files can be created, on this system.
func mayWrite(string) error { return nil }

// freeBytes cannot find out the free space of a disk on this system.
func freeBytes(string) (int64, bool) { return 0, false }
