package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/caddymodule/fleet"
	"github.com/edgegate/edgegate/caddymodule/health"
	"github.com/edgegate/edgegate/caddymodule/logs"
	"github.com/edgegate/edgegate/caddymodule/metrics"
	"github.com/edgegate/edgegate/caddymodule/sockets"
	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/invocations"
	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/rate"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing/auth"
	"github.com/edgegate/edgegate/routing/auth/jwks"
)

// statePool holds the state that outlives configurations: connections, breakers,
// buckets, the ledger. Its keys identify things, such as a backend by its address. They
// contain no settings, which may change in a reload, and no secrets.
var statePool = caddy.NewUsagePool()

const (
	socketsKey     = "sockets"
	keysKey        = "keys"
	tokensKey      = "tokens"
	rankerKey      = "ranker"
	fleetKey       = "fleet"
	limiterKey     = "limiter"
	transitionsKey = "transitions"
	repeatsKey     = "repeats"
	invocationsKey = "invocations"
	refusedKey     = "refused"
	inFlightKey    = "in_flight"
	replayKey      = "replay"
	requestsKey    = "requests"
	healthKey      = "health"
)

// regionKey is the key of a regions.RegionState.
type regionKey struct{ region string }

// upstreamKey is the key of a regions.Upstream.
type upstreamKey struct{ region, backend string }

// projectsKey is the key of lastProjects. The apex belongs to it because shared hosts
// of projects depend on it.
type projectsKey struct{ source, location, apex string }

// sharedState is one configuration's references to values of statePool. release gives
// each of them back once, also if Caddy cleans up a configuration that never ran.
type sharedState struct {
	sockets     *sockets.Registry
	keys        *jwks.Pool   // public keys by their URL or file
	tokens      *auth.Shared // verified tokens
	fleet       *fleet.Fleet // other gateways that share the store
	limiter     *pooledLimiter
	transitions *logs.Transitions     // the last logged states
	repeats     *logs.Repeats         // refused calls to be logged in one line
	invocations *logs.InvocationLogs  // of the configurations in force
	refused     *invocations.Refusals // the latest requests that were refused
	inFlight    *inFlightCounter      // calls in flight under caps
	replay      *regions.ReplayMemory
	requests    *metrics.Requests
	health      *health.State

	mu   sync.Mutex  // guards held
	held map[any]int // references by key
}

// acquireShared returns references for a new configuration.
func acquireShared() *sharedState {
	s := new(sharedState)
	s.sockets = holdState(s, socketsKey, sockets.NewRegistry)
	s.keys = holdState(s, keysKey, func() pooledValue[*jwks.Pool] {
		return pooledValue[*jwks.Pool]{jwks.NewPool(jwks.PoolConfig{})}
	}).value
	s.tokens = holdState(s, tokensKey, func() pooledValue[*auth.Shared] {
		return pooledValue[*auth.Shared]{auth.NewShared(auth.SharedConfig{})}
	}).value
	s.fleet = holdState(s, fleetKey, func() pooledValue[*fleet.Fleet] { return pooledValue[*fleet.Fleet]{fleet.New()} }).value
	s.limiter = holdState(s, limiterKey, func() *pooledLimiter { return &pooledLimiter{Limiter: rate.NewLimiter()} })
	s.transitions = holdState(s, transitionsKey, func() pooledValue[*logs.Transitions] { return pooledValue[*logs.Transitions]{logs.NewTransitions()} }).value
	s.repeats = holdState(s, repeatsKey, logs.NewRepeats)
	s.invocations = holdState(s, invocationsKey, func() pooledValue[*logs.InvocationLogs] {
		return pooledValue[*logs.InvocationLogs]{new(logs.InvocationLogs)}
	}).value
	s.refused = holdState(s, refusedKey, func() pooledValue[*invocations.Refusals] {
		return pooledValue[*invocations.Refusals]{invocations.NewRefusals()}
	}).value
	s.inFlight = holdState(s, inFlightKey, func() pooledValue[*inFlightCounter] {
		return pooledValue[*inFlightCounter]{&inFlightCounter{InFlight: rate.NewInFlight()}}
	}).value
	s.replay = holdState(s, replayKey, func() pooledValue[*regions.ReplayMemory] {
		return pooledValue[*regions.ReplayMemory]{regions.NewReplayMemory()}
	}).value
	s.requests = holdState(s, requestsKey, func() pooledValue[*metrics.Requests] {
		return pooledValue[*metrics.Requests]{metrics.NewRequests()}
	}).value
	s.health = holdState(s, healthKey, func() *health.State {
		return health.NewState(health.Config{Exiting: caddy.Exiting, Stop: stopProcess})
	})
	return s
}

// inFlightCounter counts the calls in flight under caps, and the refused ones.
type inFlightCounter struct {
	*rate.InFlight
	refused [3]atomic.Uint64 // by the index in inFlightScopes
}

// pooledValue is a value of statePool that needs no cleanup at its end.
type pooledValue[T any] struct{ value T }

// Destruct implements caddy.Destructor.
func (pooledValue[T]) Destruct() error { return nil }

// holdState returns the value of statePool under key, and calls create if there is
// none. The reference ends with s, or with drop.
func holdState[T caddy.Destructor](s *sharedState, key any, create func() T) T {
	value, _, err := statePool.LoadOrNew(key, func() (caddy.Destructor, error) { return create(), nil })
	if err != nil {
		panic(err) // the constructor returns none
	}
	s.mu.Lock()
	if s.held == nil {
		s.held = make(map[any]int)
	}
	s.held[key]++
	s.mu.Unlock()
	return value.(T)
}

// drop gives a reference to a value of statePool back before s ends.
func (s *sharedState) drop(key any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[key] == 0 {
		return // all were released
	}
	s.held[key]--
	if _, err := statePool.Delete(key); err != nil {
		caddy.Log().Named("edge_functions").Error("state not released", zap.Error(err))
	}
}

// lastProjects returns the projects that a source delivered last, to this or an earlier
// configuration.
func (s *sharedState) lastProjects(source, location, apex string) *lastProjects {
	return holdState(s, projectsKey{source, location, apex}, func() *lastProjects { return new(lastProjects) })
}

// stateStore is the regions.StateStore over statePool.
type stateStore struct{ *sharedState }

// Upstream implements regions.StateStore.
func (s stateStore) Upstream(region string, b regions.Backend) *regions.Upstream {
	return holdState(s.sharedState, upstreamKey{region, b.Key()}, func() pooledUpstream {
		return pooledUpstream{regions.NewUpstream(b)}
	}).Upstream
}

// Release implements regions.StateStore.
func (s stateStore) Release(region string, b regions.Backend) {
	s.drop(upstreamKey{region, b.Key()})
}

// Region implements regions.StateStore.
func (s stateStore) Region(name string) *regions.RegionState {
	return holdState(s.sharedState, regionKey{name}, func() pooledValue[*regions.RegionState] {
		return pooledValue[*regions.RegionState]{new(regions.RegionState)}
	}).value
}

// Ranker implements regions.StateStore.
func (s stateStore) Ranker() *regions.Ranker {
	return holdState(s.sharedState, rankerKey, func() pooledValue[*regions.Ranker] {
		return pooledValue[*regions.Ranker]{new(regions.Ranker)}
	}).value
}

// release gives all references back. On nil, and on a second call, it does nothing.
func (s *sharedState) release() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	held := s.held
	s.held = nil
	s.mu.Unlock()
	var errs []error
	for key, n := range held {
		for range n {
			var err error
			if engine, ok := key.(engineKey); ok {
				err = engines.release(engine)
			} else {
				_, err = statePool.Delete(key)
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

var _ regions.StateStore = stateStore{}

// pooledUpstream is the state of a backend, which ends with the last configuration that
// has the backend.
type pooledUpstream struct{ *regions.Upstream }

// Destruct closes the idle connections; those in use end with their requests.
func (u pooledUpstream) Destruct() error {
	u.Close()
	return nil
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
