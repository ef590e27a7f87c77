package redisconn

import (
	"context"
	"errors"
	"fmt"
)

const (
	// scanReply is the size in bytes that one step of a scan aims at: small enough that
	// no server stalls and no slow link times out.
	scanReply = 256 << 10
	// scanFirst is how many fields the first step asks for, since their size is not
	// known yet, and scanMost how many any step asks for at most.
	scanFirst = 16
	scanMost  = 2000
	// scanRounds is how often HashAll starts again when fields are missing.
	scanRounds = 3
)

// HashAll returns all fields of a hash; none for a key that doesn't exist. It reads in
// steps: a field that is written meanwhile may be missing, one that was there all the
// time is not. A read with fewer fields than the hash had is done again; after the
// third time it is an error.
func (c *Conn) HashAll(ctx context.Context, key string) (map[string]string, error) {
	for range scanRounds {
		before, err := c.client.HLen(ctx, key).Result()
		if c.observe(err) != nil {
			return nil, fmt.Errorf("reading hash %s: %w", key, err)
		}
		fields, err := c.scan(ctx, key, int(before))
		if c.observe(err) != nil {
			return nil, fmt.Errorf("reading hash %s: %w", key, err)
		}
		// A cursor means nothing to another server: after a failover, or the migration of
		// a slot, the rest of the scan lacks fields.
		after, err := c.client.HLen(ctx, key).Result()
		if c.observe(err) != nil {
			return nil, fmt.Errorf("reading hash %s: %w", key, err)
		}
		if int64(len(fields)) >= min(before, after) {
			return fields, nil
		}
	}
	return nil, fmt.Errorf("reading hash %s: %w", key, errChanging)
}

// errChanging is the error of a read that lacked fields each time.
var errChanging = errors.New("it changes faster than it can be read")

// scan reads a hash once. expected is about how many fields it has.
func (c *Conn) scan(ctx context.Context, key string, expected int) (map[string]string, error) {
	fields := make(map[string]string, expected)
	count := int64(scanFirst)
	for cursor := uint64(0); ; {
		pairs, next, err := c.client.HScan(ctx, key, cursor, "", count).Result()
		if err != nil {
			return nil, err
		}
		size := 0
		for i := 0; i+1 < len(pairs); i += 2 {
			fields[pairs[i]] = pairs[i+1]
			size += len(pairs[i]) + len(pairs[i+1])
		}
		if next == 0 {
			return fields, nil
		}
		cursor = next
		if size > 0 {
			count = min(max(count*scanReply/int64(size), 1), scanMost, count*8)
		}
	}
}

// HashGet returns the values of those of the fields that exist, by field.
func (c *Conn) HashGet(ctx context.Context, key string, fields ...string) (map[string]string, error) {
	found := make(map[string]string, len(fields))
	if len(fields) == 0 {
		return found, nil
	}
	values, err := c.client.HMGet(ctx, key, fields...).Result()
	if c.observe(err) != nil {
		return nil, fmt.Errorf("reading hash %s: %w", key, err)
	}
	for i, field := range fields {
		if i < len(values) {
			if text, ok := values[i].(string); ok {
				found[field] = text
			}
		}
	}
	return found, nil
}

// HashSet sets a field of a hash. After an error it may have been done or not; in a
// cluster it may be done twice.
func (c *Conn) HashSet(ctx context.Context, key, field, value string) error {
	if err := c.observeWrite(c.client.HSet(ctx, key, field, value).Err()); err != nil {
		return fmt.Errorf("writing hash %s: %w", key, err)
	}
	return nil
}

// HashSetAll is HashSet for several fields at once.
func (c *Conn) HashSetAll(ctx context.Context, key string, values map[string]string) error {
	if len(values) == 0 {
		return nil
	}
	if err := c.observeWrite(c.client.HSet(ctx, key, values).Err()); err != nil {
		return fmt.Errorf("writing hash %s: %w", key, err)
	}
	return nil
}

// HashDelete removes fields of a hash; a field that is missing is no error.
func (c *Conn) HashDelete(ctx context.Context, key string, fields ...string) error {
	if len(fields) == 0 {
		return nil
	}
	if err := c.observeWrite(c.client.HDel(ctx, key, fields...).Err()); err != nil {
		return fmt.Errorf("writing hash %s: %w", key, err)
	}
	return nil
}

// HashLen returns how many fields a hash has, 0 for a key that doesn't exist.
func (c *Conn) HashLen(ctx context.Context, key string) (int, error) {
	n, err := c.client.HLen(ctx, key).Result()
	if c.observe(err) != nil {
		return 0, fmt.Errorf("reading hash %s: %w", key, err)
	}
	return int(n), nil
}
