//go:build unix

package metering

import "golang.org/x/sys/unix"

// freeBytes returns how much a file in dir can still take; false if that is not
// known.
func freeBytes(dir string) (int64, bool) {
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return 0, false
	}
	return int64(disk.Bavail) * int64(disk.Bsize), true //nolint:unconvert // their types differ by system
}
