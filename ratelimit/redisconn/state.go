package redisconn

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Health tells whether Redis works, by the last calls.
type Health string

// The healths, with the names of `status` (docs/cli.md).
const (
	Unknown Health = "unknown" // no call has ended yet
	Up      Health = "up"      // the last call was answered, and the last write was taken
	Down    Health = "down"    // the last call had no answer, or writes are refused
)

// State is the state of Redis, by the last calls.
type State struct {
	Health Health
	Since  time.Time // when Health changed last
	Err    error     // why it is Down; nil otherwise
}

// State returns the state of Redis by the last calls: it calls nobody. A watch calls
// every second. A server that answers but refuses a write is Down until it takes one.
func (c *Conn) State() State {
	if refused := c.refused.Load(); refused != nil {
		return *refused
	}
	return *c.state.Load()
}

// observeWrite is observe for a call that writes: it also notes whether writes are
// refused.
func (c *Conn) observeWrite(err error) error {
	switch {
	case err == nil:
		c.refused.Store(nil)
	case refusesWrites(err):
		c.refused.CompareAndSwap(nil, &State{Health: Down, Since: time.Now(), Err: err})
	}
	return c.observe(err)
}

// ReplyCode returns the code of a server's error reply, such as MISCONF; "" for other
// errors. It quotes neither keys nor values, so it is fit for users.
func ReplyCode(err error) string {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return ""
	}
	for _, code := range writeRefusals {
		if refusesWith(reply.Error(), code) {
			return strings.TrimSpace(code)
		}
	}
	code, _, _ := strings.Cut(reply.Error(), " ")
	return code
}

// writeRefusals are the codes of a server that answers reads and refuses writes: its
// disk is full, its memory is full, it is a replica, or it has lost its replicas. The
// reply to a script has the code of a command in the middle of its text.
var writeRefusals = []string{"MISCONF ", "OOM ", "READONLY ", "NOREPLICAS "}

func refusesWrites(err error) bool {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return false
	}
	return slices.ContainsFunc(writeRefusals, func(code string) bool { return refusesWith(reply.Error(), code) })
}

func refusesWith(text, code string) bool {
	return strings.HasPrefix(text, code) || strings.Contains(text, "-"+code)
}

// observe updates the state by the outcome of a call, and returns its error.
func (c *Conn) observe(err error) error {
	health := Up
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, redis.ErrClosed):
		return err // tells nothing about Redis
	case err != nil && !answered(err):
		health = Down
		// A node that died cannot answer MOVED: by itself, the client would look for its
		// successor only once a minute.
		if cluster, ok := c.client.(*redis.ClusterClient); ok {
			cluster.ReloadState(context.Background())
		}
	}
	next := &State{Health: health, Since: time.Now()}
	if health == Down {
		next.Err = err
	}
	for {
		last := c.state.Load()
		if last.Health == health {
			if health == Up {
				return err
			}
			next.Since = last.Since
		}
		if c.state.CompareAndSwap(last, next) {
			return err
		}
	}
}

// answered reports whether an error is the reply of a server that works: not one of
// those that a server gives while it cannot serve.
func answered(err error) bool {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return false
	}
	for _, prefix := range []string{"LOADING", "CLUSTERDOWN", "MASTERDOWN", "READONLY", "MISCONF"} {
		if strings.HasPrefix(reply.Error(), prefix) {
			return false
		}
	}
	return true
}
