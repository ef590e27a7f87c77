package caddymodule

import (
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/regions"
)

// pool holds the state that outlives configurations, keyed by what a thing is:
// never by its settings, never by a secret.
var pool = caddy.NewUsagePool()

const socketsKey = "sockets"

// upstreamKey identifies the living state of a backend.
type upstreamKey struct{ region, address string }

// lease is one configuration's hold on the shared state. It is released once,
// also when Caddy cleans up a configuration that never ran: another
// configuration's hold is not touched.
type lease struct {
	sockets *socketRegistry
	held    []any // the pool's keys
	done    atomic.Bool
}

// acquire takes the lease of a configuration.
func acquire() (*lease, error) {
	sockets, _, err := pool.LoadOrNew(socketsKey, func() (caddy.Destructor, error) {
		return newSocketRegistry(), nil
	})
	if err != nil {
		return nil, err
	}
	return &lease{sockets: sockets.(*socketRegistry), held: []any{socketsKey}}, nil
}

// upstream returns the living state of a backend.
func (l *lease) upstream(region string, b regions.Backend) *regions.Upstream {
	key := upstreamKey{region: region, address: b.Address}
	value, _, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) {
		return pooledUpstream{regions.NewUpstream(b)}, nil
	})
	if err != nil {
		panic(err) // the constructor returns none
	}
	l.held = append(l.held, key)
	return value.(pooledUpstream).Upstream
}

// release gives everything back; a nil lease and a second call do nothing.
func (l *lease) release() error {
	if l == nil || !l.done.CompareAndSwap(false, true) {
		return nil
	}
	var first error
	for _, key := range l.held {
		if _, err := pool.Delete(key); err != nil && first == nil {
			first = err
		}
	}
	return first
}

type pooledUpstream struct{ *regions.Upstream }

// Destruct closes the idle connections; those in use end with their requests.
func (u pooledUpstream) Destruct() error {
	u.Close()
	return nil
}
