package metering

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"
)

// Sync is how much of the log the end of the machine may take with it. The end
// of the process takes nothing.
type Sync string

// The modes of syncing.
const (
	SyncGroup  Sync = "group"  // at most what came within 50 ms or 256 KiB (default)
	SyncStrict Sync = "strict" // nothing: an invocation waits until its record is on the disk
	SyncNone   Sync = "none"   // whatever the kernel has not written yet; for tests
)

// SyncModes lists the modes of syncing.
func SyncModes() []string { return []string{string(SyncNone), string(SyncGroup), string(SyncStrict)} }

const (
	groupEvery      = 50 * time.Millisecond
	groupRecords    = (256 << 10) / RecordSize
	checkpointEvery = 5 * time.Second
)

// Config says how a Ledger is kept.
type Config struct {
	Dir string           // a directory of this machine; several processes may share it
	Now func() time.Time // default time.Now
	// Trouble is told what went wrong in the background, and that it is over with
	// nil. Optional.
	Trouble func(error)
}

// Ledger is the log of one process, with the sums of what is in it, and of the
// logs beside it whose processes are gone. It is safe for concurrent use.
type Ledger struct {
	config   Config
	own      *instanceLog
	begun    uint64 // the last record of the process before
	mode     atomic.Pointer[Sync]
	strict   atomic.Bool
	latest   atomic.Int64 // the billing clock, in microseconds
	ahead    atomic.Int64 // of the machine's clock, in microseconds
	refusals refusals
	stop     chan struct{}
	kick     chan struct{} // somebody waits for the disk
	stopped  sync.WaitGroup

	mu       sync.Mutex // guards all below, and what of the logs is for one goroutine
	orphans  []*instanceLog
	synced   uint64 // on the disk
	waiting  *sync.Cond
	failed   error // of the last try to write to the disk
	saved    time.Time
	forgot   time.Time // when it was last looked for sums that are not kept
	later    map[unwritten]*waiting
	mirrored bool // sums are sent to a mirror

	free  map[string]time.Time // logs that nobody has, since when; for one goroutine
	clock time.Time            // of the machine, in the round before
}

// instanceLog is the log of one instance with its sums.
type instanceLog struct {
	instance   *instance
	log        *log
	dictionary *dictionary
	checkpoint *checkpoint
	projection *projection
	archiving  sync.Mutex
	saved      uint64 // the record up to which the sums are on the disk, and no segment is open
}

// Open takes up the ledger in a directory: the log of a process that is gone,
// or a new one.
func Open(config Config) (*Ledger, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Trouble == nil {
		config.Trouble = func(error) {}
	}
	own, orphans, err := claim(filepath.Join(config.Dir, "inst"))
	if err != nil {
		return nil, fmt.Errorf("opening the ledger in %s: %w", config.Dir, err)
	}
	l := &Ledger{config: config, stop: make(chan struct{}), kick: make(chan struct{}, 1), free: make(map[string]time.Time), saved: config.Now()}
	l.waiting = sync.NewCond(&l.mu)
	l.SetSync(SyncGroup)
	l.refusals.counts = xsync.NewMap[refusal, *atomic.Uint32]()
	if l.own, err = openInstanceLog(own, config.Now); err != nil {
		return nil, fmt.Errorf("opening the ledger in %s: %w", config.Dir, errors.Join(err, closeInstances(own, orphans)))
	}
	for i, orphan := range orphans {
		b, err := openInstanceLog(orphan, config.Now)
		if err != nil {
			return nil, fmt.Errorf("opening the ledger in %s: %w", config.Dir, errors.Join(err, closeInstances(nil, orphans[i:]), l.closeLogs()))
		}
		l.orphans = append(l.orphans, b)
	}
	l.begun = l.own.projection.last
	l.latest.Store(l.own.projection.latest.UnixMicro())
	l.stopped.Go(l.run)
	l.stopped.Go(l.archive)
	l.stopped.Go(l.guard)
	return l, nil
}

// archive compresses what is full, until Close.
func (l *Ledger) archive() {
	tick := time.NewTicker(archiveEvery)
	defer tick.Stop()
	for {
		for _, b := range l.logs() {
			l.mu.Lock()
			done := b.saved
			l.mu.Unlock()
			if err := b.archive(done); err != nil {
				l.config.Trouble(err)
			}
		}
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
	}
}

func openInstanceLog(i *instance, now func() time.Time) (*instanceLog, error) {
	b := &instanceLog{instance: i}
	var err error
	if b.dictionary, err = openDictionary(filepath.Join(i.dir, "dict.seg")); err != nil {
		return nil, err
	}
	if b.checkpoint, err = openCheckpoint(filepath.Join(i.dir, "checkpoint.db")); err != nil {
		return nil, errors.Join(err, b.dictionary.close())
	}
	b.projection = newProjection(b.dictionary.lookup)
	err = b.checkpoint.load(b.projection)
	if err == nil {
		b.log, err = openLog(filepath.Join(i.dir, "wal"), b.projection.last, now)
	}
	if err == nil {
		_, err = b.log.each(b.projection.add)
	}
	if err == nil {
		err = b.dictionary.reserve(b.projection.highest)
		b.saved = b.log.closedTo()
	}
	if err != nil {
		if b.log != nil {
			err = errors.Join(err, b.log.close())
		}
		return nil, errors.Join(err, b.checkpoint.close(), b.dictionary.close())
	}
	return b, nil
}

// close gives the files back, with all sums kept.
func (b *instanceLog) close() error {
	b.log.end()
	_, err := b.log.each(b.projection.add)
	err = errors.Join(err, b.dictionary.sync())
	if _, syncErr := b.log.sync(); syncErr != nil {
		err = errors.Join(err, syncErr)
	}
	if err == nil {
		err = b.checkpoint.save(b.projection)
	}
	return errors.Join(err, b.log.close(), b.checkpoint.close(), b.dictionary.close(), b.instance.close())
}

// SetSync changes the mode of syncing.
func (l *Ledger) SetSync(mode Sync) {
	l.mode.Store(&mode)
	l.strict.Store(mode == SyncStrict)
}

// Instance is the id of the process's log.
func (l *Ledger) Instance() string { return l.own.instance.id }

// Recovered is what was found when the log was taken up.
func (l *Ledger) Recovered() Recovered { return l.own.log.recovered }

// Subject returns the number of a subject.
func (l *Ledger) Subject(s Subject) (SubjectID, error) { return l.own.dictionary.subject(s) }

// Functions returns the names of a project's functions that have numbers.
func (l *Ledger) Functions(project string) []string { return l.own.dictionary.functions(project) }

// Region returns the number of a region.
func (l *Ledger) Region(name string) (uint16, error) { return l.own.dictionary.region(name) }

// Admit records an invocation that is about to be sent, admitted at a time of
// Now. Nothing may be sent if it fails; the error is ErrUnavailable then.
func (l *Ledger) Admit(subject SubjectID, region uint16, at time.Time, revision uint32) (seq uint64, err error) {
	if seq, err = l.Begin(subject, region, at, revision); err != nil {
		return 0, err
	}
	if err = l.Await(seq); err != nil {
		// Nothing will be sent, and yet the record may come to the disk.
		return 0, errors.Join(err, l.Void(seq, subject, region, at))
	}
	return seq, nil
}

// Begin is Admit without waiting for the disk, which is left to Await.
func (l *Ledger) Begin(subject SubjectID, region uint16, at time.Time, revision uint32) (seq uint64, err error) {
	r := Record{Type: TypeAdmitted, Region: region, At: at, Subject: uint32(subject), Units: 1, Revision: revision}
	err = l.own.log.append(&r)
	return r.Seq, err
}

// Await returns when what Begin recorded is as safe as the mode of syncing says.
// Where it fails the record is there, and may not be on the disk.
func (l *Ledger) Await(seq uint64) error {
	if !l.strict.Load() {
		return nil
	}
	return l.wait(seq)
}

// Void takes back what Admit recorded: nothing was sent.
func (l *Ledger) Void(seq uint64, subject SubjectID, region uint16, at time.Time) error {
	return l.own.log.append(&Record{Type: TypeVoid, Ref: seq, Region: region, At: at, Subject: uint32(subject), Units: 1})
}

// Ending is how an invocation ended.
type Ending struct {
	Status            int
	Attempts          int
	Cut               bool // before its end
	Duration          time.Duration
	BytesIn, BytesOut uint64
}

// Done records that what Admit recorded has ended.
func (l *Ledger) Done(seq uint64, subject SubjectID, region uint16, at time.Time, e Ending) error {
	flags := uint8(0)
	if e.Cut {
		flags = FlagCut
	}
	return l.own.log.append(&Record{
		Type: TypeDone, Flags: flags, Ref: seq, Region: region, At: at, Subject: uint32(subject), Units: 1,
		Status: uint16(e.Status), Attempts: uint8(min(e.Attempts, 255)), Duration: e.Duration, BytesIn: e.BytesIn, BytesOut: e.BytesOut,
	})
}

// run syncs, adds up and prepares, until Close.
func (l *Ledger) run() {
	tick := time.NewTicker(groupEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		case <-l.kick:
		}
		err := l.step()
		l.mu.Lock()
		before := l.failed
		l.failed = err
		l.waiting.Broadcast()
		l.mu.Unlock()
		if (err == nil) != (before == nil) || err != nil && err.Error() != before.Error() {
			l.config.Trouble(err)
		}
	}
}

// step is one round of run.
func (l *Ledger) step() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, err, now := l.own, l.own.log.ahead(), l.config.Now()
	l.noteStep(now, now.Sub(l.clock))
	l.keepRefused(now, false)
	err = errors.Join(err, l.keepLater())
	if *l.mode.Load() != SyncNone {
		err = errors.Join(err, b.dictionary.sync())
		synced, syncErr := b.log.sync()
		l.synced = max(l.synced, synced)
		err = errors.Join(err, syncErr)
	}
	if _, readErr := b.log.each(b.projection.add); readErr != nil {
		err = errors.Join(err, readErr)
	}
	if age := now.Sub(l.saved); len(b.projection.changed) > 0 && (age >= checkpointEvery || age < 0) {
		// The sums must not be ahead of the log on the disk.
		if saveErr := l.save(b, now); saveErr != nil {
			err = errors.Join(err, saveErr)
		}
	}
	return errors.Join(err, l.forget(now))
}

func (l *Ledger) save(b *instanceLog, now time.Time) error {
	last := b.projection.last
	if err := b.dictionary.sync(); err != nil {
		return err
	}
	if _, err := b.log.sync(); err != nil {
		return err
	}
	if err := b.checkpoint.save(b.projection); err != nil {
		return err
	}
	l.saved = now
	if err := b.log.release(last); err != nil {
		return err
	}
	b.saved = b.log.closedTo()
	return nil
}

// wait returns when a record is on the disk, or cannot be brought there.
func (l *Ledger) wait(seq uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.synced < seq {
		select {
		case l.kick <- struct{}{}:
		default:
		}
		l.waiting.Wait()
		if l.failed != nil && l.synced < seq {
			return fmt.Errorf("%w: %w", ErrUnavailable, l.failed)
		}
	}
	return nil
}

func (l *Ledger) logs() []*instanceLog { return append([]*instanceLog{l.own}, l.orphans...) }

// MirroredIn notes where the sums are sent from now on, and reports whether that
// is where they were sent before.
func (l *Ledger) MirroredIn(place string) (before bool, err error) {
	if l.own.checkpoint.marked() == place {
		return true, nil
	}
	return false, l.own.checkpoint.mark(place)
}

// Healthy returns nil while records come to the disk.
func (l *Ledger) Healthy() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// Close brings everything to the disk. What is recorded later is an error.
func (l *Ledger) Close() error {
	close(l.stop)
	l.stopped.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keepRefused(l.config.Now(), true)
	return errors.Join(l.keepLater(), l.closeLogs())
}

func (l *Ledger) closeLogs() error {
	var err error
	for _, b := range l.logs() {
		err = errors.Join(err, b.close())
	}
	return err
}
