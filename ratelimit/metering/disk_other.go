//go:build !linux

package metering

import "os"

// allocate takes the disk's blocks for a file that is empty.
func allocate(file *os.File, size int64) error { return writeZeros(file, size) }

// refuseNetwork is for systems that do not tell.
func refuseNetwork(string) error { return nil }
