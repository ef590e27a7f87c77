package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgegate/edgegate/regions"
)

// Store is the hashes that gateways share in Redis. A *redisconn.Conn is one.
type Store interface {
	HashAll(ctx context.Context, key string) (map[string]string, error)
	HashSet(ctx context.Context, key, field, value string) error
	HashDelete(ctx context.Context, key string, fields ...string) error
}

// Fleet holds the last heartbeats of the gateways that share a store, and counts this
// gateway's calls by country. It is safe for concurrent use.
type Fleet struct {
	now   func() time.Time            // a test's, or time.Now; only differences of its times are used
	heard atomic.Pointer[[]Heartbeat] // nil before the first exchange
	calls [26 * 26]atomic.Int64       // by the two letters of the country

	mu    sync.Mutex          // guards beats
	beats map[string]lastBeat // by the gateway's id
}

// New returns an empty Fleet: no heartbeat was read yet.
func New() *Fleet { return &Fleet{now: time.Now, beats: make(map[string]lastBeat)} }

// Heard returns the heartbeats of the gateways that were heard within 15 seconds,
// by their ids, this gateway's among them. ok is false before the first exchange,
// and so without a shared store.
func (f *Fleet) Heard() (list []Heartbeat, ok bool) {
	heard := f.heard.Load()
	if heard == nil {
		return nil, false
	}
	return *heard, true
}

// Exchange writes the gateway's own heartbeat and reads those of the others. One
// without an id is not written: the gateway has no ledger yet. While the store is
// away, what was heard last stays.
func (f *Fleet) Exchange(ctx context.Context, store Store, own Heartbeat) error {
	return errors.Join(f.beat(ctx, store, own), f.listen(ctx, store))
}

func (f *Fleet) beat(ctx context.Context, store Store, own Heartbeat) error {
	if own.Gateway == "" {
		return nil
	}
	text, err := json.Marshal(own)
	if err != nil {
		return fmt.Errorf("encoding the heartbeat: %w", err)
	}
	return store.HashSet(ctx, gatewaysKey, own.Gateway, string(text))
}

func (f *Fleet) listen(ctx context.Context, store Store) error {
	fields, err := store.HashAll(ctx, gatewaysKey)
	if err != nil {
		return err
	}
	heard, forgotten := f.parseHeartbeats(fields)
	f.heard.Store(&heard)
	return store.HashDelete(ctx, gatewaysKey, forgotten...)
}

// ViewAt returns the regions as another gateway sees them. The gateway is named by its
// id or by its region. Loads are those of own, the view of this gateway. If there is no
// such gateway, ok is false.
func (f *Fleet) ViewAt(gateway string, own *regions.View) (view *regions.View, ok bool) {
	heard, _ := f.Heard()
	i := slices.IndexFunc(heard, func(h Heartbeat) bool { return gateway == h.Gateway || gateway == h.Location.Region })
	if i < 0 {
		return nil, false
	}
	return heard[i].view(own), true
}
