package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/routing/projects"
)

func init() {
	caddy.RegisterModule(new(RedisProjects))
}

// RedisProjects reads organizations and projects from two hashes in Redis and
// follows their changes. The layout is package projects'.
type RedisProjects struct {
	// redis://[user:password@]host:port[,host:port...][/db][?mode=cluster|sentinel&master=NAME],
	// or rediss:// for TLS; may have {env.X} in it. Default: the store's.
	URL string `json:"url,omitempty"`

	logger *zap.Logger
	config redisconn.Config
	conn   atomic.Pointer[redisconn.Conn] // while it is followed
}

// CaddyModule returns the Caddy module information.
func (*RedisProjects) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "edge_functions.projects.redis",
		New: func() caddy.Module { return new(RedisProjects) },
	}
}

// Provision keeps the logger.
func (p *RedisProjects) Provision(ctx caddy.Context) error {
	p.logger = ctx.Logger()
	return nil
}

// useStore settles where Redis is.
func (p *RedisProjects) useStore(store *Store) error {
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
	config, err := parseRedisURL(url)
	if err != nil {
		return fmt.Errorf("projects redis: %w", err)
	}
	p.config = config
	return nil
}

// parseRedisURL fills in the environment and reads the URL. Its errors have no
// password in them.
func parseRedisURL(url string) (redisconn.Config, error) {
	resolved, err := ResolveKey(url)
	if err != nil {
		return redisconn.Config{}, err
	}
	return redisconn.Parse(resolved)
}

// checkRedisURL judges a URL in a Caddyfile; with a placeholder in it that must
// wait until the configuration is loaded.
func checkRedisURL(url string) error {
	if options.HasEnv(url) {
		return nil
	}
	_, err := parseRedisURL(url)
	return err
}

// Location implements ProjectSource.
func (p *RedisProjects) Location() string { return p.config.Location() }

// Follow implements ProjectSource.
func (p *RedisProjects) Follow(ctx context.Context, sink ProjectSink) {
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
				p.logger.Warn("changes of projects may not be noticed at once", zap.String("problem", state.Problem))
			}
		},
	})
	if err != nil {
		sink.Fail(err)
		return
	}
	follower.Run(ctx)
}

// connection implements storeUser.
func (p *RedisProjects) connection() *redisconn.Conn { return p.conn.Load() }

// sharedStore is a connection as package projects wants it.
type sharedStore struct{ *redisconn.Conn }

// Watch implements projects.Store.
func (s sharedStore) Watch(ctx context.Context, watch projects.Watch) error {
	return s.Conn.Watch(ctx, redisconn.WatchConfig(watch))
}

// UnmarshalCaddyfile reads `redis [URL]`.
func (p *RedisProjects) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	args := d.RemainingArgs()
	if len(args) > 1 {
		return d.Errf("projects redis: wrong number of arguments (%d); write `projects redis [URL]`", len(args))
	}
	if len(args) == 1 {
		p.URL = args[0]
		if err := checkRedisURL(p.URL); err != nil {
			return d.Errf("projects redis: %w", err)
		}
	}
	return options.Block(d, options.Table{})
}

// Interface guards
var (
	_ ProjectSource         = (*RedisProjects)(nil)
	_ storeUser             = (*RedisProjects)(nil)
	_ caddy.Provisioner     = (*RedisProjects)(nil)
	_ caddyfile.Unmarshaler = (*RedisProjects)(nil)
	_ projects.Store        = sharedStore{}
)
