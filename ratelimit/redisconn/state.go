package redisconn

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Health is whether Redis answered lately.
type Health string

// The healths, with the names of `status` (docs/cli.md).
const (
	Unknown Health = "unknown" // nothing was asked yet
	Up      Health = "up"
	Down    Health = "down"
)

// State is what the last calls say about Redis.
type State struct {
	Health Health
	Since  time.Time // of the last change of Health
	Err    error     // why it is down; nil otherwise
}

// State returns what the last calls say. A Conn that nobody calls keeps its
// last one; a watch calls every second. A server that answers and refuses what
// is written to it is down until it takes a write again.
func (c *Conn) State() State {
	if refused := c.refused.Load(); refused != nil {
		return *refused
	}
	return *c.state.Load()
}

// observeWrite is observe for a call that writes.
func (c *Conn) observeWrite(err error) error {
	switch {
	case err == nil:
		c.refused.Store(nil)
	case refusesWrites(err):
		c.refused.CompareAndSwap(nil, &State{Health: Down, Since: time.Now(), Err: err})
	}
	return c.observe(err)
}

// ReplyCode returns the first word of a server's error reply, such as MISCONF,
// which says what is wrong and quotes nothing; "" for other errors.
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

// writeRefusals are the codes with which a server that answers reads refuses
// writes: its disk is full, its memory is full, it is a replica, or it has lost
// its replicas. Those of commands in a script come in the middle of a reply.
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

// observe takes a call's outcome into the state, and returns its error.
func (c *Conn) observe(err error) error {
	health := Up
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, redis.ErrClosed):
		return err // about the caller
	case err != nil && !answered(err):
		health = Down
		// A cluster's client finds out by itself within a minute, by answers of those
		// who are there; of one that died there are none.
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

// answered tells an answer of a server that works from one that can't, and from
// no answer.
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
