package redisconn

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// ClientName is the name of the gateway's connections in CLIENT LIST.
const ClientName = "edgegate"

// Conn is a client of one Redis. It is safe for concurrent use.
type Conn struct {
	config  Config
	client  redis.UniversalClient
	state   atomic.Pointer[State] // of the last calls
	refused atomic.Pointer[State] // while writes are refused: since when, and why; nil otherwise
}

// Open returns a Conn. It sends nothing: the first call dials. The error is that of
// Validate. Close the Conn when done.
func Open(config Config) (*Conn, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("opening Redis: %w", err)
	}
	c := &Conn{config: config, client: newClient(config)}
	c.state.Store(&State{Health: Unknown, Since: time.Now()})
	return c, nil
}

// Close ends all connections and watches. Calls after it fail.
func (c *Conn) Close() error {
	if err := c.client.Close(); err != nil {
		return fmt.Errorf("closing Redis: %w", err)
	}
	return nil
}

// Config returns the Config of Open, passwords included.
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

// singleOptions returns the options of a client for one server. All three kinds of
// clients have in common:
//   - contexts end calls, or a request would wait longer than it may;
//   - one attempt: the library would send a write again after a timeout;
//   - RESP2, no CLIENT SETINFO, no maintenance notifications: older servers and
//     proxies in between refuse or drop commands that they don't know;
//   - no pool for pipelines: there are none.
func singleOptions(config Config, address string) *redis.Options {
	return &redis.Options{
		Addr:                     address,
		Username:                 config.Username,
		Password:                 config.Password,
		DB:                       config.DB,
		TLSConfig:                config.tls(),
		ClientName:               ClientName,
		Protocol:                 2,
		DisableIdentity:          true,
		ContextTimeoutEnabled:    true,
		PoolSize:                 config.PoolSize,
		MaxRetries:               -1,
		DialerRetries:            1,
		PipelinePoolSize:         -1,
		DialTimeout:              config.dialTimeout(),
		ReadTimeout:              config.readTimeout(),
		WriteTimeout:             config.readTimeout(),
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// failoverOptions returns the options of a client that finds the master by sentinels.
// They have no field for maintenance notifications: the library never asks for them
// here.
func failoverOptions(config Config) *redis.FailoverOptions {
	return &redis.FailoverOptions{
		SentinelAddrs:         config.Addresses,
		MasterName:            config.Master,
		SentinelPassword:      config.SentinelPassword,
		Username:              config.Username,
		Password:              config.Password,
		DB:                    config.DB,
		TLSConfig:             config.tls(),
		ClientName:            ClientName,
		Protocol:              2,
		DisableIdentity:       true,
		ContextTimeoutEnabled: true,
		PoolSize:              config.PoolSize,
		MaxRetries:            -1,
		DialerRetries:         1,
		PipelinePoolSize:      -1,
		DialTimeout:           config.dialTimeout(),
		ReadTimeout:           config.readTimeout(),
		WriteTimeout:          config.readTimeout(),
	}
}

// clusterOptions returns the options of a client for a cluster, which follows MOVED
// and ASK three times at most. Whatever MaxRetries is, the library sends a command
// again after a timeout too. All writes of this project may be done twice.
func clusterOptions(config Config) *redis.ClusterOptions {
	return &redis.ClusterOptions{
		Addrs:                    config.Addresses,
		Username:                 config.Username,
		Password:                 config.Password,
		TLSConfig:                config.tls(),
		ClientName:               ClientName,
		Protocol:                 2,
		DisableIdentity:          true,
		DisableRoutingPolicies:   true,
		ContextTimeoutEnabled:    true,
		PoolSize:                 config.PoolSize,
		MaxRetries:               -1,
		MaxRedirects:             3,
		DialerRetries:            1,
		PipelinePoolSize:         -1,
		DialTimeout:              config.dialTimeout(),
		ReadTimeout:              config.readTimeout(),
		WriteTimeout:             config.readTimeout(),
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}
