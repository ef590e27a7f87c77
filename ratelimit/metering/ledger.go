package metering

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// Sync is a sync mode: how many of the latest records a power loss may take. The
// end of the process takes none in any mode.
type Sync string

// The sync modes.
const (
	SyncGroup  Sync = "group"  // default: records are synced every 50 ms, however many there are
	SyncStrict Sync = "strict" // none is lost: an invocation waits until its record is on the disk
	SyncNone   Sync = "none"   // records are never synced, the kernel writes them when it likes; for tests
)

// SyncModes lists the sync modes.
func SyncModes() []string { return []string{string(SyncNone), string(SyncGroup), string(SyncStrict)} }

const (
	groupEvery      = 50 * time.Millisecond
	checkpointEvery = 5 * time.Second
)

// Config configures a Ledger.
type Config struct {
	Dir string           // on a local disk; several processes may share it
	Now func() time.Time // default: time.Now
	// Elapsed is a clock that nobody sets, since any moment. Default: the monotonic
	// reading of Now, or the difference of two Now without one.
	Elapsed func() time.Duration
	// SharedClock says that a Mirror will follow, and that the billing clock is not known
	// before its first reading.
	SharedClock bool
	// Trouble is called with errors of background work, and with nil when they are
	// over. Optional.
	Trouble func(error)
	// Sent returns the last record of an instance log whose sums a mirror has sent. If that
	// is later than the last in the files, these were set back to an older copy. Optional.
	Sent func(instance string) (uint64, error)
	// Present says that a process sends sums of an instance log now. If the machine was
	// started since the log was written, that process is on another. Optional.
	Present func(instance string) (bool, error)
}

// Ledger is the instance log of this process and the logs that it took over from
// processes that ended, with the sums of their records. It is safe for concurrent
// use.
type Ledger struct {
	config     Config
	own        *instanceLog
	begun      uint64 // the last record when the log was opened
	numbers    uint64 // the first of this process's numbers
	mode       atomic.Pointer[Sync]
	strict     atomic.Bool
	latest     atomic.Int64            // the billing clock, in microseconds
	clocks     sync.Mutex              // serializes followClock
	followed   atomic.Pointer[reading] // of the shared clock; nil: the billing clock is the machine's
	source     atomic.Pointer[ClockSource]
	clockKnown chan struct{} // closed when source is not ClockPending any more
	assume     *time.Timer   // runs assumeClock
	refusals   refusals
	stop       chan struct{}
	kick       chan struct{} // wakes run: somebody waits for a sync
	stopped    sync.WaitGroup
	stepped    atomic.Int64 // when step last succeeded, by Elapsed

	mu        sync.Mutex // guards the fields up to mirrored, and what of instance logs is for one goroutine
	orphans   []*instanceLog
	copied    []*instanceLog // while mirrored: those that are left as they are
	synced    uint64         // the last record of own that is on the disk
	syncTried *sync.Cond     // broadcast after each attempt to sync
	failed    error          // of the last sync
	readOnly  error          // no file can be created
	saved     time.Time      // when the checkpoint was last written
	forgot    time.Time      // when old sums were last removed
	deferred  map[deferredKey]*deferred
	mirrored  bool // sums are sent to a mirror

	free   map[string]time.Time // when instance logs were first seen without a process; for guard
	places []durable.Place      // what must stay where it was

	mayWrite func(dir string) error // mayWrite, or a test's
	clock    time.Time              // the machine's, in the last step
}

// Open opens the ledger in a directory. It continues an instance log whose process
// ended, or begins a new one. Close it when done.
func Open(config Config) (*Ledger, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Elapsed == nil {
		opened := config.Now()
		config.Elapsed = func() time.Duration { return config.Now().Sub(opened) }
	}
	if config.Trouble == nil {
		config.Trouble = func(error) {}
	}
	if err := checkLogs(config.Dir); err != nil {
		return nil, fmt.Errorf("opening the ledger in %s: %w", config.Dir, err)
	}
	own, orphans, err := claim(filepath.Join(config.Dir, "inst"))
	if err != nil {
		return nil, fmt.Errorf("opening the ledger in %s: %w", config.Dir, err)
	}
	id, err := Identity(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("opening the ledger in %s: %w", config.Dir, errors.Join(err, closeInstances(own, orphans)))
	}
	l := &Ledger{
		config:     config,
		clockKnown: make(chan struct{}),
		stop:       make(chan struct{}),
		kick:       make(chan struct{}, 1),
		free:       make(map[string]time.Time),
		saved:      config.Now(),
		mayWrite:   mayWrite,
	}
	l.syncTried = sync.NewCond(&l.mu)
	l.refusals.counts = xsync.NewMap[refusal, *atomic.Uint32]()
	if l.own, err = openInstanceLog(own, id, config.Now); err != nil {
		return nil, fmt.Errorf("opening the ledger in %s: %w", config.Dir, errors.Join(err, closeInstances(own, orphans)))
	}
	for i, orphan := range orphans {
		b, err := openInstanceLog(orphan, id, config.Now)
		if err != nil {
			return nil, fmt.Errorf("opening the ledger in %s: %w", config.Dir, errors.Join(err, closeInstances(nil, orphans[i:]), l.closeLogs()))
		}
		l.orphans = append(l.orphans, b)
	}
	if err := l.leaveCopies(id); err != nil {
		return nil, fmt.Errorf("opening the ledger in %s: %w", config.Dir, errors.Join(err, l.closeLogs()))
	}
	l.SetSync(SyncGroup)
	l.setOrigin(Origin{id, FormPeriod})
	if err := l.checkDatabases(); err != nil {
		return nil, fmt.Errorf("opening the ledger in %s: %w", config.Dir, errors.Join(err, l.closeLogs()))
	}
	if l.places, err = placesOf(config.Dir, l.own); err != nil {
		return nil, fmt.Errorf("opening the ledger in %s: %w", config.Dir, errors.Join(err, l.closeLogs()))
	}
	l.begun = l.own.projection.last
	for _, b := range l.logs() {
		l.latest.Store(max(l.latest.Load(), b.projection.latest.UnixMicro()))
	}
	if l.numbers, err = l.own.checkpoint.nextNumbers(uint64(max(config.Now().UnixMicro(), l.latest.Load()))); err != nil {
		return nil, fmt.Errorf("opening the ledger in %s: %w", config.Dir, errors.Join(err, l.closeLogs()))
	}
	source := ClockMachine
	if config.SharedClock {
		source = ClockPending
	}
	l.source.Store(&source)
	l.assume = time.AfterFunc(clockWait, l.assumeClock)
	if !config.SharedClock {
		l.assume.Stop()
	}
	l.stepped.Store(int64(l.Elapsed()))
	l.stopped.Go(l.run)
	l.stopped.Go(l.archive)
	l.stopped.Go(l.guard)
	l.stopped.Go(l.watch)
	return l, nil
}

// SetSync changes the sync mode.
func (l *Ledger) SetSync(mode Sync) {
	l.mode.Store(&mode)
	l.own.dictionary.lazy.Store(mode == SyncNone)
	l.strict.Store(mode == SyncStrict)
}

// Instance returns the id of this process's instance log: 12 hex digits.
func (l *Ledger) Instance() string { return l.own.instance.id }

// Recovered reports what Open found in the log of the process before.
func (l *Ledger) Recovered() Recovered { return l.own.log.recovered }

// Subject returns the number of a subject. It writes a new one to the dictionary.
func (l *Ledger) Subject(s Subject) (SubjectID, error) { return l.own.dictionary.subject(s) }

// Functions returns the names of a project's functions that were ever recorded.
func (l *Ledger) Functions(project string) []string { return l.own.dictionary.functions(project) }

// Region returns the number of a region. It writes a new one to the dictionary.
func (l *Ledger) Region(name string) (uint16, error) { return l.own.dictionary.region(name) }

// Invocation identifies what Admit, Void and Done record: who called what, in
// which region, and when it was admitted. All records of one invocation carry
// the same values.
type Invocation struct {
	Subject SubjectID // from Ledger.Subject
	Region  uint16    // from Ledger.Region
	At      time.Time // when it was admitted, by Ledger.Now
}

// record returns a record of one unit of the invocation.
func (i *Invocation) record(t Type, ref uint64) Record {
	return Record{
		Type:    t,
		Ref:     ref,
		Region:  i.Region,
		At:      i.At,
		Subject: uint32(i.Subject),
		Units:   1,
	}
}

// Admit records an invocation that is about to be sent and returns the number of
// its record. The error wraps ErrUnavailable; nothing may be sent then.
func (l *Ledger) Admit(i Invocation) (seq uint64, err error) {
	if seq, err = l.Begin(i); err != nil {
		return 0, err
	}
	if err = l.Await(seq); err != nil {
		// Nothing will be sent, but the record may still reach the disk.
		return 0, errors.Join(err, l.Void(seq, i))
	}
	return seq, nil
}

// Begin writes the record of Admit without waiting for the disk. Call Await
// before the invocation is sent.
func (l *Ledger) Begin(i Invocation) (seq uint64, err error) {
	r := i.record(TypeAdmitted, 0)
	err = l.own.log.append(&r)
	return r.Seq, err
}

// Await waits until the record that Begin wrote is as safe as the sync mode
// promises: with SyncStrict on the disk, otherwise it returns at once. If it
// fails, the record exists but may not be on the disk.
func (l *Ledger) Await(seq uint64) error {
	if !l.strict.Load() {
		return nil
	}
	return l.wait(seq)
}

// Void records that the invocation admitted as seq was never sent.
func (l *Ledger) Void(seq uint64, i Invocation) error {
	r := i.record(TypeVoid, seq)
	return l.own.log.append(&r)
}

// Ending describes how an invocation ended.
type Ending struct {
	Status            int           // HTTP status of the response
	Attempts          int           // how many times it was sent
	Cut               bool          // the response ended before it was complete
	Duration          time.Duration // from admission to the end
	BytesIn, BytesOut uint64        // of the request body and the response body
}

// Done records the end of the invocation that was admitted as seq.
func (l *Ledger) Done(seq uint64, i Invocation, e Ending) error {
	r := i.record(TypeDone, seq)
	if e.Cut {
		r.Flags = FlagCut
	}
	r.Status, r.Attempts, r.Duration = uint16(e.Status), uint8(min(e.Attempts, 255)), e.Duration
	r.BytesIn, r.BytesOut = e.BytesIn, e.BytesOut
	return l.own.log.append(&r)
}

// run calls step every 50 ms, or as soon as somebody waits for the disk, until
// Close.
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
		if err == nil {
			l.stepped.Store(int64(l.Elapsed()))
		}
		l.mu.Lock()
		before := l.failed
		l.failed = err
		l.syncTried.Broadcast()
		l.mu.Unlock()
		if (err == nil) != (before == nil) || err != nil && err.Error() != before.Error() {
			l.config.Trouble(err)
		}
	}
}

// SyncAge returns how long ago all records were last brought to the disk, which is
// done every 50 ms. In the mode SyncNone that is left to the kernel.
func (l *Ledger) SyncAge() time.Duration {
	return max(0, l.Elapsed()-time.Duration(l.stepped.Load()))
}

// step prepares the next segment, records what is pending, syncs the log, adds new
// records to the sums and writes the checkpoint when it is due.
func (l *Ledger) step() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, err, now := l.own, l.own.log.ahead(), l.config.Now()
	l.noteStep(now, now.Sub(l.clock))
	if err := l.own.log.gone(); err != nil {
		return err
	}
	l.recordRefused(now, false)
	err = errors.Join(err, l.recordDeferred())
	if *l.mode.Load() != SyncNone {
		err = errors.Join(err, b.dictionary.sync())
		synced, syncErr := b.log.sync()
		l.synced = max(l.synced, synced)
		err = errors.Join(err, syncErr)
	}
	if _, readErr := b.log.each(b.projection.add); readErr != nil {
		err = errors.Join(err, readErr)
	}
	err = errors.Join(err, b.checkpoint.inUse(b.log.last().first))
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
	if err := b.checkpoint.save(b.projection, b.dictionary); err != nil {
		return err
	}
	l.saved = now
	if err := b.log.release(last); err != nil {
		return err
	}
	b.saved = b.log.closedTo()
	return nil
}

// wait returns when a record is on the disk, or with ErrUnavailable when a sync
// failed.
func (l *Ledger) wait(seq uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.synced < seq {
		select {
		case l.kick <- struct{}{}:
		default:
		}
		l.syncTried.Wait()
		if l.failed != nil && l.synced < seq {
			return fmt.Errorf("%w: %w", ErrUnavailable, l.failed)
		}
	}
	return nil
}

func (l *Ledger) logs() []*instanceLog { return append([]*instanceLog{l.own}, l.orphans...) }

// Close writes everything to the disk and closes the files. Recording fails
// afterwards.
func (l *Ledger) Close() error {
	close(l.stop)
	l.assume.Stop()
	l.stopped.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recordRefused(l.config.Now(), true)
	return errors.Join(l.recordDeferred(), l.noteDatabases(), l.closeLogs())
}

func (l *Ledger) closeLogs() error {
	var err error
	for _, b := range append(l.logs(), l.copied...) {
		err = errors.Join(err, b.close())
	}
	return err
}
