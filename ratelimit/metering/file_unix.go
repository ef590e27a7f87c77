//go:build unix

package metering

import (
	"os"

	"golang.org/x/sys/unix"
)

func mapFile(file *os.File, size int) ([]byte, error) {
	return unix.Mmap(int(file.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

func unmap(data []byte) error { return unix.Munmap(data) }

// syncMap takes data from the start of the mapping on.
func syncMap(data []byte) error { return unix.Msync(data, unix.MS_SYNC) }
