package gateway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

const (
	// exportEvery is how often an exporter is told what is new, exportLook how often
	// it is looked whether that is now.
	exportEvery = time.Minute
	exportLook  = time.Second
	// exportMost bounds a round: others have their turn.
	exportMost = 5 * time.Minute
	// After failures it is waited between these before the next try.
	exportRetry, exportRetryMost = 2 * time.Second, time.Hour
	// pagesKept is for how long Redis has what exporters were told.
	pagesKept = 60 * 24 * time.Hour
	// tendEvery is how often these are copied by who stands by, or removed.
	tendEvery = 10 * time.Minute
)

// exporting brings lines to the exporters of the configuration in force.
type exporting struct {
	books *bookkeeping

	mu      sync.Mutex           // held for as long as anything is exported; guards tended and renamed
	tended  map[string]time.Time // when common pages were last tended, by service
	renamed map[string]string    // where what a sink was told is under its new name, by that

	lastMu sync.Mutex // guards last
	last   map[string]*exportState
}

// exportState is how the last round of an exporter went.
type exportState struct {
	next     time.Time // when it is its turn again
	failures int       // in a row
	worked   time.Time // when it last had all that is new
	result   usage.Result
	standing usage.DeliveryStatus
	err      error
}

func newExporting(b *bookkeeping) *exporting {
	return &exporting{books: b, tended: make(map[string]time.Time), renamed: make(map[string]string), last: make(map[string]*exportState)}
}

// run exports until the context ends.
func (e *exporting) run(ctx context.Context) {
	tick := time.NewTicker(exportLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		app := e.books.app.Load()
		if app == nil || len(app.exporters) == 0 || !e.books.billed.Load() {
			continue
		}
		for _, exporter := range app.exporters {
			if s := e.state(exporter.Name()); time.Now().After(s.next) {
				e.once(ctx, exporter)
			}
		}
	}
}

// state returns a copy of an exporter's state.
func (e *exporting) state(name string) exportState {
	e.lastMu.Lock()
	defer e.lastMu.Unlock()
	if s := e.last[name]; s != nil {
		return *s
	}
	return exportState{}
}

// once is a round of one exporter.
func (e *exporting) once(ctx context.Context, exporter Exporter) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, exportMost)
	defer cancel()
	s := e.state(exporter.Name())
	s.result, s.err = e.round(ctx, exporter)
	logger := e.books.logger.Load().With(zap.String("exporter", exporter.Name()))
	now := time.Now()
	switch retry := (*usage.RetryError)(nil); {
	case s.err == nil || errors.Is(s.err, errNoTurn):
		s.failures, s.next = 0, now.Add(exportEvery)
	case errors.As(s.err, &retry):
		s.failures++
		s.next = now.Add(min(max(retry.After, exportLook), exportRetryMost))
	default:
		s.failures++
		s.next = now.Add(backoff(s.failures))
	}
	switch {
	case errors.Is(s.err, errNoTurn), errors.Is(s.err, context.Canceled):
	case s.err != nil:
		logger.Error("lines of usage were not exported; it is tried again", zap.Error(s.err), zap.Time("next", s.next))
	default:
		s.worked = now
	}
	if s.result.Sent > 0 || s.result.Rejected > 0 {
		logger.Info("exported lines of usage", zap.Int("sent", s.result.Sent), zap.Int("rejected", s.result.Rejected))
	}
	for why, n := range s.result.Held {
		logger.Warn("lines of usage are held back", zap.String("reason", why), zap.Int("messages", n))
	}
	if service, ok := exporter.(usage.Service); ok {
		standing, err := e.outbox(service).Status(ctx, service)
		if err == nil {
			s.standing = standing
		}
	}
	e.lastMu.Lock()
	defer e.lastMu.Unlock()
	e.last[exporter.Name()] = &s
}

// backoff doubles with each failure, and differs from gateway to gateway.
func backoff(failures int) time.Duration {
	wait := exportRetryMost
	if failures < 12 {
		wait = min(wait, exportRetry<<(failures-1))
	}
	return wait/2 + rand.N(wait/2) //nolint:gosec // spreads load, guards nothing
}

// errNoTurn says that another process exports.
var errNoTurn = errors.New("another process exports")

// round tells an exporter what is new.
func (e *exporting) round(ctx context.Context, exporter Exporter) (r usage.Result, err error) {
	opened := e.books.open.Load()
	if opened == nil {
		return r, errNotOpen
	}
	lock, err := metering.Lock(filepath.Join(e.books.dir, "export.lock"))
	if errors.Is(err, metering.ErrLocked) {
		return r, errNoTurn
	}
	if err != nil {
		return r, fmt.Errorf("locking the exports of %s: %w", e.books.dir, err)
	}
	defer lock.Close()
	if err := e.rename(ctx, opened, exporter); err != nil {
		if errors.Is(err, usage.ErrNotLeader) {
			err = fmt.Errorf("%w: %w", errNoTurn, err)
		}
		return r, err
	}
	switch x := exporter.(type) {
	case usage.Deliverer:
		r.Sent, err = opened.bill.book.Drain(ctx, x)
	case usage.Service:
		outbox := e.outbox(x)
		r, err = outbox.Run(ctx, x)
		standby := errors.Is(err, usage.ErrNotLeader)
		if standby {
			err = fmt.Errorf("%w: %w", errNoTurn, err)
		}
		if common, ok := outbox.Pages.(usage.SharedPages); ok && (err == nil || standby) {
			err = errors.Join(err, e.tend(ctx, common, x.Name(), standby))
		}
	}
	return r, err
}

// rename has what an exporter was told kept under its new name before it is told
// anything under that.
func (e *exporting) rename(ctx context.Context, opened *books, exporter Exporter) error {
	x, ok := exporter.(usage.Renamed)
	if !ok || x.FormerName() == "" {
		return nil
	}
	shared, store := opened.shared.Load(), "embedded"
	if shared != nil {
		store = shared.url
	}
	if e.renamed[exporter.Name()] == store {
		return nil
	}
	if shared != nil {
		// A gateway of a build before may be sending under the former name.
		if err := usage.Lead(ctx, shared.conn, x.FormerName(), opened.ledger.Instance()); err != nil {
			return err
		}
		if err := usage.RenamePages(ctx, shared.conn, x.FormerName(), exporter.Name()); err != nil {
			return err
		}
	}
	if err := opened.bill.book.Rename(x.FormerName(), exporter.Name()); err != nil {
		return err
	}
	e.renamed[exporter.Name()] = store
	return nil
}

// tend does what is to be done for common pages now and then: who stands by has a
// copy of them, who sends removes old ones.
func (e *exporting) tend(ctx context.Context, pages usage.SharedPages, service string, standby bool) error {
	now := time.Now()
	if now.Sub(e.tended[service]) < tendEvery {
		return nil
	}
	e.tended[service] = now
	if standby {
		return pages.Follow(ctx, service)
	}
	return pages.Forget(ctx, service, now.Add(-pagesKept))
}

// outbox is that of a service in the store in force.
func (e *exporting) outbox(s usage.Service) *usage.Outbox {
	opened := e.books.open.Load()
	o := &usage.Outbox{Store: opened.bill.book, Pages: opened.bill.book.Pages(), Now: time.Now}
	if shared := opened.shared.Load(); shared != nil {
		o.Pages, o.Retention = usage.NewSharedPages(opened.bill.book, shared.conn), pagesKept
		o.CheckLeader = func(ctx context.Context) error {
			if x, ok := s.(usage.Renamed); ok && x.FormerName() != "" {
				// Gateways of a build before ask for the turn under this name: they stand by.
				if err := usage.Lead(ctx, shared.conn, x.FormerName(), opened.ledger.Instance()); err != nil {
					return err
				}
			}
			return usage.Lead(ctx, shared.conn, s.Name(), opened.ledger.Instance())
		}
	}
	return o
}

// again has messages sent anew that a service did not take.
func (e *exporting) again(ctx context.Context, s usage.Service) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, err := e.outbox(s).RetryRejected(ctx, s)
	return err
}
