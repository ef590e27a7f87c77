package gateway

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/metering"
)

func init() {
	caddy.OnExit(func(context.Context) { engines.closeAll() })
}

// engineKey is the key of the billing engine of a directory.
type engineKey struct{ dir string }

// pooledEngine is a billing engine that ends with its last reference.
type pooledEngine struct{ *billing.Engine }

// Destruct implements caddy.Destructor.
func (p pooledEngine) Destruct() error { return p.Close() }

// engines are the references to billing engines in statePool.
var engines = engineReferences{exit: make(chan struct{})}

// engineReferences keeps an engine open while calls of a configuration that is gone
// still run: the last reference is given back after the last call. A configuration
// that names the directory again meanwhile gets the same engine; one that does while
// the engine closes waits until it has closed.
type engineReferences struct {
	mu        sync.Mutex    // guards exit, and is held while a reference is taken or given back
	exit      chan struct{} // closed when engines must close, whatever runs
	finishing sync.WaitGroup
}

// hold returns the engine of a directory, which may not be open yet.
func (e *engineReferences) hold(s *sharedState, dir string) *billing.Engine {
	e.mu.Lock()
	defer e.mu.Unlock()
	return holdState(s, engineKey{dir}, func() pooledEngine { return pooledEngine{billing.NewEngine(dir)} }).Engine
}

// release gives a reference back, in the background if it is the last one and calls
// still run. When the process exits, calls have had their grace period.
func (e *engineReferences) release(key engineKey) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !caddy.Exiting() && e.needed(key) {
		exit := e.exit
		e.finishing.Go(func() { e.finish(key, exit) })
		return nil
	}
	_, err := statePool.Delete(key)
	return err
}

// needed reports whether the last reference keeps an engine open for calls. e.mu is
// held.
func (*engineReferences) needed(key engineKey) bool {
	if n, _ := statePool.References(key); n != 1 {
		return false
	}
	busy := false
	statePool.Range(func(k, value any) bool {
		if k == key {
			busy = value.(pooledEngine).Busy()
		}
		return k != key
	})
	return busy
}

// finishPoll is how often an engine is asked whether calls still run.
const finishPoll = 50 * time.Millisecond

// finish gives a reference back once it is not needed any more, or on exit.
func (e *engineReferences) finish(key engineKey, exit <-chan struct{}) {
	log := caddy.Log().Named("edge_functions").With(zap.String("directory", key.dir))
	log.Info("ledger stays open for calls of an earlier configuration")
	tick := time.NewTicker(finishPoll)
	defer tick.Stop()
	for exits := false; ; {
		select {
		case <-exit:
			exits = true
		case <-tick.C:
		}
		e.mu.Lock()
		if !exits && e.needed(key) {
			e.mu.Unlock()
			continue
		}
		closed, err := statePool.Delete(key)
		e.mu.Unlock()
		switch {
		case err != nil:
			log.Error("ledger not closed", zap.Error(err))
		case closed:
			log.Info("ledger closed")
		}
		return
	}
}

// closeAll closes the engines that no configuration holds, and returns when they are
// closed. Calls that still run have as long as Engine.Close waits.
func (e *engineReferences) closeAll() {
	e.mu.Lock()
	close(e.exit)
	e.exit = make(chan struct{})
	e.mu.Unlock()
	e.finishing.Wait()
}

// startEngine opens the billing engine, unless it is open, and applies the option
// `store`. App.Start puts the catalogue of the configuration into force later.
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
