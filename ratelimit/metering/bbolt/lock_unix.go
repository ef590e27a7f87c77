//go:build unix

package bbolt

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockEvery is how often a lock is tried.
const lockEvery = 5 * time.Millisecond

// errTimeout says that another process has the file open.
var errTimeout = errors.New("timeout: another process has it open")

// lock waits until no other process has the file open, until the file is closed.
func lock(file *os.File, timeout time.Duration) error {
	for begun := time.Now(); ; time.Sleep(lockEvery) {
		err := unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		if timeout > 0 && time.Since(begun) > timeout {
			return errTimeout
		}
	}
}

// unlock lets others open the file.
func unlock(file *os.File) error { return unix.Flock(int(file.Fd()), unix.LOCK_UN) }
