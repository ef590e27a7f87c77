//go:build e2e

package audit

import (
	"log/slog"
	"testing"
	"time"

	"github.com/edgegate/edgegate/caddymodule/logs"
	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// What an operator should know of the Redis that quotas are in, by a server with each of the mistakes and one with none.
func TestStoreOfRedis(t *testing.T) {
	checks := func(url string) map[string]bool {
		t.Helper()
		config, err := redisconn.Parse(url)
		if err != nil {
			t.Fatal(err)
		}
		engine := billing.NewEngine(t.TempDir())
		if err := engine.Start(billing.Settings{Redis: &config, Logger: slog.New(slog.DiscardHandler)}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = engine.Close() }) // bad is away by then
		shared := engine.Shared()
		store := &Store{
			URL:        shared.URL(),
			Server:     shared.Conn(),
			Peers:      shared.Mirror().Peers,
			Conditions: func() []logs.Condition { return nil },
		}
		found := make(map[string]bool)
		for _, f := range ofStore(t.Context(), store) {
			found[f.Check] = true
			if f.Remedy == "" || f.Message == "" || f.Check != "gateway_silent" && f.Subject != config.String() {
				t.Errorf("%+v", f)
			}
		}
		return found
	}
	bad := redistest.Single(t, "maxmemory-policy allkeys-lru")
	if got := checks(bad.URL()); !got["store_eviction"] || !got["store_appendonly"] || !got["store_replicas"] || got["clock_offset"] || len(got) != 3 {
		t.Errorf("%v", got)
	}
	good := redistest.Sentinel(t, 1, "appendonly yes")
	if got := checks(good.URL()); len(got) != 0 {
		t.Errorf("%v", got)
	}
	// Gateways that end properly, or that an operator has given up, hold nothing up.
	master := good.Master()
	ago := func(d time.Duration) int64 { return time.Now().Add(-d).Unix() }
	master.Exec("HSET", "gw:instances", "there", ago(time.Minute), "left", "left", "lost", "lost")
	if got := checks(good.URL()); len(got) != 0 {
		t.Errorf("%v", got)
	}
	master.Exec("HSET", "gw:instances", "silent", ago(2*time.Hour))
	if got := checks(good.URL()); !got["gateway_silent"] || len(got) != 1 {
		t.Errorf("%v", got)
	}
	// A user that may not run INFO: quotas work, and a restart of Redis cannot be noticed.
	limited := redistest.Single(t, "appendonly yes", "user gateway on >secret ~* &* +@all -info")
	url := "redis://gateway:secret@" + limited.Address
	if got := checks(url); !got["store_info"] || len(got) != 1 {
		t.Errorf("%v", got)
	}
	bad.Stop()
	if got := checks(bad.URL()); !got["store_away"] || len(got) != 1 {
		t.Errorf("%v", got)
	}
}
