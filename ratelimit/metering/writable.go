package metering

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Why the ledger cannot be written, where that is known. Both come with ErrUnavailable.
const (
	ErrDiskFull = knownCause("the disk of the ledger is full")
	ErrGone     = knownCause("the directory of the ledger is gone")
)

// knownCause is an error whose text is fit for logs, the same each time.
type knownCause string

// Error implements error.
func (c knownCause) Error() string { return string(c) }

// KnownCause marks the error for those who log causes.
func (c knownCause) KnownCause() string { return string(c) }

// Writable returns nil if the next invocation can be recorded, otherwise the error
// that Admit would return. It needs no request to find out. Healthy fails earlier:
// when the disk fails while the current segment still has room.
func (l *Ledger) Writable() error {
	if err := l.own.log.writable(); err != nil {
		return err
	}
	if err := l.Healthy(); err != nil && l.strict.Load() {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// Room returns an error if the disk has less free space than the next segment
// needs.
func (l *Ledger) Room() error {
	need := l.own.log.nextSize()
	free, known := freeBytes(l.own.log.dir)
	if need == 0 || !known || free >= need {
		return nil
	}
	const mebibyte = 1 << 20
	return fmt.Errorf("%w: the disk has %d MiB left, its next file needs %d", ErrUnavailable, free/mebibyte, (need+mebibyte-1)/mebibyte)
}

// nextSize returns the size of the next segment in bytes, 0 if it exists already.
func (l *log) nextSize() int64 {
	l.rotating.Lock()
	defer l.rotating.Unlock()
	if l.next != nil {
		return 0
	}
	return headerSize + int64(l.nextSlots(l.active.Load()))*RecordSize
}

// writable returns the error that the last append met for want of a next segment,
// nil if there is room.
func (l *log) writable() error {
	l.rotating.Lock()
	defer l.rotating.Unlock()
	if s := l.active.Load(); l.next != nil || s.taken.Load() < s.slots {
		return nil
	}
	return l.full
}

// whyNot adds to the error with which a segment could not be created what is wrong with
// the directory, if that is known.
func (l *log) whyNot(err error) error {
	if _, statErr := os.Stat(l.dir); errors.Is(statErr, os.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	}
	return err
}
