package metering

import (
	"io"
)

// writeZeros allocates the blocks of a file by writing to all of it, where the
// system has no other way.
func writeZeros(file io.WriterAt, size int64) error {
	zeros := make([]byte, 1<<20)
	for at := int64(0); at < size; at += int64(len(zeros)) {
		if _, err := file.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at); err != nil {
			return err
		}
	}
	return nil
}
