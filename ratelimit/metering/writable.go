package metering

import "fmt"

// Writable returns nil while the next invocation can be recorded, and otherwise
// what every one is refused for. It looks at what recording looks at, and so
// knows without a request. Healthy fails earlier: while there is still room in
// the file that is in use.
func (l *Ledger) Writable() error {
	if err := l.own.log.writable(); err != nil {
		return err
	}
	if err := l.Healthy(); err != nil && l.strict.Load() {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// Room returns why the next file of the ledger cannot be made, before it is
// tried: the disk has less than it needs.
func (l *Ledger) Room() error {
	need := l.own.log.nextSize()
	free, known := freeBytes(l.own.log.dir)
	if need == 0 || !known || free >= need {
		return nil
	}
	const mebibyte = 1 << 20
	return fmt.Errorf("%w: the disk has %d MiB left, its next file needs %d", ErrUnavailable, free/mebibyte, (need+mebibyte-1)/mebibyte)
}

// nextSize returns how many bytes the next segment takes, 0 if it is there.
func (l *log) nextSize() int64 {
	l.rotating.Lock()
	defer l.rotating.Unlock()
	if l.next != nil {
		return 0
	}
	return headerSize + int64(l.nextSlots(l.active.Load()))*RecordSize
}

// writable returns why the next record cannot be appended, as far as that was
// tried.
func (l *log) writable() error {
	l.rotating.Lock()
	defer l.rotating.Unlock()
	if s := l.active.Load(); l.next != nil || s.taken.Load() < s.slots {
		return nil
	}
	return l.full
}
