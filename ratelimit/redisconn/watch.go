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
	// probeEvery is how often a watch looks whether it still watches where the
	// changes are.
	probeEvery = time.Second
	// silence is after how long without a word, pings included, a watch gives
	// its connection up.
	silence = 3 * time.Second
	// probeFailures is how many probes in a row may fail: one slow answer is no
	// reason to read everything again.
	probeFailures = 3
	// confirmWithin is how long a server may take to confirm subscriptions.
	confirmWithin = 2 * time.Second
)

var (
	errSilent = errors.New("the server has gone silent")
	errMoved  = errors.New("another server has the keys now")
	errAnswer = errors.New("the server did not confirm the subscription")
)

// WatchConfig says what is watched and who is told.
type WatchConfig struct {
	// Keys whose changes are noticed by keyspace notifications, where the server
	// has them on (`notify-keyspace-events` with K, g, and the letter of the
	// type, h for hashes). In a cluster all of one slot. At least one.
	Keys []string
	// Channel is where writers PUBLISH that they have written; any payload. In a
	// cluster a message reaches every node. Default: none.
	Channel string
	// Changed is called once when the watch is in place, since what happened
	// before may have been missed, and then for each change: perhaps for nothing,
	// never too seldom while the watch lasts. It must not block.
	Changed func()
	// Problem is called when the watch is in place with what is wrong with it,
	// for the operator to read: "" when nothing is. It must not block. Default:
	// nobody is told.
	Problem func(text string)
}

// Watch watches until ctx is done or the server with the keys is lost: gone,
// silent for three seconds, no longer the master, or no longer the owner of the
// keys' slot. The error says which and is never nil. What changes after Watch has
// returned is missed: watch again, and the first call of Changed says when to
// read everything.
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

// channels has the channel first, if there is one.
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

// session subscribes to channels at t and listens until that ends.
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
	// A read waits for its connection, not for a context.
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

// receive hands over what arrives, errors included, until an error.
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

// confirm waits for n channels to be subscribed.
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

// listen calls Changed for what arrives and looks after the connection.
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
			case *redis.Message, *redis.Subscription: // a late Subscription: the library has connected again by itself
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
				// The slot is on its way: until it has arrived its changes are to
				// be seen at neither end.
				config.Changed()
			case errors.Is(err, errMoved):
				return err
			case c.observe(err) != nil:
				if failures++; failures >= probeFailures {
					return err
				}
			default:
				failures = 0
			}
		}
	}
}

// redisError is what the server answered, "" if err is anything else.
func redisError(err error) string {
	if reply, ok := errors.AsType[redis.Error](err); ok {
		return reply.Error()
	}
	return ""
}
