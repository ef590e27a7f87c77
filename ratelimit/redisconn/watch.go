package redisconn

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// probeEvery is the interval at which a watch checks that its server still has the
	// keys.
	probeEvery = time.Second
	// silence is how long a server may send nothing, answers to pings included, until
	// the watch ends.
	silence = 3 * time.Second
	// probeFailures is how many probes in a row must fail until the watch ends: the
	// caller reads everything again then, for which one slow answer is no reason.
	probeFailures = 3
	// confirmWithin bounds the wait for a server to confirm subscriptions.
	confirmWithin = 2 * time.Second
)

var (
	errSilent = errors.New("the server has gone silent")
	errMoved  = errors.New("another server has the keys now")
	errAnswer = errors.New("the server did not confirm the subscription")
)

// WatchConfig tells what to watch, and what to call.
type WatchConfig struct {
	// Keys are the keys whose changes are noticed by keyspace notifications, if the
	// server sends them (`notify-keyspace-events` with K, g, and the letter of the type,
	// h for hashes). In a cluster all must be of one slot. At least one.
	Keys []string
	// Channel is where writers PUBLISH after they have written; the payload does not
	// matter. In a cluster a message reaches every node. Default: none.
	Channel string
	// Changed is called once when the watch begins, since earlier changes may have been
	// missed, and then after each change, sometimes without one. It must not block.
	Changed func()
	// Problem is called when the watch begins, with why it does not notice all changes,
	// for the operator to read, or "". It must not block. Optional.
	Problem func(text string)
}

// Watch watches until ctx is done or the server is lost: it is gone, is silent for three
// seconds, is not the master any more, or does not own the slot of the keys any more.
// The error says which and is never nil. Changes after the return are missed: watch
// again, and read everything at the first call of Changed.
func (c *Conn) Watch(ctx context.Context, config WatchConfig) error {
	if len(config.Keys) == 0 || config.Changed == nil {
		return errors.New("watching Redis: no keys, or nobody to tell")
	}
	t, err := c.target(ctx, config.Keys)
	if c.observe(err) != nil {
		return fmt.Errorf("watching Redis: %w", err)
	}
	defer t.close()
	channels, problem := config.channels(c.config.DB), ""
	err = c.session(ctx, t, config, channels, func() string { return t.problem(ctx, config) })
	if config.Channel != "" && strings.HasPrefix(redisError(err), "NOPERM") {
		// An ACL may well allow the channel alone.
		problem = fmt.Sprintf("the Redis user may not subscribe to keyspace notifications (%s): only changes followed by PUBLISH %s are noticed at once; allow it with ACL SETUSER ... &__keyspace@*",
			redisError(err), config.Channel)
		err = c.session(ctx, t, config, channels[:1], func() string { return problem })
	}
	if ctx.Err() != nil {
		return fmt.Errorf("watching Redis: %w", ctx.Err())
	}
	return fmt.Errorf("watching Redis: %w", c.observe(err))
}

// channels returns what to subscribe to; Channel is the first, if there is one.
func (w WatchConfig) channels(db int) []string {
	channels := make([]string, 0, 1+len(w.Keys))
	if w.Channel != "" {
		channels = append(channels, w.Channel)
	}
	for _, key := range w.Keys {
		channels = append(channels, fmt.Sprintf("__keyspace@%d__:%s", db, key))
	}
	return channels
}

// session subscribes to channels at a server and listens until the watch ends.
func (c *Conn) session(ctx context.Context, t *target, config WatchConfig, channels []string, problem func() string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	subscription := t.client.Subscribe(ctx, channels...)
	received := make(chan any)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		receive(ctx, subscription, received)
	}()
	// A read ends with its connection, not with its context.
	defer func() {
		cancel()
		_ = subscription.Close()
		<-stopped
	}()

	if err := confirm(ctx, received, len(channels)); err != nil {
		return err
	}
	config.Changed()
	if config.Problem != nil {
		config.Problem(problem())
	}
	return c.listen(ctx, t, subscription, received, config)
}

// receive hands messages over, and the error that ends it.
func receive(ctx context.Context, subscription *redis.PubSub, to chan<- any) {
	for {
		message, err := subscription.ReceiveTimeout(ctx, 0)
		if err != nil {
			message = err
		}
		select {
		case to <- message:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// confirm waits until n channels are subscribed.
func confirm(ctx context.Context, received <-chan any, n int) error {
	timeout := time.NewTimer(confirmWithin)
	defer timeout.Stop()
	for n > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout.C:
			return errAnswer
		case message := <-received:
			switch message := message.(type) {
			case error:
				return message
			case *redis.Subscription:
				n--
			}
		}
	}
	return nil
}

// listen calls Changed for each message, and checks the connection and the server.
func (c *Conn) listen(ctx context.Context, t *target, subscription *redis.PubSub, received <-chan any, config WatchConfig) error {
	probe := time.NewTicker(probeEvery)
	defer probe.Stop()
	heard, failures := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case message := <-received:
			heard = time.Now()
			switch message := message.(type) {
			case error:
				return message
			case *redis.Message, *redis.Subscription: // a Subscription: the library has connected again by itself
				config.Changed()
			}
		case <-probe.C:
			if time.Since(heard) > silence {
				return errSilent
			}
			if err := subscription.Ping(ctx); err != nil {
				return err
			}
			err := t.probe(ctx, config.Keys)
			switch reply := redisError(err); {
			case strings.HasPrefix(reply, "ASK"), strings.HasPrefix(reply, "TRYAGAIN"):
				// The slot is being moved: neither node sends all notifications meanwhile.
				config.Changed()
			case errors.Is(err, errMoved):
				return err
			case c.observe(err) != nil:
				failures++
				if failures >= probeFailures {
					return err
				}
			default:
				failures = 0
			}
		}
	}
}

// redisError returns the text of a server's error reply, "" for other errors.
func redisError(err error) string {
	if reply, ok := errors.AsType[redis.Error](err); ok {
		return reply.Error()
	}
	return ""
}
