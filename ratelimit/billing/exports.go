package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

const (
	// exportEvery is the interval of an exporter's rounds, exportLook that of the checks
	// whether a round is due.
	exportEvery = time.Minute
	exportLook  = time.Second
	// exportMost bounds a round, so that other exporters have their turn.
	exportMost = 5 * time.Minute
	// The pause after a failed round begins with exportRetry and ends with exportRetryMost.
	exportRetry, exportRetryMost = 2 * time.Second, time.Hour
	// pagesKept is for how long Redis has what exporters were told.
	pagesKept = 60 * 24 * time.Hour
	// tendEvery is the interval in which gateways that stand by copy these, and the one
	// that sends removes old ones.
	tendEvery = 10 * time.Minute
)

// errStandby says that another process exports.
var errStandby = errors.New("another process exports")

// exports brings line items to the exporters of the catalogue in force.
type exports struct {
	engine *Engine
	opened *opened

	mu        sync.Mutex           // held for as long as anything is exported, and while the store changes; guards tended and rechecked
	tended    map[string]time.Time // when shared pages were last tended, by service
	rechecked map[string]uint64    // joiner.Joins at the last Recheck, by service

	leaving atomic.Bool                        // the store changes, or the process ends: no round begins
	cancel  atomic.Pointer[context.CancelFunc] // of the round under way

	lastMu sync.Mutex // guards last
	last   map[string]*exportState
}

// exportState describes the last round of an exporter. The zero exportState is that of
// one that had no round yet.
type exportState struct {
	next     time.Time // when it is its turn again
	failures int       // in a row
	worked   time.Time // when it last had all that is new
	result   usage.Result
	delivery usage.DeliveryStatus
	err      error // nil: the round went well; errStandby: another process has the turn
}

// standby reports whether another process exports.
func (s *exportState) standby() bool { return errors.Is(s.err, errStandby) }

// failing reports whether the last round failed. It is tried again.
func (s *exportState) failing() bool { return s.err != nil && !s.standby() }

func newExports(e *Engine, o *opened) *exports {
	return &exports{
		engine:    e,
		opened:    o,
		tended:    make(map[string]time.Time),
		rechecked: make(map[string]uint64),
		last:      make(map[string]*exportState),
	}
}

// resend sends again, with the next round, the messages that a service did not take.
func (x *exports) resend(ctx context.Context, s usage.Service) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	outbox, err := x.outbox(s)
	if err != nil {
		return err
	}
	_, err = outbox.RetryRejected(ctx, s)
	return err
}

// run exports until the context ends.
func (x *exports) run(ctx context.Context) {
	tick := time.NewTicker(exportLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !x.engine.updated.Load() {
			continue
		}
		_, catalogue, err := x.engine.inForce()
		if err != nil {
			continue
		}
		for _, sink := range catalogue.Sinks() {
			if s := x.state(sink.Name()); x.engine.now().After(s.next) {
				x.once(ctx, sink)
			}
		}
	}
}

// state returns a copy of an exporter's state.
func (x *exports) state(name string) exportState {
	x.lastMu.Lock()
	defer x.lastMu.Unlock()
	if s := x.last[name]; s != nil {
		return *s
	}
	return exportState{}
}

// once is a round of one exporter.
func (x *exports) once(ctx context.Context, sink usage.Sink) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.leaving.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, exportMost)
	defer cancel()
	x.cancel.Store(&cancel)
	if x.leaving.Load() {
		cancel()
	}
	s := x.state(sink.Name())
	s.result, s.err = x.round(ctx, sink)
	s.schedule(x.engine.now())
	x.log(sink, &s)
	if service, ok := sink.(usage.Service); ok {
		if outbox, err := x.outbox(service); err == nil {
			if status, err := outbox.Status(ctx, service); err == nil {
				s.delivery = status
			}
		}
	}
	x.lastMu.Lock()
	defer x.lastMu.Unlock()
	x.last[sink.Name()] = &s
}

// schedule says when it is the exporter's turn again after a round that ended now.
func (s *exportState) schedule(now time.Time) {
	if !s.failing() {
		s.failures, s.next = 0, now.Add(exportEvery)
		if s.err == nil {
			s.worked = now
		}
		return
	}
	s.failures++
	if retry, ok := errors.AsType[*usage.RetryError](s.err); ok {
		s.next = now.Add(min(max(retry.After, exportLook), exportRetryMost))
		return
	}
	s.next = now.Add(backoff(s.failures))
}

// log logs how a round went.
func (x *exports) log(sink usage.Sink, s *exportState) {
	logger := x.engine.log().With(slog.String("exporter", sink.Name()))
	if s.failing() && !errors.Is(s.err, context.Canceled) {
		logger.Error("export of line items failed; it is retried", logError(s.err), slog.Time("next", s.next))
	}
	if s.result.Sent > 0 || s.result.Rejected > 0 {
		logger.Info("exported line items", slog.Int("sent", s.result.Sent), slog.Int("rejected", s.result.Rejected))
	}
	for why, n := range s.result.Held {
		logger.Warn("line items held back", slog.String("reason", why), slog.Int("messages", n))
	}
}

// backoff doubles with each failure, and differs from gateway to gateway.
func backoff(failures int) time.Duration {
	wait := exportRetryMost
	if failures < 12 {
		wait = min(wait, exportRetry<<(failures-1))
	}
	return wait/2 + rand.N(wait/2) //nolint:gosec // spreads load, guards nothing
}

// round tells an exporter what is new.
func (x *exports) round(ctx context.Context, sink usage.Sink) (r usage.Result, err error) {
	if err := x.opened.ledger.InPlace(); err != nil {
		return r, err // another billing.db may be there
	}
	dir := x.engine.dir
	lock, err := metering.Lock(filepath.Join(dir, "export.lock"))
	if errors.Is(err, metering.ErrLocked) {
		return r, errStandby
	}
	if err != nil {
		return r, fmt.Errorf("locking the exports of %s: %w", dir, err)
	}
	defer lock.Close()
	_, told := sink.(usage.Service)
	if s := x.opened.shared.Load(); s != nil && told {
		if err := s.complete(ctx, x.engine.now()); err != nil {
			return r, err
		}
	}
	if err := x.rename(ctx, sink); err != nil {
		return r, standby(err)
	}
	switch to := sink.(type) {
	case usage.Deliverer:
		r.Sent, err = x.opened.lines.Drain(ctx, to)
	case usage.Service:
		outbox, err := x.outbox(to)
		if err != nil {
			return r, err
		}
		r, err = outbox.Run(ctx, to)
		err = standby(err)
		waits := errors.Is(err, errStandby)
		if common, ok := outbox.Pages.(usage.SharedPages); ok && (err == nil || waits) {
			if !waits {
				err = x.recheck(ctx, outbox, to)
			}
			err = errors.Join(err, x.tend(ctx, common, to.Name(), waits))
		}
		return r, err
	}
	return r, err
}

// recheck has the next round send again what is not settled on shared pages: now and then, and
// at once after another gateway joined, which may have brought such pages.
func (x *exports) recheck(ctx context.Context, outbox *usage.Outbox, to usage.Service) error {
	s, name := x.opened.shared.Load(), to.Name()
	if s == nil {
		return nil
	}
	joins := s.joiner.Joins() // later ones are looked at later
	if joins == x.rechecked[name] && x.engine.now().Sub(x.tended[name]) < tendEvery {
		return nil
	}
	if err := outbox.Recheck(ctx, to); err != nil {
		return err
	}
	x.rechecked[name] = joins
	return nil
}

// standby makes an errStandby of an error that says that another gateway sends.
func standby(err error) error {
	if errors.Is(err, usage.ErrNotLeader) {
		return fmt.Errorf("%w: %w", errStandby, err)
	}
	return err
}

// rename moves what an exporter was told to its new name before it is told anything
// under that.
func (x *exports) rename(ctx context.Context, sink usage.Sink) error {
	name := formerName(sink)
	if name == "" {
		return nil
	}
	if shared := x.opened.shared.Load(); shared != nil {
		// A gateway of a build before may be sending under the former name. One that joins
		// brings what it told under that name, so that this is done in each round.
		if err := usage.Lead(ctx, shared.conn, name, x.opened.ledger.Instance()); err != nil {
			return err
		}
		if err := usage.RenamePages(ctx, shared.conn, name, sink.Name()); err != nil {
			return err
		}
	}
	return x.opened.lines.Rename(name, sink.Name())
}

// formerName returns the name that a sink had before, "" if it always had this one.
func formerName(sink usage.Sink) string {
	if r, ok := sink.(usage.Renamed); ok {
		return r.FormerName()
	}
	return ""
}

// tend does now and then what shared pages need: the gateway that stands by copies
// them, the one that sends removes old ones.
func (x *exports) tend(ctx context.Context, pages usage.SharedPages, service string, waits bool) error {
	now := x.engine.now()
	if now.Sub(x.tended[service]) < tendEvery {
		return nil
	}
	x.tended[service] = now
	if waits {
		return pages.Follow(ctx, service)
	}
	return pages.Forget(ctx, service, now.Add(-pagesKept))
}

// outbox returns the outbox of a service, in the store in force.
func (x *exports) outbox(s usage.Service) (*usage.Outbox, error) {
	lines := x.opened.lines
	shared := x.opened.shared.Load()
	if shared == nil {
		alone, err := lines.SharedAs()
		if err != nil {
			return nil, err
		}
		return &usage.Outbox{
			Store: lines,
			Pages: lines.Pages(),
			Now:   x.engine.now,
			Alone: alone,
		}, nil
	}
	gateway := x.opened.ledger.Instance()
	return &usage.Outbox{
		Store:     lines,
		Pages:     usage.NewSharedPages(lines, shared.conn),
		Now:       x.engine.now,
		Retention: pagesKept,
		Alone:     shared.joiner.StoreID(),
		CheckLeader: func(ctx context.Context) error {
			if err := shared.complete(ctx, x.engine.now()); err != nil {
				return err
			}
			if name := formerName(s); name != "" {
				// Gateways of a build before ask for the turn under this name: they stand by.
				if err := usage.Lead(ctx, shared.conn, name, gateway); err != nil {
					return err
				}
			}
			return usage.Lead(ctx, shared.conn, s.Name(), gateway)
		},
	}, nil
}
