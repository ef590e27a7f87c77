package redisconn

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Script is a Lua script that reads and writes one key, with at most one command that
// writes: a server that dies between two of them leaves the first one done. The texts
// are .lua files beside the Go files that run them, in the packages quota, rate,
// metering and usage.
type Script struct{ script *redis.Script }

// NewScript returns a script with its text. It sends nothing.
func NewScript(text string) *Script { return &Script{redis.NewScript(text)} }

// Run runs a script on a key and returns its answer: a string, an int64, a []any of
// them, or nil. Only the hash of the script is sent, and the text to a server that does
// not know it. After an error it may have been run or not; in a cluster it may be run
// twice.
func (c *Conn) Run(ctx context.Context, s *Script, key string, args ...any) (any, error) {
	reply, err := s.script.Run(ctx, c.client, []string{key}, args...).Result()
	if c.observeWrite(err) != nil {
		return nil, fmt.Errorf("running a script on %s: %w", key, err)
	}
	return reply, nil
}
