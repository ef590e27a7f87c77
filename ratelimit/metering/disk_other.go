//go:build !linux

package metering

import (
	"os"
	"time"
)

// allocate reserves the disk blocks of an empty file.
func allocate(file *os.File, size int64) error { return writeZeros(file, size) }

// refuseNetwork accepts every directory: this system does not tell its file system.
func refuseNetwork(string) error { return nil }

// birth cannot tell a directory from its copies, on this system.
func birth(string) (string, error) { return "", nil }

// RunClock has no name for this run of the machine: the time of day is used.
func RunClock() (id string, up time.Duration) { return "", 0 }
