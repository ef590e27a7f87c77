package redisconn

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Script is a Lua script that reads and writes one key, with at most one command
// that writes: a server that dies in the middle of two leaves half of them.
type Script struct{ script *redis.Script }

// NewScript returns the script with a text.
func NewScript(text string) *Script { return &Script{redis.NewScript(text)} }

// Run runs a script on a key. It is sent once, but a server that does not know
// it yet is sent its text; after an error it may have been run or not.
func (c *Conn) Run(ctx context.Context, s *Script, key string, args ...any) (any, error) {
	reply, err := s.script.Run(ctx, c.client, []string{key}, args...).Result()
	if c.observeWrite(err) != nil {
		return nil, fmt.Errorf("running a script on %s: %w", key, err)
	}
	return reply, nil
}
