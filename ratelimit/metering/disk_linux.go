package metering

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// allocate reserves the disk blocks of an empty file.
func allocate(file *os.File, size int64) error {
	err := unix.Fallocate(int(file.Fd()), 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return writeZeros(file, size)
	}
	return err
}

// networkFileSystems are the file systems, by their numbers in statfs(2), whose
// locks and mappings other machines see late or not at all.
var networkFileSystems = map[int64]string{
	unix.NFS_SUPER_MAGIC: "NFS", unix.SMB_SUPER_MAGIC: "SMB", unix.CIFS_SUPER_MAGIC: "CIFS", unix.SMB2_SUPER_MAGIC: "SMB2",
	unix.CEPH_SUPER_MAGIC: "Ceph", unix.AFS_SUPER_MAGIC: "AFS", unix.CODA_SUPER_MAGIC: "Coda", unix.NCP_SUPER_MAGIC: "NCP",
}

// refuseNetwork returns an error for a directory on a network file system.
func refuseNetwork(dir string) error {
	var about unix.Statfs_t
	if err := unix.Statfs(dir, &about); err != nil {
		return fmt.Errorf("asking for the file system of %s: %w", dir, err)
	}
	return refuseFileSystem(dir, int64(about.Type)) //nolint:unconvert // its type differs by architecture
}

func refuseFileSystem(dir string, magic int64) error {
	if name, network := networkFileSystems[magic]; network {
		return fmt.Errorf("%s is on %s: the ledger must be on a disk of this machine; name another directory with `store embedded DIRECTORY`", dir, name)
	}
	return nil
}

// birth tells a directory from all others, also from copies of it and from what it is
// in a copy of the disk's files: it is when it was made or, on a file system that does not
// know, its number.
func birth(dir string) (string, error) {
	var about unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_BTIME|unix.STATX_INO, &about); err != nil {
		return "", fmt.Errorf("asking when %s was made: %w", dir, err)
	}
	if about.Mask&unix.STATX_BTIME == 0 {
		return fmt.Sprintf("inode %d", about.Ino), nil
	}
	return fmt.Sprintf("%d.%09d", about.Btime.Sec, about.Btime.Nsec), nil
}

// RunClock returns the name of this run of the machine, and for how long it runs by a
// clock that nobody sets and that goes on while the machine sleeps. The name is "" if
// they are not known.
func RunClock() (id string, up time.Duration) {
	name, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", 0
	}
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &at); err != nil {
		return "", 0
	}
	return strings.TrimSpace(string(name)), time.Duration(at.Nano())
}
