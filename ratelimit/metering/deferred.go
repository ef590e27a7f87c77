package metering

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Deferral is an invocation that was sent without a record because the ledger
// could not be written and the operator allowed it.
type Deferral struct {
	Subject Subject
	Region  string
	At      time.Time // when it was admitted
}

// deferredKey groups deferred invocations that one record can count together:
// they fall into the same sums.
type deferredKey struct {
	subject      Subject
	region       string
	period, hour int64 // their starts, in Unix seconds
}

// deferred counts the invocations of one deferredKey without a record.
type deferred struct {
	at  time.Time // when the first was admitted
	n   int       // invocations to record; negative: recorded ones to void
	seq uint64    // their last record; 0: none yet
}

// deferredVoidFor is how long after its admission a deferred invocation can
// still be taken back.
const deferredVoidFor = 2 * time.Hour

// Defer counts n invocations that cannot be recorded now; -1 takes one back. They
// are recorded as soon as the ledger can be written again. If the process ends
// before that, they are lost.
func (l *Ledger) Defer(d Deferral, n int) {
	key := deferredKey{d.Subject, d.Region, d.Subject.Cycle.At(d.At).Start.Unix(), d.At.Truncate(time.Hour).Unix()}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deferred == nil {
		l.deferred = make(map[deferredKey]*deferred)
	}
	w := l.deferred[key]
	if w == nil {
		w = &deferred{at: d.At}
		l.deferred[key] = w
	}
	w.n += n
}

// Deferred returns how many deferred invocations have no record yet, less the
// recorded ones that are still to be voided.
func (l *Ledger) Deferred() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.deferredCount()
}

// deferredCount is Deferred for callers that hold mu.
func (l *Ledger) deferredCount() (n int) {
	for _, w := range l.deferred {
		n += w.n
	}
	return n
}

// recordDeferred writes the records of deferred invocations. The caller holds mu.
func (l *Ledger) recordDeferred() error {
	now := l.config.Now()
	for key, w := range l.deferred {
		if w.n == 0 {
			if now.Sub(w.at) > deferredVoidFor || w.seq == 0 {
				delete(l.deferred, key)
			}
			continue
		}
		subject, err := l.Subject(key.subject)
		if err != nil {
			return err
		}
		region, err := l.Region(key.region)
		if err != nil {
			return err
		}
		r := Record{
			Type:    TypeAdmitted,
			Region:  region,
			At:      w.at,
			Subject: uint32(subject),
			Units:   uint32(max(w.n, -w.n)),
		}
		if w.n < 0 {
			r.Type, r.Ref = TypeVoid, w.seq
		}
		if err := l.own.log.append(&r); err != nil {
			return err
		}
		w.n = 0
		if r.Type == TypeAdmitted {
			w.seq = r.Seq
		}
	}
	return nil
}

// Why the ledger cannot be written, where that is known. They come with ErrUnavailable.
const (
	ErrDiskFull = causeError("the disk of the ledger is full")
	ErrGone     = causeError("the directory of the ledger is gone: put it back, or stop the gateway and restore a copy")
	ErrReplaced = causeError("another directory, or another disk, is where the ledger was: put the right one back, or start the gateway again")
	ErrRemoved  = causeError("a file of the ledger was removed or replaced: put it back, or stop the gateway and run `edgegate usage recover DIRECTORY`")
	ErrCut      = causeError("a file of the ledger was cut while it was in use: stop the gateway and run `edgegate usage recover DIRECTORY`")
	ErrReadOnly = causeError("the directory of the ledger is read-only: make it writable; the file in use is still written")
)

// Displaced reports whether an error says that the files of the ledger are not where they
// were. Nothing is recorded then.
func Displaced(err error) bool {
	return errors.Is(err, ErrGone) || errors.Is(err, ErrReplaced) || errors.Is(err, ErrRemoved) || errors.Is(err, ErrCut)
}

// causeError is an error whose text is fit for logs, the same each time.
type causeError string

// Error implements error.
func (c causeError) Error() string { return string(c) }

// KnownCause marks the error for those who log causes.
func (c causeError) KnownCause() string { return string(c) }

// Writable returns nil if the next invocation can be recorded, otherwise the error
// that Admit would return. It needs no request to find out. Healthy fails earlier:
// when the disk fails while the current segment still has room.
func (l *Ledger) Writable() error {
	if err := l.own.log.writable(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil && l.strict.Load() {
		return fmt.Errorf("%w: %w", ErrUnavailable, l.failed)
	}
	return nil
}

// Healthy returns the error of the last sync, or ErrReadOnly; nil if all is well.
func (l *Ledger) Healthy() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.failed, l.readOnly)
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
	if l.next != nil || l.away != nil {
		return 0
	}
	return headerSize + int64(l.nextSlots(l.active.Load()))*RecordSize
}

// writable returns the error that the last append met for want of a next segment,
// nil if there is room.
func (l *log) writable() error {
	l.rotating.Lock()
	defer l.rotating.Unlock()
	if l.away != nil {
		return l.away
	}
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
