package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// lastWait bounds all that is done in Redis for the last time.
const lastWait = 3 * time.Second

// leaveWait bounds how long what exporters were told is copied from a store that is
// not the store any more.
const leaveWait = 5 * time.Second

// SharedStore is the store in Redis that gateways share.
type SharedStore struct {
	url    string
	conn   *redisconn.Conn
	mirror *metering.Mirror
	peers  peers              // the mirror
	cancel context.CancelFunc // ends warnOfInfo

	joiner  joiner
	inForce chan struct{} // closed when it is the store in force
	joined  atomic.Bool   // what exporters were told was brought along once
}

// peers tells the engine about the gateways that share the store. metering.Mirror
// implements it.
type peers interface {
	// PeerSums returns the sums of all logs but this process's own.
	PeerSums(ctx context.Context, organization string) ([]metering.Entry, error)
	// OwnSums returns the sums in the store of this process's own logs.
	OwnSums(ctx context.Context) ([]metering.Entry, error)
	// Peers says until when the sums of each log are in the store.
	Peers(ctx context.Context) (map[string]metering.Presence, error)
	// Young reports whether the store was emptied a moment ago, so that others may not have
	// sent their sums again.
	Young() bool
	// Flush sends the sums that have changed.
	Flush(ctx context.Context) (sent int, err error)
	// Verify sets right what the store has of this process's logs.
	Verify(ctx context.Context) error
	// Copied says that another gateway has sent sums of this process's log.
	Copied() error
}

// URL names the store, without passwords.
func (s *SharedStore) URL() string { return s.url }

// Conn returns the connection.
func (s *SharedStore) Conn() *redisconn.Conn { return s.conn }

// Mirror returns the sums of all gateways.
func (s *SharedStore) Mirror() *metering.Mirror { return s.mirror }

// share puts the store of a configuration into force, nil for none: it takes over
// while calls go on.
func (e *Engine) share(o *opened, config *redisconn.Config) error {
	before := o.shared.Load()
	if config == nil {
		if before != nil {
			resume := o.exports.pause()
			defer resume()
			e.unshare(o, before)
			o.ledger.UseMachineClock()
		}
		return e.leaveShared(o)
	}
	url := config.String()
	if before != nil && before.url == url && before.conn.Config().Password == config.Password {
		return nil
	}
	// Few calls ask the store at a time. A server that hangs must not get more of them.
	own := *config
	own.PoolSize = 8
	conn, err := redisconn.Open(own)
	if err != nil {
		return fmt.Errorf("store redis: %w", err)
	}
	known, err := o.ledger.MirroredIn(url)
	if err != nil {
		return errors.Join(fmt.Errorf("store: %w", err), conn.Close())
	}
	resume := o.exports.pause()
	defer resume()
	if before != nil {
		e.unshare(o, before)
	}
	s := &SharedStore{
		url:     url,
		conn:    conn,
		joiner:  usage.NewJoiner(o.lines, conn, url),
		inForce: make(chan struct{}),
	}
	s.mirror = metering.OpenMirror(o.ledger, conn, metering.Hooks{
		Trouble: e.logMirror,
		Join:    func(ctx context.Context) error { return o.exports.join(ctx, s) },
	})
	s.peers = s.mirror
	ctx, cancel := context.WithTimeout(context.Background(), lastWait)
	defer cancel()
	// Without an answer the mirror goes on asking.
	if err := s.mirror.Agree(ctx); errors.Is(err, metering.ErrLaterSchema) {
		return errors.Join(fmt.Errorf("store %s: %w", url, err), s.mirror.Close(ctx), conn.Close())
	}
	var asking context.Context
	asking, s.cancel = context.WithCancel(context.Background())
	go e.warnOfInfo(asking, s)
	authority := quota.NewRedis(conn, known, s.mirror.Present)
	authority.Permit(s.mirror.Rightful)
	o.quotas.SetAuthority(ctx, authority)
	o.shared.Store(s)
	close(s.inForce)
	return nil
}

// embedded is the authority in the directory.
func (e *Engine) embedded(ledger *metering.Ledger) *quota.Embedded {
	embedded := quota.NewEmbedded(e.dir, e.now)
	embedded.Opened = ledger.NoteDatabases
	return embedded
}

// unshare goes back to the store in the directory. Nothing is exported meanwhile.
func (e *Engine) unshare(o *opened, s *SharedStore) {
	s.cancel()
	told, done := context.WithTimeout(context.Background(), leaveWait)
	defer done()
	err := o.exports.leave(told, s)
	if err == nil {
		err = s.joiner.Left()
	}
	if err != nil {
		e.logLeft(s, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastWait)
	defer cancel()
	embedded := e.embedded(o.ledger)
	if err := o.quotas.CopyOverrides(ctx, embedded); err != nil {
		e.log().Error("quotas not copied from Redis to the embedded store; set them again", logError(err))
	}
	o.quotas.SetAuthority(ctx, embedded)
	o.shared.Store(nil)
	if err := errors.Join(s.mirror.Close(ctx), s.conn.Close()); err != nil {
		e.log().Error("last sums not sent to Redis; they are sent when it is the store again",
			slog.String("redis", s.url), logError(err))
	}
}

// leaveShared has the ledger be that of this directory alone, and says once what that
// means if it was one of a Redis.
func (e *Engine) leaveShared(o *opened) error {
	shared := o.ledger.Origin().Ledger
	if err := o.ledger.Leave(); err != nil {
		return err
	}
	if o.ledger.Origin().Ledger != shared {
		e.log().Warn("hard quotas are no longer shared by Redis; gateways with other directories each have the whole of a quota, less what they used themselves",
			slog.String("directory", e.dir))
	}
	return nil
}

// logMirror logs what keeps sums from Redis.
func (e *Engine) logMirror(err error) {
	if err == nil {
		e.log().Info("sums sent to Redis again")
		return
	}
	if differed, ok := errors.AsType[*metering.DifferedError](err); ok {
		e.log().Warn("sums in Redis differed from the ledger and were set right", slog.String("key", differed.Key),
			slog.Int("fields", differed.Fields), slog.String("first", differed.First))
		return
	}
	e.log().Error("sums not sent to Redis; the ledger keeps them", logError(err))
}

// askStore has a ledger ask the Redis of a configuration whether others write its logs.
// Call end when it is open.
func askStore(store *redisconn.Config, ledger *metering.Config) (end func(), err error) {
	own := *store
	own.PoolSize = 1
	conn, err := redisconn.Open(own)
	if err != nil {
		return nil, fmt.Errorf("store redis: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastWait)
	ledger.Sent = func(instance string) (uint64, error) { return metering.SentSums(ctx, conn, instance) }
	ledger.Present = func(instance string) (bool, error) { return metering.PresentIn(ctx, conn, instance) }
	return func() {
		cancel()
		_ = conn.Close() // nothing was written
	}, nil
}

// NoRestarts is said of a Redis that refuses INFO.
const NoRestarts = "it does not tell its run_id by INFO: when it restarts or a replica takes over, lost grants are not noticed, and a hard quota may be exceeded"

// askInfoEvery is the pause after Redis could not be asked.
const askInfoEvery = 5 * time.Second

// warnOfInfo warns once for each connection if restarts of Redis cannot be
// noticed. It asks until there is an answer, or until ctx is done.
func (e *Engine) warnOfInfo(ctx context.Context, s *SharedStore) {
	tick := time.NewTicker(askInfoEvery)
	defer tick.Stop()
	for {
		if tells, err := s.conn.TellsRestarts(ctx); err == nil {
			if !tells {
				e.log().Warn("Redis refuses INFO: "+NoRestarts, slog.String("store", s.url))
			}
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
