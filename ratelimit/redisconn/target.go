package redisconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// target is the server that has the keys of a watch: no other sends notifications about
// them.
type target struct {
	client *redis.Client
	moved  func(ctx context.Context) error // errMoved if another server has become the master
	close  func()
}

// target finds the server that has keys, which are of one slot in a cluster.
func (c *Conn) target(ctx context.Context, keys []string) (*target, error) {
	none := func() {}
	still := func(context.Context) error { return nil }
	switch client := c.client.(type) {
	case *redis.ClusterClient:
		node, err := client.MasterForKey(ctx, keys[0])
		if err != nil {
			return nil, err
		}
		// The library looks for moved slots only when a call meets one: without this the
		// next watch would go to the same node again.
		reload := func() {
			if ctx.Err() == nil {
				client.ReloadState(ctx)
			}
		}
		return &target{client: node, moved: still, close: reload}, nil
	case *redis.Client:
		if c.config.Mode != ModeSentinel {
			return &target{client: client, moved: still, close: none}, nil
		}
		return c.masterTarget(ctx)
	default:
		return nil, fmt.Errorf("no way to watch with a %T", client)
	}
}

// masterTarget makes a client of its own for the master that the sentinels tell. The
// library's client follows a failover with its calls, but not with a subscription.
func (c *Conn) masterTarget(ctx context.Context) (*target, error) {
	sentinels := make([]*redis.SentinelClient, len(c.config.Addresses))
	for i, address := range c.config.Addresses {
		options := singleOptions(c.config, address)
		options.Username, options.Password, options.DB = "", c.config.SentinelPassword, 0
		sentinels[i] = redis.NewSentinelClient(options)
	}
	// ask asks the sentinels in the order of the URL, each within the read timeout.
	ask := func(ctx context.Context) (string, error) {
		var errs []error
		for i, sentinel := range sentinels {
			address, err := sentinel.GetMasterAddrByName(ctx, c.config.Master).Result()
			if errors.Is(err, redis.Nil) {
				err = fmt.Errorf("sentinel %s knows no master %q", c.config.Addresses[i], c.config.Master)
			}
			if err == nil && len(address) == 2 {
				return net.JoinHostPort(address[0], address[1]), nil
			}
			errs = append(errs, err)
		}
		return "", errors.Join(errs...)
	}
	closeSentinels := func() {
		for _, sentinel := range sentinels {
			_ = sentinel.Close()
		}
	}
	master, err := ask(ctx)
	if err != nil {
		closeSentinels()
		return nil, err
	}
	client := redis.NewClient(singleOptions(c.config, master))
	return &target{
		client: client,
		moved: func(ctx context.Context) error {
			// Without an answer the master is as good as before.
			if now, err := ask(ctx); err == nil && now != master {
				return fmt.Errorf("%s: %w", now, errMoved)
			}
			return nil
		},
		close: func() {
			_ = client.Close()
			closeSentinels()
		},
	}, nil
}

// probe asks the server whether it still has the keys. The error is errMoved if not.
func (t *target) probe(ctx context.Context, keys []string) error {
	if err := t.moved(ctx); err != nil {
		return err
	}
	err := t.client.Exists(ctx, keys...).Err()
	if reply := redisError(err); strings.HasPrefix(reply, "MOVED") {
		return fmt.Errorf("%s: %w", reply, errMoved)
	}
	return err
}

// problem returns why changes of hashes are not noticed without PUBLISH, and the
// remedy; "" if they are.
func (t *target) problem(ctx context.Context, config WatchConfig) string {
	remedy := "set it to Kgh on the server"
	if config.Channel != "" {
		remedy += ", or have every write followed by PUBLISH " + config.Channel
	}
	settings, err := t.client.ConfigGet(ctx, "notify-keyspace-events").Result()
	flags := settings["notify-keyspace-events"]
	switch {
	case ctx.Err() != nil:
		return ""
	case err != nil:
		return fmt.Sprintf("whether keyspace notifications are on could not be read (%v): see that notify-keyspace-events has K, g and h; if not, %s", err, remedy)
	case !strings.Contains(flags, "K"), !strings.Contains(flags, "A") && (!strings.Contains(flags, "g") || !strings.Contains(flags, "h")):
		return fmt.Sprintf("keyspace notifications are off (notify-keyspace-events is %q): changes are not noticed at once; %s", flags, remedy)
	}
	return ""
}
