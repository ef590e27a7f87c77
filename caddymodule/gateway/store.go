package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/rate"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

// The kinds of a store.
const (
	storeEmbedded = "embedded"
	storeRedis    = "redis"
)

// Store has the directory of the ledger, and the Redis that gateways share.
type Store struct {
	// embedded (default): only files of this gateway; redis: shared by all gateways.
	Kind string `json:"kind"`

	// The directory of the files, on a disk of this machine. Default: edgegate in
	// Caddy's data directory.
	Path string `json:"path,omitempty"`

	// Which invocations may be lost from the ledger if the machine fails: group
	// (default), those of the last 50 ms; strict, none, as each one waits for the disk;
	// none, all that the kernel has not written yet.
	Sync string `json:"sync,omitempty"`

	// redis://[user:password@]host:port[,host:port...][?mode=cluster|sentinel&master=NAME],
	// or rediss:// for TLS. It may contain {env.X}.
	URL string `json:"url,omitempty"`
}

func (s *Store) check() error {
	switch {
	case s == nil:
		return nil
	case s.Kind != storeEmbedded && s.Kind != storeRedis:
		return fmt.Errorf("store %q: allowed are embedded, redis", s.Kind)
	case s.Kind == storeRedis && s.URL == "":
		return errors.New("store redis: the URL is missing")
	case s.Kind == storeEmbedded && s.URL != "":
		return errors.New("store embedded: it has no URL")
	case s.Sync != "" && !slices.Contains(metering.SyncModes(), s.Sync):
		return fmt.Errorf("store: sync %q: allowed are %s", s.Sync, strings.Join(metering.SyncModes(), ", "))
	case s.Kind == storeRedis:
		if _, err := ParseRedisURL(s.URL); err != nil {
			return fmt.Errorf("store redis: %w", err)
		}
	}
	return nil
}

// ParseRedisURL fills in {env.NAME} and reads the URL of a Redis. Its errors have
// no password in them.
func ParseRedisURL(url string) (redisconn.Config, error) {
	resolved, err := ResolveKey(url)
	if err != nil {
		return redisconn.Config{}, err
	}
	return redisconn.Parse(resolved)
}

// CheckRedisURL returns an error if a URL in a Caddyfile is not valid. A URL with
// {env.NAME} is checked when the configuration is loaded.
func CheckRedisURL(url string) error {
	if options.HasEnv(url) {
		return nil
	}
	_, err := ParseRedisURL(url)
	return err
}

// parseStore reads
//
//	store embedded [<directory>] | redis <url> [<directory>] {
//		sync none|group|strict
//	}
func (a *App) parseStore(d *caddyfile.Dispenser) error {
	args, err := options.Arguments(d, 1, 3)
	if err != nil {
		return err
	}
	a.Store = &Store{Kind: args[0]}
	switch rest := args[1:]; {
	case args[0] == storeEmbedded && len(rest) < 2:
	case args[0] == storeRedis && len(rest) > 0:
		if err := CheckRedisURL(rest[0]); err != nil {
			return d.Errf("store: %w", err)
		}
		a.Store.URL, args = rest[0], rest
	default:
		return d.Errf("store: write `%s`", options.Form("store"))
	}
	if len(args) == 2 {
		a.Store.Path = args[1]
	}
	return options.Block(d, options.Table{
		"sync": func(d *caddyfile.Dispenser) error { return options.OneOf(d, &a.Store.Sync, metering.SyncModes()...) },
	})
}

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

// pooledLimiter holds the buckets of rate limits.
type pooledLimiter struct {
	*rate.Limiter
	mu    sync.Mutex           // guards store
	store *billing.SharedStore // the store that p shares its buckets through; nil if it does not
}

// share shares the buckets with other gateways through a store; nil ends that.
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
