package gateway

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/caddymodule/fleet"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/regions"
)

// openStore prepares the store of drain orders, and the connection of heartbeats and
// drain orders to Redis, which connects on its first use.
func (a *App) openStore() error {
	if a.Store == nil || a.Store.Kind != storeRedis {
		a.drains = fleet.NewDrainStore(a.drainsPath(), nil)
		return nil
	}
	config, err := ParseRedisURL(a.Store.URL)
	if err != nil {
		return fmt.Errorf("store redis: %w", err)
	}
	if a.storeConn, err = redisconn.Open(config); err != nil {
		return err
	}
	a.drains = fleet.NewDrainStore(a.drainsPath(), a.storeConn)
	return nil
}

// dataDir returns the directory of the ledger and of the gateway's other files.
func (a *App) dataDir() string {
	if a.Store != nil && a.Store.Path != "" {
		return a.Store.Path
	}
	return filepath.Join(caddy.AppDataDir(), "edgegate")
}

// drainsPath returns the path of the file from which drain orders are restored after a
// restart.
func (a *App) drainsPath() string { return filepath.Join(a.dataDir(), "drains.json") }

// followFleet exchanges heartbeats and drain orders with the other gateways until
// ctx is done. While Redis is unreachable, the last known ones stay in force.
func (a *App) followFleet(ctx context.Context) {
	tick := time.NewTicker(fleet.Interval)
	defer tick.Stop()
	failing := false
	for {
		err := errors.Join(a.shared.fleet.Exchange(ctx, a.storeConn, a.heartbeat()), a.followDrains(ctx))
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failing {
			a.logger.Warn("exchange of heartbeats failed; drain orders of other gateways arrive later", zap.Error(err))
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// heartbeat returns the state of this gateway, as it is sent to the others.
func (a *App) heartbeat() fleet.Heartbeat {
	status := a.Status()
	own := fleet.Heartbeat{
		Gateway:  status.Gateway,
		Host:     status.Host,
		Version:  status.Version,
		Location: status.Location,
		At:       time.Now().UTC(),
		Regions:  make(map[string]fleet.ObservedRegion, len(status.Regions)),
	}
	for _, r := range status.Regions {
		own.Regions[r.Region] = fleet.ObservedRegion{RTT: r.RTT, State: r.State}
	}
	return own
}

// restoreDrains puts the drain orders on disk into force. After a reload, regions that
// are drained already have a newer order, which stays.
func (a *App) restoreDrains() {
	orders, err := a.drains.Load()
	if err != nil {
		a.logger.Error("drain orders on disk not readable; drains from before the restart are lost", zap.Error(err))
		return
	}
	for name, drain := range orders {
		if r, ok := a.network.Set.Lookup(name); ok && a.network.State(r).Drain() == (regions.Drain{}) {
			a.network.State(r).SetDrain(drain)
		}
	}
	a.network.Refresh(time.Now())
}

// followDrains puts the drain orders of other gateways into force.
func (a *App) followDrains(ctx context.Context) error {
	orders, invalid, err := a.drains.Shared(ctx)
	if err != nil {
		return err
	}
	for _, name := range invalid {
		if _, ok := a.network.Set.Lookup(name); ok {
			a.logger.Error("invalid drain order in Redis ignored", zap.String("region", name))
		}
	}
	for name, drain := range orders {
		r, ok := a.network.Set.Lookup(name)
		if !ok || sameDrain(a.network.State(r).Drain(), drain) {
			continue
		}
		a.network.State(r).SetDrain(drain)
		a.network.Changed()
		if err := a.drains.SaveLocally(name, drain); err != nil {
			a.logger.Error("drain order of another gateway not written to disk; it is lost when this gateway restarts",
				zap.String("region", name), zap.Error(err))
		}
	}
	return nil
}

func sameDrain(a, b regions.Drain) bool {
	return a.Since.Equal(b.Since) && a.Ended.Equal(b.Ended) && a.Over == b.Over && a.LastResort == b.LastResort
}
