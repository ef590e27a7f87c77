package redisconn

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// ClientName is what CLIENT LIST calls the gateway's connections.
const ClientName = "edgegate"

// Conn is a client of one Redis. It is safe for concurrent use.
type Conn struct {
	config Config
	client redis.UniversalClient
	state  atomic.Pointer[State]
	// refused is since when writes are refused, and why; nil while they are not.
	refused atomic.Pointer[State]
}

// Open returns a Conn. It touches no network: servers are dialed by the first
// call. Close it when done.
func Open(config Config) (*Conn, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("opening Redis: %w", err)
	}
	c := &Conn{config: config, client: newClient(config)}
	c.state.Store(&State{Health: Unknown, Since: time.Now()})
	return c, nil
}

// Close ends all connections, watches included. Calls after it fail.
func (c *Conn) Close() error {
	if err := c.client.Close(); err != nil {
		return fmt.Errorf("closing Redis: %w", err)
	}
	return nil
}

// Config returns what the Conn was opened with.
func (c *Conn) Config() Config { return c.config }

func newClient(config Config) redis.UniversalClient {
	switch config.Mode {
	case ModeSentinel:
		return redis.NewFailoverClient(failoverOptions(config))
	case ModeCluster:
		return redis.NewClusterClient(clusterOptions(config))
	default:
		return redis.NewClient(singleOptions(config, config.Addresses[0]))
	}
}

// singleOptions are those of a client for one server. What all three kinds have
// in common, and why:
//   - contexts end calls, or a request would wait longer than it may;
//   - one attempt: the library would send a write again after a timeout, and
//     a counter would count twice;
//   - RESP2, no CLIENT SETINFO, no maintenance notifications: older servers and
//     proxies in between refuse or drop what they don't know;
//   - no pool of its own for pipelines: there are none.
func singleOptions(config Config, address string) *redis.Options {
	return &redis.Options{
		Addr: address, Username: config.Username, Password: config.Password, DB: config.DB, TLSConfig: config.tls(),
		ClientName: ClientName, Protocol: 2, DisableIdentity: true,
		ContextTimeoutEnabled: true, PoolSize: config.PoolSize, MaxRetries: -1, DialerRetries: 1, PipelinePoolSize: -1,
		DialTimeout: config.dialTimeout(), ReadTimeout: config.readTimeout(), WriteTimeout: config.readTimeout(),
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// failoverOptions has no say about maintenance notifications: the library never
// asks for them here.
func failoverOptions(config Config) *redis.FailoverOptions {
	return &redis.FailoverOptions{
		SentinelAddrs: config.Addresses, MasterName: config.Master, SentinelPassword: config.SentinelPassword,
		Username: config.Username, Password: config.Password, DB: config.DB, TLSConfig: config.tls(),
		ClientName: ClientName, Protocol: 2, DisableIdentity: true,
		ContextTimeoutEnabled: true, PoolSize: config.PoolSize, MaxRetries: -1, DialerRetries: 1, PipelinePoolSize: -1,
		DialTimeout: config.dialTimeout(), ReadTimeout: config.readTimeout(), WriteTimeout: config.readTimeout(),
	}
}

// clusterOptions follow MOVED and ASK, three times at most. The library asks
// again after a timeout too, whatever MaxRetries is: good for reads, and for
// writes of what may be written again, which is all there is.
func clusterOptions(config Config) *redis.ClusterOptions {
	return &redis.ClusterOptions{
		Addrs: config.Addresses, Username: config.Username, Password: config.Password, TLSConfig: config.tls(),
		ClientName: ClientName, Protocol: 2, DisableIdentity: true, DisableRoutingPolicies: true,
		ContextTimeoutEnabled: true, PoolSize: config.PoolSize, MaxRetries: -1, MaxRedirects: 3, DialerRetries: 1, PipelinePoolSize: -1,
		DialTimeout: config.dialTimeout(), ReadTimeout: config.readTimeout(), WriteTimeout: config.readTimeout(),
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}
