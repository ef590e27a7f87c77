package usage

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

// TermBook keeps the terms of organizations: which price was in force when. The
// first gateway whose configuration changes a price writes it into the store; all
// gateways bill by what is there, not by what their own configurations say. It is
// safe for concurrent use.
type TermBook struct {
	lines   *LineStore
	gateway string

	inForce atomic.Pointer[termsInForce] // nil before the first Sync

	mu     sync.Mutex // held during Sync; guards shared
	shared *sharedTerms
}

// termsInForce are immutable.
type termsInForce struct {
	terms      map[string]Terms
	configured map[string]Price // what the store knows of the configuration of this gateway
}

// NewTermBook returns the terms of a gateway, with a copy in the file of its lines.
func NewTermBook(lines *LineStore, gateway string) *TermBook {
	return &TermBook{lines: lines, gateway: gateway}
}

// SyncInput is what Sync needs.
type SyncInput struct {
	Now    time.Time        // by the clock of the store
	Prices map[string]Price // by organization, as the configuration has them
	// Redis is the store that gateways share; nil: the file of the lines.
	Redis *redisconn.Conn
	// WholeHours begins terms with hours, for gateways of builds before terms.
	WholeHours bool
}

// Sync learns what other gateways changed, and writes into the store what this
// gateway's configuration changed since it last did. A store that lost terms gets
// them back. After an error everything is tried again by the next Sync.
func (b *TermBook) Sync(ctx context.Context, in SyncInput) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	local := (*storedTerms)(b.lines)
	known, err := local.read(ctx)
	if err != nil {
		return err
	}
	before, err := b.configured()
	if err != nil {
		return err
	}
	if b.inForce.Load() == nil { // what is known without the store
		b.inForce.Store(&termsInForce{terms: known, configured: before})
	}
	var store termStore = local
	if in.Redis != nil {
		if b.shared == nil || b.shared.conn != in.Redis {
			b.shared = &sharedTerms{conn: in.Redis}
		}
		store = b.shared
		if known, err = exchange(ctx, known, local, store); err != nil {
			return err
		}
	}
	said, now := make(map[string]Price), maps.Clone(before)
	for organization, price := range in.Prices {
		was, knew := before[organization]
		if knew && was == price {
			continue
		}
		c := Change{Is: price, At: in.Now, WholeHours: in.WholeHours}
		if knew {
			c.Was = &was
		}
		if knew || len(known[organization]) > 0 {
			terms, err := store.edit(ctx, organization, func(t Terms) Terms { return t.Join(known[organization]).Change(c) })
			if err != nil {
				return fmt.Errorf("storing the terms of organization %s: %w", organization, err)
			}
			known[organization] = terms
			if in.Redis != nil {
				if _, err := local.edit(ctx, organization, terms.Join); err != nil {
					return err
				}
			}
		}
		said[organization], now[organization] = price, price
	}
	if err := b.lines.configure(b.gateway, said); err != nil {
		return err
	}
	b.inForce.Store(&termsInForce{terms: known, configured: now})
	return nil
}

// exchange brings the copy and the store to the same terms and returns them.
func exchange(ctx context.Context, known map[string]Terms, local, store termStore) (map[string]Terms, error) {
	there, err := store.read(ctx)
	if err != nil {
		return nil, err
	}
	all := make(map[string]Terms, len(there))
	maps.Copy(all, there)
	for organization, terms := range known {
		all[organization] = terms.Join(there[organization])
	}
	for organization, terms := range all {
		for _, place := range []struct {
			store termStore
			has   Terms
		}{{store, there[organization]}, {local, known[organization]}} {
			if terms.Equal(place.has) {
				continue
			}
			if _, err := place.store.edit(ctx, organization, terms.Join); err != nil {
				return nil, fmt.Errorf("storing the terms of organization %s: %w", organization, err)
			}
		}
	}
	return all, nil
}

// configured returns what the store knows of the configuration of this gateway.
func (b *TermBook) configured() (map[string]Price, error) {
	if f := b.inForce.Load(); f != nil {
		return f.configured, nil
	}
	return b.lines.configured(b.gateway)
}

// All returns the terms by organization: of those whose price has ever changed. It
// must not be changed.
func (b *TermBook) All() map[string]Terms {
	if f := b.inForce.Load(); f != nil {
		return f.terms
	}
	return nil
}

// Configured returns the price of an organization that this gateway's configuration
// had when the store last learnt of it. It is false for an unknown organization.
func (b *TermBook) Configured(organization string) (Price, bool) {
	if f := b.inForce.Load(); f != nil {
		p, ok := f.configured[organization]
		return p, ok
	}
	return Price{}, false
}
