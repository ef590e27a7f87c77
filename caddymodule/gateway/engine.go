package gateway

import (
	"fmt"
	"sync"

	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/rate"
)

// engineKey identifies the billing engine in a directory.
type engineKey struct{ dir string }

// pooledEngine is a billing engine that ends with the last configuration that
// holds it.
type pooledEngine struct{ *billing.Engine }

// Destruct implements caddy.Destructor.
func (p pooledEngine) Destruct() error { return p.Close() }

// engine returns the billing engine in a directory, which may not be open yet.
func (s *shared) engine(dir string) *billing.Engine {
	return hold(s, engineKey{dir}, func() pooledEngine { return pooledEngine{billing.NewEngine(dir)} }).Engine
}

// startEngine opens the billing engine, if need be, and puts the store of the
// configuration into force. Its catalogue is not in force yet.
func (a *App) startEngine() error {
	settings := billing.Settings{Logger: a.ctx.Slogger()}
	if a.Store != nil {
		settings.Sync = metering.Sync(a.Store.Sync)
	}
	if a.Store != nil && a.Store.Kind == storeRedis {
		config, err := ParseRedisURL(a.Store.URL)
		if err != nil {
			return fmt.Errorf("store redis: %w", err)
		}
		settings.Redis = &config
	}
	if err := a.engine.Start(settings); err != nil {
		return err
	}
	a.shared.limiter.share(a.engine.Shared())
	return nil
}

// pooledLimiter is the rate limits' buckets.
type pooledLimiter struct {
	*rate.Limiter
	mu    sync.Mutex           // guards store
	store *billing.SharedStore // whose tokens are taken; nil: none is shared
}

// share has rate limits shared by a store, nil for none.
func (p *pooledLimiter) share(store *billing.SharedStore) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.store == store {
		return
	}
	p.store = store
	if store == nil {
		p.Share(nil)
		return
	}
	p.Share(rate.NewSharedTokens(store.Conn(), store.Mirror().Present))
}

// Destruct implements caddy.Destructor.
func (p *pooledLimiter) Destruct() error {
	p.Close()
	return nil
}
