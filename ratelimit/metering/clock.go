package metering

import (
	"context"
	"sync"
	"time"
)

// reading is what the shared clock said at a reading of Elapsed.
type reading struct {
	micro   int64 // Unix microseconds
	elapsed time.Duration
}

// clockWait is how long a ledger with a shared clock waits for its first reading.
const clockWait = 3 * time.Second

// ClockSource says which clock the billing clock follows.
type ClockSource string

// The sources of the billing clock.
const (
	ClockPending ClockSource = "pending" // the shared clock has not been read yet
	ClockShared  ClockSource = "shared"  // that of Redis
	ClockKept    ClockSource = "kept"    // that of Redis, by what was known of it when this ledger was open before
	ClockMachine ClockSource = "machine" // the machine's
)

// Now returns the time of the billing clock. With a [Mirror] that is Redis' clock,
// which goes on by Elapsed between its readings: at whatever time the machine's clock
// is set, before or meanwhile. Without one it is the machine's clock. It never goes
// back, not even over restarts. Before AwaitClock returns it may be wrong; then it is
// for display only.
func (l *Ledger) Now() time.Time {
	settled := l.ClockSource() != ClockPending // first: a time that was read before is not kept
	at := l.clockNow().UnixMicro()
	for {
		latest := l.latest.Load()
		if at <= latest {
			return time.UnixMicro(latest)
		}
		if !settled || l.latest.CompareAndSwap(latest, at) {
			return time.UnixMicro(at)
		}
	}
}

// recordTime returns the time for a record of something that happens now: the billing
// clock's, or while that is not known the latest that was. A record with the machine's
// time could put the billing clock forward when the log is opened again.
func (l *Ledger) recordTime() time.Time {
	if l.ClockSource() == ClockPending {
		return time.UnixMicro(l.latest.Load())
	}
	return l.Now()
}

// clockNow returns the time of the clock that the billing clock follows, which may go
// back.
func (l *Ledger) clockNow() time.Time {
	if r := l.followed.Load(); r != nil {
		return time.UnixMicro(r.micro + (l.Elapsed() - r.elapsed).Microseconds())
	}
	return l.config.Now()
}

// ClockSource returns which clock the billing clock follows.
func (l *Ledger) ClockSource() ClockSource { return *l.source.Load() }

// AwaitClock returns when the billing clock is known: at once, or with a shared clock
// after its first reading. If there is none within three seconds, the clock is what was
// known of it when this ledger was open before, or else the machine's. The error is
// that of ctx.
func (l *Ledger) AwaitClock(ctx context.Context) error {
	if l.ClockSource() != ClockPending {
		return nil
	}
	select {
	case <-l.clockKnown:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// followClock has the billing clock follow a reading; nil stands for the machine's
// clock.
func (l *Ledger) followClock(r *reading, source ClockSource) {
	l.clocks.Lock()
	defer l.clocks.Unlock()
	l.setClock(r, source)
}

// UseMachineClock has the billing clock follow the machine's: there is no shared clock
// any more. Closing a [Mirror] does not do that. What is recorded while the process
// ends, or until another Mirror follows, goes by the last reading.
func (l *Ledger) UseMachineClock() { l.followClock(nil, ClockMachine) }

// setClock is followClock for a caller that holds clocks.
func (l *Ledger) setClock(r *reading, source ClockSource) {
	l.followed.Store(r)
	if *l.source.Swap(&source) == ClockPending {
		close(l.clockKnown)
	}
}

// assumeClock ends the wait for the shared clock, with what was kept of it.
func (l *Ledger) assumeClock() {
	r, source := l.assumed()
	l.clocks.Lock()
	defer l.clocks.Unlock()
	if l.ClockSource() == ClockPending {
		l.setClock(r, source)
	}
}

// assumed returns what the shared clock says now by what was kept of it, nil if
// nothing was.
func (l *Ledger) assumed() (*reading, ClockSource) {
	kept, ok := l.own.checkpoint.clock()
	if !ok {
		return nil, ClockMachine
	}
	r := &reading{micro: l.config.Now().UnixMicro() + kept.shared - kept.machine, elapsed: l.Elapsed()}
	if boot, up := RunClock(); boot != "" && boot == kept.boot { // whatever became of the machine's clock
		r.micro = kept.shared + (up - kept.up).Microseconds()
	}
	return r, ClockKept
}

// keptClock is a reading of the shared clock, for the process after this one.
type keptClock struct {
	shared, machine int64         // Unix microseconds
	boot            string        // the run of the machine, as in RunClock
	up              time.Duration // for how long it ran
}

// keepClock keeps a reading of the shared clock.
func (l *Ledger) keepClock(r reading) error {
	k := keptClock{shared: r.micro + (l.Elapsed() - r.elapsed).Microseconds(), machine: l.config.Now().UnixMicro()}
	k.boot, k.up = RunClock()
	return l.own.checkpoint.keepClock(k)
}

// Elapsed returns a reading of a clock that nobody sets. Two of its readings tell how
// much time passed between them in this process.
func (l *Ledger) Elapsed() time.Duration { return l.config.Elapsed() }

// Numbers returns the first of the numbers that this process counts its messages
// with: above those of all processes that had the same log before, and not below the
// time in microseconds.
func (l *Ledger) Numbers() uint64 { return l.numbers }

// clockStep is the smallest step of the machine's clock that is recorded.
const clockStep = 5 * time.Second

// noteStep records that the machine's clock was set if it differs from the last
// call's time plus the time that passed on the monotonic clock. The caller holds
// mu.
func (l *Ledger) noteStep(now time.Time, passed time.Duration) {
	before := l.clock
	l.clock = now
	if before.IsZero() {
		return
	}
	step := now.Round(0).Sub(before.Round(0)) - passed
	if step.Abs() < clockStep {
		return
	}
	flags := uint8(0)
	if step < 0 {
		flags = FlagBack
	}
	// If it fails, the disk is full, which invocations notice by themselves.
	_ = l.own.log.append(&Record{
		Type:     TypeClockStep,
		Flags:    flags,
		At:       l.recordTime(),
		Duration: step.Abs(),
	})
}

const (
	// offsetSamples is how many measurements are kept: those of one minute.
	offsetSamples = 12
	// MaxClockOffset is how far the clocks of a gateway and of Redis may be apart without
	// a warning. The billing clock follows Redis' at any offset.
	MaxClockOffset = 30 * time.Second
)

// offset is a measurement: by how much Redis' clock was ahead of a clock that nobody
// sets, give or take within.
type offset struct{ ahead, within time.Duration }

// apart reports whether two measurements contradict each other.
func (o offset) apart(other offset) bool {
	return (o.ahead - other.ahead).Abs() > o.within+other.within+drift
}

// offsets are the latest measurements.
type offsets struct {
	list    [offsetSamples]offset
	n       int
	step    offset // contradicts the list, if stepped
	stepped bool
}

// drift bounds how far two clocks drift apart in a minute.
const drift = 30 * time.Millisecond

// add adds a measurement and returns the most precise one. One that contradicts a
// former one is believed as soon as a second says the same: then Redis' clock was set,
// or another server with another clock has taken over, and the former ones are
// dropped.
func (o *offsets) add(latest offset) offset {
	best := latest
	for _, other := range o.list[:min(o.n, offsetSamples)] {
		if latest.apart(other) {
			if !o.stepped || latest.apart(o.step) {
				o.step, o.stepped = latest, true
				return o.best()
			}
			o.n, best = 0, latest
			break
		}
		if other.within < best.within {
			best = other
		}
	}
	o.stepped = false
	o.list[o.n%offsetSamples] = latest
	o.n++
	return best
}

// best returns the most precise of the measurements that are believed.
func (o *offsets) best() offset {
	best := o.list[0]
	for _, other := range o.list[:min(o.n, offsetSamples)] {
		if other.within < best.within {
			best = other
		}
	}
	return best
}

// keepClockAfter is by how much the shared clock must have changed to be kept again.
const keepClockAfter = time.Second

// followClock reads Redis' clock, which all gateways share, and has the billing clock
// follow it.
func (m *Mirror) followClock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushWait)
	defer cancel()
	m.calls.Add(1)
	before := m.ledger.Elapsed()
	at, err := m.conn.Time(ctx)
	if err != nil {
		return err
	}
	// An instant since 1970 as a duration fits until the year 2262.
	within := (m.ledger.Elapsed() - before) / 2
	best := m.offsets.add(offset{ahead: time.Duration(at.UnixNano()) - before - within, within: within})
	m.ledger.followClock(&reading{micro: best.ahead.Microseconds()}, ClockShared)
	m.clock.Store(int64(time.Until(m.ledger.clockNow())))
	if (best.ahead - m.kept).Abs() > keepClockAfter {
		m.kept = best.ahead
		return m.ledger.keepClock(reading{micro: best.ahead.Microseconds()})
	}
	return nil
}

// ClockOffset returns by how much Redis' clock is ahead of this machine's, 0 before
// the first measurement.
func (m *Mirror) ClockOffset() time.Duration { return time.Duration(m.clock.Load()) }

// now returns the shared time, by which gateways tell each other when they were
// present; zero before it was read.
func (m *Mirror) now() time.Time {
	if m.ledger.ClockSource() != ClockShared {
		return time.Time{}
	}
	return m.ledger.clockNow()
}

// silence returns for how long nothing was said since a time by the shared clock; 0
// before that was read.
func (m *Mirror) silence(since time.Time) time.Duration {
	now := m.now()
	if now.IsZero() {
		return 0
	}
	return now.Sub(since)
}

// heard has what each instance said last, and since when.
type heard struct {
	mu   sync.Mutex // guards last
	last map[string]saying
}

// saying is what was said, and the reading of Ledger.Elapsed when it was new here.
type saying struct {
	text  string
	since time.Duration
}

// unchanged takes in what an instance says, and returns for how long it has said it
// here.
func (h *heard) unchanged(id, text string, now time.Duration) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	said, known := h.last[id]
	if !known || said.text != text {
		if h.last == nil {
			h.last = make(map[string]saying)
		}
		said = saying{text: text, since: now}
		h.last[id] = said
	}
	return now - said.since
}

// appear reads the shared clock, and tells other gateways that Redis has all sums of
// this one up to a time that now returned. The time of a machine is never told.
func (m *Mirror) appear(ctx context.Context, known time.Time) error {
	if err := m.followClock(ctx); err != nil || known.IsZero() {
		return err
	}
	return m.register(ctx, known)
}
