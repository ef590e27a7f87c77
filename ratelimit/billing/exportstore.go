package billing

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// What exporters were told is state of the store. When a gateway begins to share a
// store, it brings what it told along before others see what it counted; when it leaves
// one, it takes with it what all told. See usage.Joiner.

// joiner brings what exporters were told into a store. usage.Joiner implements it.
type joiner interface {
	// Join adds what this gateway told.
	Join(ctx context.Context, since time.Time) error
	// Complete returns nil if the store has what all gateways told.
	Complete(ctx context.Context) error
	// Note remembers the gateways that have joined.
	Note(ctx context.Context) error
	// Joins returns a number that changes when another gateway joined.
	Joins() uint64
	// Left says that this gateway has a copy of what the store has.
	Left() error
	// StoreID returns the id of the store, for the names of messages.
	StoreID() string
}

// pause ends the round under way and keeps others from beginning, until the function
// that it returns is called.
func (x *exports) pause() (resume func()) {
	x.leaving.Store(true)
	if cancel := x.cancel.Load(); cancel != nil {
		(*cancel)()
	}
	x.mu.Lock()
	return func() {
		x.leaving.Store(false)
		x.mu.Unlock()
	}
}

// join brings what exporters were told into a shared store, before the first sums are
// sent there. Another process of the directory may be telling them something, without
// the store: it is waited for.
func (x *exports) join(ctx context.Context, s *SharedStore) error {
	select {
	case <-s.inForce:
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", usage.ErrIncomplete, ctx.Err())
	}
	if !s.joined.Load() {
		// Line items, and what was told of them, stand beside the id that they are made of.
		if _, err := metering.Identity(x.engine.dir); err != nil {
			return fmt.Errorf("%w: %w", usage.ErrIncomplete, err)
		}
		lock, err := metering.Lock(filepath.Join(x.engine.dir, "export.lock"))
		if err != nil {
			return fmt.Errorf("%w: locking the exports of %s: %w", usage.ErrIncomplete, x.engine.dir, err)
		}
		defer lock.Close()
	}
	if err := s.joiner.Join(ctx, x.engine.now().Add(-pagesKept)); err != nil {
		return err
	}
	s.joined.Store(true)
	return nil
}

// complete returns nil if what exporters were told is in the store in full. Until then
// nothing may be sent.
func (s *SharedStore) complete(ctx context.Context, now time.Time) error {
	if err := s.joiner.Join(ctx, now.Add(-pagesKept)); err != nil {
		return err
	}
	return s.joiner.Complete(ctx)
}

// note remembers which gateways' pages are in the store, after their sums were read.
func (s *SharedStore) note(ctx context.Context) error {
	if err := s.joiner.Note(ctx); err != nil {
		return fmt.Errorf("reading which gateways told exporters something: %w", err)
	}
	return nil
}

// leave gives up this gateway's turns and copies what all gateways told, so that it
// is known here when the store is another. No round is under way.
func (x *exports) leave(ctx context.Context, s *SharedStore) error {
	clear(x.tended)
	clear(x.rechecked)
	names, err := x.services()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := usage.Leave(ctx, s.conn, name, x.opened.ledger.Instance()); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := usage.NewSharedPages(x.opened.lines, s.conn).Follow(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// services returns the names of the services in force, with former ones, of those that
// had a round, and of those that were told something before.
func (x *exports) services() ([]string, error) {
	names, err := x.opened.lines.Services()
	if err != nil {
		return nil, err
	}
	if _, catalogue, err := x.engine.inForce(); err == nil {
		for _, sink := range catalogue.Sinks() {
			if _, ok := sink.(usage.Service); ok {
				names = append(names, sink.Name())
				if former := formerName(sink); former != "" {
					names = append(names, former)
				}
			}
		}
	}
	x.lastMu.Lock()
	names = slices.AppendSeq(names, maps.Keys(x.last))
	x.lastMu.Unlock()
	slices.Sort(names)
	return slices.Compact(names), nil
}

// logLeft logs that what exporters were told could not be copied from Redis.
func (e *Engine) logLeft(s *SharedStore, err error) {
	e.log().Error("what exporters were told was not copied from Redis: what other gateways told them in the last ten minutes may be told again",
		slog.String("redis", s.url), logError(err))
}
