package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/edgegate/edgegate/caddymodule/atomicfile"
	"github.com/edgegate/edgegate/regions"
)

// drainsKey is the hash of the orders to drain in Redis.
const drainsKey = "edge:{fleet}:drains"

// DrainStore keeps the orders to drain regions over reloads and restarts: in a
// file, and with a shared store in Redis for all gateways. The file stands in
// where Redis is away when the process starts. It is safe for concurrent use.
type DrainStore struct {
	path   string // of the file
	shared Store  // nil without Redis

	mu sync.Mutex // serializes writes of the file
}

// NewDrainStore returns the store that keeps orders in the file at path and in
// shared, which is nil where gateways share nothing. It opens nothing.
func NewDrainStore(path string, shared Store) *DrainStore {
	return &DrainStore{path: path, shared: shared}
}

// Load returns the orders in the file by the names of the regions; none without a
// file.
func (s *DrainStore) Load() (map[string]regions.Drain, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read()
}

func (s *DrainStore) read() (map[string]regions.Drain, error) {
	orders := make(map[string]regions.Drain)
	data, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return orders, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &orders)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", s.path, err)
	}
	return orders, nil
}

// Save keeps the order for a region: in the shared store first, so that no gateway
// has an order in force that the others will not hear of.
func (s *DrainStore) Save(ctx context.Context, region string, drain regions.Drain) error {
	if s.shared != nil {
		text, err := json.Marshal(drain)
		if err != nil {
			return fmt.Errorf("encoding the order to drain %s: %w", region, err)
		}
		if err := s.shared.HashSet(ctx, drainsKey, region, string(text)); err != nil {
			return err
		}
	}
	return s.SaveLocally(region, drain)
}

// SaveLocally keeps an order that came from the shared store in the file too.
func (s *DrainStore) SaveLocally(region string, drain regions.Drain) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	orders, err := s.read()
	if err != nil {
		// Nothing can be read from the file, now or later: the new order takes its place.
		orders = make(map[string]regions.Drain)
	}
	orders[region] = drain
	data, err := json.MarshalIndent(orders, "", "\t")
	if err != nil {
		return fmt.Errorf("encoding the orders to drain: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return err
	}
	file, err := atomicfile.Create(s.path, 0o600)
	if err != nil {
		return err
	}
	defer file.Discard()
	if _, err := file.Write(data); err != nil {
		return err
	}
	return file.Commit()
}

// Shared returns the orders in the shared store by the names of the regions, and
// the names of those regions whose order is not valid. There must be a shared
// store.
func (s *DrainStore) Shared(ctx context.Context) (orders map[string]regions.Drain, invalid []string, err error) {
	fields, err := s.shared.HashAll(ctx, drainsKey)
	if err != nil {
		return nil, nil, err
	}
	orders = make(map[string]regions.Drain, len(fields))
	for name, text := range fields {
		var drain regions.Drain
		if err := json.Unmarshal([]byte(text), &drain); err != nil || drain.Validate() != nil {
			invalid = append(invalid, name)
			continue
		}
		orders[name] = drain
	}
	return orders, invalid, nil
}
