package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/ratelimit/metering"
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
