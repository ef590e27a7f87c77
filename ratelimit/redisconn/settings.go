package redisconn

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Settings returns the values of settings of the server (CONFIG GET), in a cluster of
// any one node. Settings that the server does not know, or does not tell this user, are
// missing.
func (c *Conn) Settings(ctx context.Context, names ...string) (map[string]string, error) {
	found := make(map[string]string, len(names))
	for _, name := range names {
		values, err := c.client.ConfigGet(ctx, name).Result()
		if c.observe(err) != nil {
			if answered(err) {
				continue
			}
			return nil, fmt.Errorf("reading the setting %s: %w", name, err)
		}
		if value, ok := values[name]; ok {
			found[name] = value
		}
	}
	return found, nil
}

// Replicas returns how many replicas are connected to the server.
func (c *Conn) Replicas(ctx context.Context) (int, error) {
	text, err := c.client.Info(ctx, "replication").Result()
	if c.observe(err) != nil {
		return 0, fmt.Errorf("reading the section replication of INFO: %w", err)
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "connected_slaves:"); ok {
			return strconv.Atoi(value)
		}
	}
	return 0, nil
}

// TellsRestarts reports whether this user's INFO shows that a server has restarted or
// was promoted. Without that, the scripts that grant quotas do not notice that grants
// were lost.
func (c *Conn) TellsRestarts(ctx context.Context) (bool, error) {
	for section, field := range map[string]string{"server": "run_id:", "replication": "master_replid:"} {
		text, err := c.client.Info(ctx, section).Result()
		if c.observe(err) != nil {
			if answered(err) {
				return false, nil
			}
			return false, fmt.Errorf("reading the section %s of INFO: %w", section, err)
		}
		if !strings.Contains(text, field) {
			return false, nil
		}
	}
	return true, nil
}

// Time returns the time of the server's clock.
func (c *Conn) Time(ctx context.Context) (time.Time, error) {
	at, err := c.client.Time(ctx).Result()
	if c.observe(err) != nil {
		return time.Time{}, fmt.Errorf("reading the clock: %w", err)
	}
	return at, nil
}

// ClockOffset returns how far the server's clock is ahead of this machine's, and by how
// much that may be wrong: half of the time that the call took.
func (c *Conn) ClockOffset(ctx context.Context) (ahead, within time.Duration, err error) {
	before := time.Now()
	at, err := c.Time(ctx)
	if err != nil {
		return 0, 0, err
	}
	within = time.Since(before) / 2
	return at.Sub(before.Add(within)), within, nil
}
