package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/metering/durable"
	"github.com/edgegate/edgegate/ratelimit/quota"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// Engine counts requests, keeps organizations within their quotas, and makes and
// exports their line items. It outlives configurations and is safe for concurrent
// use. Locks are taken in the order adjusting, updating, terming, exports.mu.
type Engine struct {
	dir string
	now func() time.Time // the clock of the machine

	logger    atomic.Pointer[slog.Logger]
	catalogue atomic.Pointer[Catalogue] // of the configuration in force; nil before Use
	opened    atomic.Pointer[opened]    // nil before Start
	starting  sync.Mutex                // one Start or Close at a time
	changed   chan struct{}             // another catalogue is in force

	requests requestCounts

	terming     sync.Mutex // held from reading the catalogue until the store knows its prices: never an older one after a later
	updating    sync.Mutex // held while line items are recomputed, or compared with sums; guards updatedLogs and updatedID
	updatedLogs int        // how many instance logs the line items have from their beginning
	updatedID   string     // the id of the file that has them
	updated     atomic.Bool
	adjusting   sync.Mutex // one adjustment at a time: none may go below what the one before left
}

// opened has the parts of an engine that has started.
type opened struct {
	now     func() time.Time // the clock of the machine
	ledger  *metering.Ledger
	quotas  *quota.Manager
	names   *functionNames
	lines   *usage.LineStore
	terms   *usage.TermBook
	exports *exports
	shared  atomic.Pointer[SharedStore] // nil: nothing is shared

	calls      atomic.Int64 // that have a record, and none yet of their end
	unrecorded trouble      // calls that the ledger took no record of
	ungranted  trouble      // calls that could not be granted a unit, since nobody could be asked

	noBills atomic.Pointer[NoBillsError] // nil while lines are made

	counted bool // the ledger had records when it was opened

	cancel     context.CancelFunc
	background sync.WaitGroup // ends after cancel
}

// ErrNotOpen says that the engine has not started.
var ErrNotOpen = errors.New("the ledger is not open")

// NewEngine returns the engine whose files are in a directory of this machine. It
// opens nothing.
func NewEngine(dir string) *Engine {
	e := &Engine{dir: dir, now: time.Now, changed: make(chan struct{}, 1)}
	e.logger.Store(slog.New(slog.DiscardHandler))
	return e
}

// Start opens the engine, unless it is open, and puts settings into force. After
// an error those before hold.
func (e *Engine) Start(s Settings) error {
	e.starting.Lock()
	defer e.starting.Unlock()
	logger := s.Logger
	if logger == nil {
		logger = slog.Default()
	}
	e.logger.Store(logger)
	o := e.opened.Load()
	if o == nil {
		var err error
		if o, err = e.open(s.Redis); err != nil {
			return err
		}
		e.opened.Store(o)
	}
	if s.Sync == "" {
		s.Sync = metering.SyncGroup
	}
	o.ledger.SetSync(s.Sync)
	return e.share(o, s.Redis)
}

// open opens the ledger and begins to make and export line items. store is the shared
// store that follows, nil for none: its clock is the billing clock.
func (e *Engine) open(store *redisconn.Config) (*opened, error) {
	shared := store != nil
	config := metering.Config{
		Dir:         e.dir,
		Now:         e.now,
		SharedClock: shared,
		Trouble:     e.logLedger,
	}
	if shared {
		end, err := askStore(store, &config)
		if err != nil {
			return nil, err
		}
		defer end()
	}
	ledger, err := metering.Open(config)
	if errors.As(err, new(*durable.DamageError)) {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w; name a directory that can be written with `store embedded DIRECTORY`", err)
	}
	logger := e.log()
	if found := ledger.Recovered(); found.Dead+found.Torn > 0 {
		logger.Warn("recovered ledger after unclean shutdown",
			slog.Int("invocations_not_begun", found.Dead), slog.Int("records_damaged", found.Torn))
	}
	for _, aside := range ledger.SetAside() {
		logger.Error("checkpoint of the ledger damaged or missing; its sums are made again of the records", logError(aside))
	}
	for _, id := range ledger.Copied() {
		what := "directory of the ledger is a copy, or was set back to one; this gateway goes on under a new id"
		if shared { // otherwise what is left of it is given back as that of a log that was taken over
			what += ". If no gateway runs on the original any more: edgegate quota release " + id
		}
		logger.Warn(what, slog.String("original", id))
	}
	logger.Info("ledger opened", slog.String("gateway", ledger.Instance()))
	for _, z := range ledger.UnknownZones() {
		logger.Warn("unknown time zone in ledger; invocations counted in it are kept and not billed",
			slog.String("time_zone", z.Zone), slog.Any("organizations", z.Organizations))
	}
	o := &opened{
		now:    e.now,
		ledger: ledger,
		quotas: quota.NewManager(ledger, e.embedded(ledger)),
		names:  newFunctionNames(ledger.Functions),
		lines:  usage.NewLineStore(filepath.Join(e.dir, "billing.db"), ledger.Origin().Ledger),
	}
	o.lines.Opened, o.lines.Told = ledger.NoteDatabases, filepath.Join(e.dir, "told.db")
	o.lines.Notes = ledger
	o.lines.Elsewhere = func() bool { return o.shared.Load() != nil }
	o.lines.Noticed = func(what string) { e.log().Warn("file of what is billed replaced", slog.String("what", what)) }
	before, err := ledger.Usage()
	o.counted = err != nil || len(before) > 0
	o.terms = usage.NewTermBook(o.lines, ledger.Instance())
	o.quotas.OnTakeover(func(gateway string) {
		e.log().Info("log of an ended gateway taken over, and its unused units given back", slog.String("gateway", gateway))
	})
	o.exports = newExports(e, o)
	var ctx context.Context
	ctx, o.cancel = context.WithCancel(context.Background())
	o.background.Go(func() {
		if ledger.AwaitClock(ctx) == nil {
			e.keepTerms(ctx, o)
		}
	})
	o.background.Go(func() {
		if ledger.AwaitClock(ctx) != nil {
			return
		}
		if source := ledger.ClockSource(); shared && source != metering.ClockShared {
			e.log().Warn("clock of Redis not read within 3 s; the billing clock goes by what was known of it before, or else by this machine's clock",
				slog.String("clock", string(source)))
		}
		e.keepLines(ctx)
	})
	o.background.Go(func() { o.exports.run(ctx) })
	return o, nil
}

// Use puts a catalogue into force.
func (e *Engine) Use(c Catalogue) {
	e.catalogue.Store(&c)
	select {
	case e.changed <- struct{}{}:
	default: // it is known already
	}
}

// InUse reports whether a catalogue is in force: some configuration has started.
func (e *Engine) InUse() bool { return e.catalogue.Load() != nil }

// inForce returns what the engine has and the catalogue in force, or ErrNotOpen.
func (e *Engine) inForce() (*opened, Catalogue, error) {
	o, c := e.opened.Load(), e.catalogue.Load()
	if o == nil || c == nil {
		return nil, nil, ErrNotOpen
	}
	return o, *c, nil
}

// closeWait bounds how long Close waits for calls that end: the handlers of WebSockets
// that were just closed.
const closeWait = time.Second

// Close ends the work in the background and closes the ledger. Calls that run on
// after a second have no record of their end. An engine that is not open has
// nothing to close.
func (e *Engine) Close() error {
	e.starting.Lock()
	defer e.starting.Unlock()
	o := e.opened.Load()
	if o == nil {
		return nil
	}
	// A round under way is not awaited: the next process makes up for it.
	o.cancel()
	o.background.Wait()
	o.awaitCalls()
	ctx, cancel := context.WithTimeout(context.Background(), lastWait)
	defer cancel()
	var last sync.WaitGroup
	last.Go(func() { o.quotas.Close(ctx) })
	var err error
	s := o.shared.Load()
	if s != nil {
		s.cancel()
		// The turns first: another gateway goes on at once.
		last.Go(func() {
			o.exports.pause() // for good
			if err := o.exports.leave(ctx, s); err != nil {
				e.log().Warn("turns to export not given up, or what exporters were told not copied from Redis", logError(err))
			}
		})
		err = s.mirror.Close(ctx) // at the same time: a slow Redis must not leave it without any
	}
	last.Wait()
	if s != nil {
		err = errors.Join(err, s.conn.Close())
	}
	return errors.Join(err, o.ledger.Close())
}

// awaitCalls returns when no call runs, or after closeWait.
func (o *opened) awaitCalls() {
	deadline := time.After(closeWait)
	tick := time.NewTicker(closeWait / 200)
	defer tick.Stop()
	for o.calls.Load() > 0 {
		select {
		case <-deadline:
			return
		case <-tick.C:
		}
	}
}

// Dir is the directory of the engine's files.
func (e *Engine) Dir() string { return e.dir }

// Ledger returns the instance log of this process; nil before Start.
func (e *Engine) Ledger() *metering.Ledger {
	if o := e.opened.Load(); o != nil {
		return o.ledger
	}
	return nil
}

// Shared returns the store that gateways share; nil before Start, and where
// nothing is shared.
func (e *Engine) Shared() *SharedStore {
	if o := e.opened.Load(); o != nil {
		return o.shared.Load()
	}
	return nil
}

// log returns the logger in force.
func (e *Engine) log() *slog.Logger { return e.logger.Load() }

// logError is the attribute of an error.
func logError(err error) slog.Attr { return slog.Any("error", err) }

// logLedger logs what the ledger met in the background.
func (e *Engine) logLedger(err error) {
	if err == nil {
		e.log().Info("ledger writable again")
		return
	}
	if metering.Displaced(err) {
		e.log().Error("files of the ledger not in their place; calls are answered 503, and those of the last seconds may not be recorded", logError(err))
		return
	}
	e.log().Error("ledger not writable; calls are answered 503 once its current file is full", logError(err))
}
