package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/regions"
)

const (
	// drainsKey is the hash of the orders to drain in Redis: a region's name, and
	// the order as JSON. The braces put all that gateways share into one slot of
	// a Cluster.
	drainsKey = "edge:{fleet}:drains"
	// fleetEvery is how often gateways tell each other what they know.
	fleetEvery = 2 * time.Second
)

// memory keeps what an operator has ordered over reloads and restarts: in a
// file, and with a store in Redis for all gateways. The file stands in where
// Redis is away when the process starts.
type memory struct {
	path string          // of the file
	conn *redisconn.Conn // nil without Redis

	mu sync.Mutex // guards the file
}

// openMemory returns the memory of a configuration. It connects to nothing.
func (a *App) openMemory() (*memory, error) {
	m := &memory{path: filepath.Join(a.dataDir(), "drains.json")}
	if a.Store == nil || a.Store.Kind != storeRedis {
		return m, nil
	}
	config, err := parseRedisURL(a.Store.URL)
	if err != nil {
		return nil, fmt.Errorf("store redis: %w", err)
	}
	m.conn, err = redisconn.Open(config)
	return m, err
}

// dataDir is where the gateway keeps files of its own.
func (a *App) dataDir() string {
	if a.Store != nil && a.Store.Path != "" {
		return a.Store.Path
	}
	return filepath.Join(caddy.AppDataDir(), "edgegate")
}

func (m *memory) close() {
	if m != nil && m.conn != nil {
		_ = m.conn.Close()
	}
}

// drains returns the orders that the file has; none without a file.
func (m *memory) drains() (map[string]regions.Drain, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.read()
}

func (m *memory) read() (map[string]regions.Drain, error) {
	orders := make(map[string]regions.Drain)
	data, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return orders, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &orders)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", m.path, err)
	}
	return orders, nil
}

// saveDrain keeps an order: for all gateways first, so that none of them has one
// that the others will not hear of.
func (m *memory) saveDrain(ctx context.Context, region string, drain regions.Drain) error {
	if m.conn != nil {
		text, err := json.Marshal(drain)
		if err != nil {
			return err
		}
		if err := m.conn.HashSet(ctx, drainsKey, region, string(text)); err != nil {
			return err
		}
	}
	return m.write(region, drain)
}

// write puts an order into the file.
func (m *memory) write(region string, drain regions.Drain) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	orders, err := m.read()
	if err != nil {
		// A file that nobody can read keeps nothing; the order is for now.
		orders = make(map[string]regions.Drain)
	}
	orders[region] = drain
	data, err := json.MarshalIndent(orders, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(m.path), 0o700); err != nil {
		return err
	}
	return replaceFile(m.path, data)
}

// replaceFile writes a file so that a reader, and a restart after a crash, sees
// the old content or the new one.
func replaceFile(path string, data []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// restoreDrains puts the orders of before in force. What a running gateway has
// in force is newer, and stays.
func (a *App) restoreDrains() {
	orders, err := a.memory.drains()
	if err != nil {
		a.logger.Error("orders to drain from before are not known", zap.Error(err))
		return
	}
	for name, drain := range orders {
		if r, ok := a.network.Set.Lookup(name); ok && a.network.State(r).Drain() == (regions.Drain{}) {
			a.network.State(r).SetDrain(drain)
		}
	}
	a.network.Refresh(time.Now())
}

// followDrains takes over the orders of other gateways from Redis.
func (a *App) followDrains(ctx context.Context) error {
	fields, err := a.memory.conn.HashAll(ctx, drainsKey)
	if err == nil {
		a.takeDrains(fields)
	}
	return err
}

func (a *App) takeDrains(fields map[string]string) {
	for name, text := range fields {
		r, ok := a.network.Set.Lookup(name)
		if !ok {
			continue
		}
		var drain regions.Drain
		if err := json.Unmarshal([]byte(text), &drain); err != nil || drain.Validate() != nil {
			a.logger.Error("an order to drain in Redis is none", zap.String("region", name))
			continue
		}
		if state := a.network.State(r); !sameDrain(state.Drain(), drain) {
			state.SetDrain(drain)
			a.network.Changed()
			if err := a.memory.write(name, drain); err != nil {
				a.logger.Error("an order to drain will not outlive a restart", zap.String("region", name), zap.Error(err))
			}
		}
	}
}

func sameDrain(a, b regions.Drain) bool {
	return a.Since.Equal(b.Since) && a.Ended.Equal(b.Ended) && a.Over == b.Over && a.LastResort == b.LastResort
}
