package billing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// termsEvery is the interval in which gateways learn of changed terms from the store:
// well below the notice that a change gives.
const termsEvery = 10 * time.Second

// keepTerms tells the store what the configuration changed, and learns what others
// changed, until the context ends.
func (e *Engine) keepTerms(ctx context.Context, o *opened) {
	tick := time.NewTicker(termsEvery)
	defer tick.Stop()
	var last error
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-e.changed:
		}
		round, cancel := context.WithTimeout(ctx, termsEvery)
		err := e.syncTerms(round, o)
		cancel()
		if ctx.Err() == nil && err != nil && last == nil {
			e.log().Warn("terms not exchanged with the store; prices stay as they were", logError(err))
		}
		last = err
	}
}

// syncTerms brings the terms of organizations and those of the store together, and
// has the ledger begin new sums where terms change within an hour.
func (e *Engine) syncTerms(ctx context.Context, o *opened) error {
	e.terming.Lock()
	defer e.terming.Unlock()
	c := e.catalogue.Load()
	if c == nil || !(*c).Loaded() {
		return nil
	}
	// The file of terms is that of lines, whose ids are made of that of the ledger: a
	// ledger that has the file and no id is damaged.
	if _, err := metering.Identity(e.dir); err != nil {
		return err
	}
	in := usage.SyncInput{Now: o.ledger.Now(), Prices: make(map[string]usage.Price)}
	for a := range (*c).Accounts() {
		if a.ID != "" {
			in.Prices[a.ID] = a.Price
		}
	}
	if s := o.shared.Load(); s != nil {
		in.Redis = s.conn
		if s.mirror != nil && !s.mirror.Agreed() {
			if err := s.mirror.Agree(ctx); err != nil {
				return fmt.Errorf("reading the builds of other gateways: %w", err)
			}
			in.WholeHours = !s.mirror.Agreed()
		}
	}
	// Also after an error: a part of the terms may be known.
	return errors.Join(o.terms.Sync(ctx, in), o.cut(in.Now))
}

// cut has the ledger begin new sums where terms change soon.
func (o *opened) cut(now time.Time) error {
	hour := now.Truncate(time.Hour)
	for organization, terms := range o.terms.All() {
		for from, ok := terms.Next(hour); ok; from, ok = terms.Next(from) {
			if err := o.ledger.Cut(organization, from); err != nil {
				return fmt.Errorf("beginning new sums of organization %s at %s: %w", organization, from.Format(time.RFC3339), err)
			}
		}
	}
	return nil
}
