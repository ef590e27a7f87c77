package sources

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/routing/projects"
)

func init() {
	caddy.RegisterModule(new(Redis))
}

// Redis reads organizations and projects from two hashes in Redis and
// follows their changes. The layout is package projects'.
type Redis struct {
	// redis://[user:password@]host:port[,host:port...][/db][?mode=cluster|sentinel&master=NAME],
	// or rediss:// for TLS; may have {env.X} in it. Default: the store's.
	URL string `json:"url,omitempty"`

	logger *zap.Logger
	config redisconn.Config
	conn   atomic.Pointer[redisconn.Conn] // while it is followed
}

// CaddyModule returns the Caddy module information.
func (*Redis) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "edge_functions.projects.redis",
		New: func() caddy.Module { return new(Redis) },
	}
}

// Provision keeps the logger.
func (p *Redis) Provision(ctx caddy.Context) error {
	p.logger = ctx.Logger()
	return nil
}

// UseStore implements gateway.StoreSource. The source's own URL goes before the
// store's.
func (p *Redis) UseStore(store *gateway.Store) error {
	url := p.URL
	switch {
	case url != "":
	case store == nil:
		return errors.New("projects redis: there is no server; write `store redis redis://HOST:6379`, or `projects redis redis://HOST:6379`")
	case store.Kind != "redis":
		return fmt.Errorf("projects redis: the store is %q; write `projects redis redis://HOST:6379`", store.Kind)
	default:
		url = store.URL
	}
	config, err := gateway.ParseRedisURL(url)
	if err != nil {
		return fmt.Errorf("projects redis: %w", err)
	}
	p.config = config
	return nil
}

// Location implements gateway.ProjectSource.
func (p *Redis) Location() string { return p.config.Location() }

// Follow implements gateway.ProjectSource.
func (p *Redis) Follow(ctx context.Context, sink gateway.ProjectSink) {
	conn, err := redisconn.Open(p.config)
	if err != nil {
		sink.Fail(err)
		return
	}
	defer conn.Close()
	p.conn.Store(conn)
	var told atomic.Pointer[string] // the state is told by several goroutines
	follower, err := projects.NewFollower(projects.FollowerConfig{
		Store: sharedStore{conn},
		Apply: func(input projects.Input) { _ = sink.Apply(input) }, // the sink tells what is wrong with it
		State: func(state projects.FollowState) {
			if state.Err != nil {
				sink.Fail(state.Err)
			}
			if before := told.Swap(&state.Problem); state.Problem != "" && (before == nil || *before != state.Problem) {
				p.logger.Warn("changes of projects in Redis may be noticed late", zap.String("problem", state.Problem))
			}
		},
	})
	if err != nil {
		sink.Fail(err)
		return
	}
	follower.Run(ctx)
}

// Connection implements gateway.StoreSource.
func (p *Redis) Connection() *redisconn.Conn { return p.conn.Load() }

// sharedStore is a connection as package projects wants it.
type sharedStore struct{ *redisconn.Conn }

// Watch implements projects.Store.
func (s sharedStore) Watch(ctx context.Context, watch projects.Watch) error {
	return s.Conn.Watch(ctx, redisconn.WatchConfig(watch))
}

// UnmarshalCaddyfile reads `redis [URL]`.
func (p *Redis) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	args := d.RemainingArgs()
	if len(args) > 1 {
		return d.Errf("projects redis: wrong number of arguments (%d); write `projects redis [URL]`", len(args))
	}
	if len(args) == 1 {
		p.URL = args[0]
		if err := gateway.CheckRedisURL(p.URL); err != nil {
			return d.Errf("projects redis: %w", err)
		}
	}
	return options.Block(d, options.Table{})
}

// Interface guards
var (
	_ gateway.StoreSource   = (*Redis)(nil)
	_ caddy.Provisioner     = (*Redis)(nil)
	_ caddyfile.Unmarshaler = (*Redis)(nil)
	_ projects.Store        = sharedStore{}
)
