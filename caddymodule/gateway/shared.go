package gateway

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/caddymodule/events"
	"github.com/edgegate/edgegate/caddymodule/fleet"
	"github.com/edgegate/edgegate/caddymodule/health"
	"github.com/edgegate/edgegate/caddymodule/logs"
	"github.com/edgegate/edgegate/caddymodule/metrics"
	"github.com/edgegate/edgegate/caddymodule/sockets"
	"github.com/edgegate/edgegate/caddymodule/tracing"
	"github.com/edgegate/edgegate/ratelimit/invocations"
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
	eventsKey      = "events"
	exporterKey    = "exporter"
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
	events      *events.Log

	mu   sync.Mutex      // guards held
	held map[any]holding // by key
}

// holding is the references of a configuration to a value of statePool.
type holding struct {
	value caddy.Destructor
	n     int
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
	s.events = holdState(s, eventsKey, events.NewLog)
	s.transitions = holdState(s, transitionsKey, func() pooledValue[*logs.Transitions] {
		return pooledValue[*logs.Transitions]{logs.NewTransitions(addEvent(s.events))}
	}).value
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

// exporter returns the exporter of spans, nil if the configuration has none traced. It
// closes with the last configuration that has.
func (s *sharedState) exporter(traced bool) *tracing.Exporter {
	if !traced {
		return nil
	}
	return holdState(s, exporterKey, func() *tracing.Exporter { return new(tracing.Exporter) })
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
		s.held = make(map[any]holding)
	}
	s.held[key] = holding{value.(caddy.Destructor), s.held[key].n + 1}
	s.mu.Unlock()
	return value.(T)
}

// drop gives a reference to a value of statePool back before s ends.
func (s *sharedState) drop(key any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.held[key]
	if held.n == 0 {
		return // all were released
	}
	held.n--
	s.held[key] = held
	if err := giveBack(key, held.value); err != nil {
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
	return holdState(s.sharedState, regionKey{name}, newRegionState).value
}

func newRegionState() pooledValue[*regions.RegionState] {
	return pooledValue[*regions.RegionState]{new(regions.RegionState)}
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
	for _, backends := range []bool{true, false} { // before their regions, which they may keep
		for key, one := range held {
			if _, is := one.value.(pooledUpstream); is != backends {
				continue
			}
			for range one.n {
				errs = append(errs, giveBack(key, one.value))
			}
		}
	}
	return errors.Join(errs...)
}

// giveBack gives one reference to a value of statePool back, at once or when what runs
// there has ended.
func giveBack(key any, value caddy.Destructor) error {
	switch key := key.(type) {
	case engineKey:
		return engines.release(key)
	case upstreamKey:
		return busyBackends.release(key, value.(pooledUpstream).Upstream)
	}
	_, err := statePool.Delete(key)
	return err
}

var _ regions.StateStore = stateStore{}

// pooledUpstream is the state of a backend, which ends with the last configuration that
// has the backend, or with the last call that runs there.
type pooledUpstream struct{ *regions.Upstream }

// Destruct closes the idle connections; those in use end with their requests.
func (u pooledUpstream) Destruct() error {
	u.Close()
	return nil
}

// busyBackends are the references to backends that outlive their configurations.
var busyBackends = backendReferences{kept: make(map[upstreamKey]bool)}

// backendReferences keeps the state of backends, and of their regions, while calls of
// configurations that are gone still run: one reference to each is given back by the
// last call instead of by its configuration.
type backendReferences struct {
	mu   sync.Mutex // guards kept
	kept map[upstreamKey]bool
}

// release gives a reference to a backend back, or keeps it if calls run there and none
// is kept yet.
func (r *backendReferences) release(key upstreamKey, u *regions.Upstream) error {
	r.mu.Lock()
	keep := u.Busy() && !r.kept[key]
	if keep {
		r.kept[key] = true
		_, _, _ = statePool.LoadOrNew(regionKey{key.region}, func() (caddy.Destructor, error) { return newRegionState(), nil })
	}
	r.mu.Unlock()
	var err error
	if !keep {
		_, err = statePool.Delete(key)
	}
	if n, _ := statePool.References(key); n == 1 && u.Busy() {
		u.Close() // only the kept one is left
	}
	if keep {
		u.WhenIdle(func() { r.idle(key, u) })
	}
	return err
}

// idle gives the kept reference to a backend back if no calls run there.
func (r *backendReferences) idle(key upstreamKey, u *regions.Upstream) {
	r.mu.Lock()
	if !r.kept[key] || u.Busy() {
		r.mu.Unlock()
		return
	}
	delete(r.kept, key)
	u.WhenIdle(nil)
	r.mu.Unlock()
	for _, k := range []any{key, regionKey{key.region}} {
		if _, err := statePool.Delete(k); err != nil {
			caddy.Log().Named("edge_functions").Error("state not released", zap.Error(err))
		}
	}
}
