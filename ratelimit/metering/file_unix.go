//go:build unix

package metering

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps the first size bytes of a file into memory.
func mapFile(file *os.File, size int) ([]byte, error) {
	return unix.Mmap(int(file.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

func unmap(data []byte) error { return unix.Munmap(data) }

// syncMap writes the pages of data to the disk. data must begin where the mapping
// begins.
func syncMap(data []byte) error { return unix.Msync(data, unix.MS_SYNC) }

// lockFile locks a file until it is closed or the process ends. It returns
// errLocked if another process has the lock.
func lockFile(file *os.File) error {
	err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errLocked
	}
	return err
}

// mayWrite returns an error if no file can be created in a directory.
func mayWrite(dir string) error { return unix.Access(dir, unix.W_OK) }

// freeBytes returns the free space of the disk that dir is on, false if that cannot
// be found out.
func freeBytes(dir string) (int64, bool) {
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return 0, false
	}
	return int64(disk.Bavail) * int64(disk.Bsize), true //nolint:unconvert // their types differ by system
}
