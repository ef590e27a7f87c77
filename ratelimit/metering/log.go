package metering

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

const (
	// firstSegment is how many records the first segment of a log holds. Each
	// further one holds segmentGrowth times as many, up to SegmentRecords.
	firstSegment  = 1 << 14
	segmentGrowth = 4
	segmentSuffix = ".seg"
)

// ErrUnavailable says that a record cannot be written: the disk is full, or
// fails.
var ErrUnavailable = errors.New("the ledger cannot be written")

// log is the chain of segments in a directory. append may be called by any number
// of goroutines, everything else by one at a time.
type log struct {
	dir    string
	now    func() time.Time
	active atomic.Pointer[Segment]

	rotating sync.Mutex // guards the fields up to tried
	next     *Segment   // prepared, becomes active when the active one is full
	open     []*Segment // in order, the active one last
	closed   bool
	lost     error     // a file in use was cut: nothing is appended any more
	away     error     // why nothing may be appended: the files are not in their place
	full     error     // why the next segment could not be created; retried once a second
	tried    time.Time // when that was

	first     uint64 // the first record of the first file that openLog found
	kept      uint64 // the last record that was in the checkpoint when the log was opened
	intact    bool   // the machine has not lost power since the log was written
	read      uint64 // the Seq that each reads next
	recovered Recovered
	flush     func([]byte) error // of new segments; tests break it
}

// openLogOf opens the log with the fields dir, now, kept and intact.
func openLogOf(of *log) (*log, error) {
	dir := of.dir
	l := &log{
		dir:    dir,
		now:    of.now,
		kept:   of.kept,
		intact: of.intact,
		read:   of.kept + 1,
		flush:  syncMap,
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := removeUnfinished(dir); err != nil {
		return nil, err
	}
	paths, err := segmentFiles(dir)
	if err != nil {
		return nil, err
	}
	if err := l.recover(paths); err != nil {
		return nil, errors.Join(err, l.close())
	}
	if len(l.open) == 0 {
		first := l.read
		if err := l.begin(first, firstSegment); err != nil {
			return nil, errors.Join(fmt.Errorf("%w: %w", ErrUnavailable, err), l.close())
		}
	}
	l.active.Store(l.open[len(l.open)-1])
	if len(paths) > 0 {
		l.first, err = firstOf(paths[0])
	} else {
		l.first = l.open[0].first
	}
	if err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// segmentFiles returns the paths of all segments, in order.
func segmentFiles(dir string) ([]string, error) {
	return durable.Entries(dir, segmentSuffix)
}

// removeUnfinished removes segments that a process did not finish creating.
func removeUnfinished(dir string) error {
	paths, err := durable.Entries(dir, segmentSuffix+".new")
	for _, path := range paths {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

func (l *log) path(first uint64) string {
	return filepath.Join(l.dir, fmt.Sprintf("%020d%s", first, segmentSuffix))
}

// recover opens the segments with records that were not read yet.
func (l *log) recover(paths []string) error {
	segments := make([]*Segment, 0, len(paths))
	for _, path := range paths {
		s, err := OpenSegment(path)
		if err != nil {
			return errors.Join(err, closeAll(segments))
		}
		segments = append(segments, s)
	}
	err := l.follow(segments)
	if err != nil {
		err = errors.Join(err, closeAll(segments))
		l.open, l.next = nil, nil
	}
	return err
}

// follow checks that segments follow each other without a gap, closes those that
// are read and recovers the others.
func (l *log) follow(segments []*Segment) error {
	for i, s := range segments {
		var end uint64 // how many records it has, if another segment follows
		if i+1 < len(segments) {
			end = segments[i+1].first - s.first
		}
		if s.first+s.slots <= l.read || end > 0 && s.first+end <= l.read {
			if err := s.Close(); err != nil {
				return err
			}
			continue
		}
		if s.first > l.read && len(l.open) == 0 {
			return &durable.DamageError{
				File:   l.path(l.read),
				Offset: -1,
				What:   fmt.Sprintf("it is missing: the next file begins with record %d, the sums end before %d: a file is missing", s.first, l.read),
			}
		}
		l.open = append(l.open, s)
		if i+1 == len(segments)-1 && end == s.slots && segments[i+1].empty() {
			// The last was prepared and may not be in use yet.
			end = 0
		}
		s.kept, s.intact = l.kept, l.intact
		found, err := s.Recover(l.now(), end)
		if err != nil {
			return err
		}
		l.recovered.add(found)
		if i+1 == len(segments)-1 && end == 0 && s.taken.Load() < s.slots {
			l.next = segments[i+1]
			break
		}
		if end > s.slots || end > 0 && s.taken.Load() > end {
			return fmt.Errorf("ledger %s: between record %d and %d something is missing or there twice", l.dir, s.first, s.first+end)
		}
		if end > 0 && end < s.slots {
			s.taken.Store(s.slots)
			s.sealed = end
		}
	}
	return nil
}

func (r *Recovered) add(other Recovered) {
	r.Records += other.Records
	r.Dead += other.Dead
	r.Torn += other.Torn
}

// empty reports whether no record was ever written to the segment.
func (s *Segment) empty() bool {
	for i := range s.slots {
		if published(s.slot(i)) {
			return false
		}
	}
	return true
}

// begin creates a segment and appends it to open.
func (l *log) begin(first uint64, slots int) error {
	s, err := createSegment(l.path(first), first, slots, l.now())
	if err != nil {
		return err
	}
	s.flush = l.flush
	l.open = append(l.open, s)
	return nil
}

// append sets r.Seq and writes r. It waits for a new file only if none could be
// prepared in time. The error wraps ErrUnavailable.
func (l *log) append(r *Record) error {
	for {
		s := l.active.Load()
		switch err := s.Append(r); {
		case err == nil:
			return nil
		case errors.Is(err, ErrCut):
			return l.cutOff(err)
		}
		if err := l.rotate(s); err != nil {
			return err
		}
	}
}

// rotate makes the segment after s the active one.
func (l *log) rotate(s *Segment) error {
	l.rotating.Lock()
	defer l.rotating.Unlock()
	if l.closed {
		return fmt.Errorf("%w: the log is closed", ErrUnavailable)
	}
	if l.away != nil {
		return l.away
	}
	if l.active.Load() != s {
		return nil
	}
	if err := l.prepare(s); err != nil {
		return err
	}
	l.open = append(l.open, l.next)
	l.active.Store(l.next)
	l.next = nil
	return nil
}

// prepare creates the segment after s, unless there is one.
func (l *log) prepare(s *Segment) error {
	if l.next != nil {
		return nil
	}
	now := l.now()
	if l.full != nil && now.Sub(l.tried) < time.Second && !now.Before(l.tried) {
		return l.full
	}
	next, err := createSegment(l.path(s.first+s.length()), s.first+s.length(), l.nextSlots(s), now)
	l.full, l.tried = nil, now
	if err != nil {
		l.full = fmt.Errorf("%w: %w", ErrUnavailable, l.whyNot(err))
		return l.full
	}
	next.flush = l.flush
	l.next = next
	return nil
}

// nextSlots returns how many records the segment after s holds.
func (*log) nextSlots(s *Segment) int { return min(int(s.slots)*segmentGrowth, SegmentRecords) }

// ahead prepares the next segment once the active one is half full.
func (l *log) ahead() error {
	s := l.active.Load()
	if s.taken.Load() < s.slots/2 {
		return nil
	}
	l.rotating.Lock()
	defer l.rotating.Unlock()
	if l.active.Load() != s || l.closed || l.away != nil {
		return nil
	}
	return l.prepare(s)
}

// segments returns the open segments, the active one last.
func (l *log) segments() []*Segment {
	l.rotating.Lock()
	defer l.rotating.Unlock()
	return slices.Clone(l.open)
}

// each calls visit with the records that were written since the last call, in
// order, and returns the Seq of the last record read.
func (l *log) each(visit func(*Record)) (uint64, error) {
	var r Record
	for _, s := range l.segments() {
		for end := s.first + uint64(s.Prefix()); l.read < end; l.read++ {
			var err error
			if r, err = s.At(int(l.read - s.first)); err != nil {
				return l.read - 1, err
			}
			visit(&r)
		}
		if l.read < s.first+s.length() {
			break
		}
	}
	return l.read - 1, nil
}

// sync writes all records to the disk and returns the Seq of the last one there.
func (l *log) sync() (uint64, error) {
	last := uint64(0)
	for _, s := range l.segments() {
		if uint64(s.Prefix()) > s.synced {
			if err := s.Sync(); err != nil {
				return last, l.copyAway(s, err)
			}
		}
		last = s.first + s.synced - 1
		if s.synced < s.length() {
			break
		}
	}
	return last, nil
}

// copyAway copies a segment to a new file after a failed sync. The kernel may have
// dropped its pages: syncing again would report success without writing them.
func (l *log) copyAway(s *Segment, cause error) error {
	l.rotating.Lock()
	defer l.rotating.Unlock()
	slots := s.length()
	if l.active.Load() == s {
		slots = s.seal()
		if l.next != nil { // it begins after the full length of s
			_ = l.next.Close()
			_ = os.Remove(l.next.path)
			l.next = nil
		}
		if err := l.prepare(s); err != nil {
			return errors.Join(cause, err)
		}
		l.open = append(l.open, l.next)
		l.active.Store(l.next)
		l.next = nil
	}
	err := durable.Replace(s.path, 0o600, func(file *os.File) error { return s.copyTo(file, slots) })
	if err != nil {
		return errors.Join(cause, err)
	}
	s.synced = slots
	return fmt.Errorf("%w: its records were copied to a new file", cause)
}

// release unmaps segments that are read, synced and in the checkpoint, which holds
// the records up to last.
func (l *log) release(last uint64) error {
	l.rotating.Lock()
	defer l.rotating.Unlock()
	var errs []error
	for len(l.open) > 1 {
		s := l.open[0]
		if end := s.first + s.length(); end > last+1 || end > l.read || s.synced < s.length() {
			break
		}
		errs = append(errs, s.Close())
		l.open = l.open[1:]
	}
	return errors.Join(errs...)
}

// closedTo returns the last record of the segments that are not open any more.
func (l *log) closedTo() uint64 {
	l.rotating.Lock()
	defer l.rotating.Unlock()
	return l.open[0].first - 1
}

// end makes append fail. Records that are being appended are written when it
// returns.
func (l *log) end() {
	l.rotating.Lock()
	defer l.rotating.Unlock()
	l.closed = true
	l.open[len(l.open)-1].seal()
}

// close unmaps all segments without syncing them. Call end first.
func (l *log) close() error {
	err := closeAll(l.open)
	if l.next != nil {
		err = errors.Join(err, l.next.Close())
	}
	return err
}
