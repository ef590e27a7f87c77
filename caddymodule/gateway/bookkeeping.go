package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
	"github.com/edgegate/edgegate/ratelimit/rate"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/routing/projects"
)

// booksKey identifies the ledger in a directory.
type booksKey struct{ dir string }

// bookkeeping counts what is used. It outlives configurations: no reload may
// lose a unit. It is opened by the first that starts.
type bookkeeping struct {
	dir    string
	logger atomic.Pointer[zap.Logger]
	app    atomic.Pointer[App]   // the configuration in force
	open   atomic.Pointer[books] // nil before
	billed atomic.Bool           // the lines were brought up to date by this process
	mu     sync.Mutex            // guards opening

	arrivals arrivals
	billing  sync.Mutex // who has it knows what the lines are of; guards billedLogs
	// billedLogs is how many logs the lines have from their beginning.
	billedLogs int
	adjusting  sync.Mutex // one adjustment at a time: none may go below what the one before left
}

// books are a ledger and what is decided by it.
type books struct {
	ledger *metering.Ledger
	quotas *quota.Manager
	slugs  *xsync.Map[string, *slugs] // by the ref of the project
	shared atomic.Pointer[sharing]    // nil with an embedded store
	bill   *billing
	calls  atomic.Int64 // with a record, and none yet of their end

	unrecorded trouble // calls that the ledger took no record of
	ungranted  trouble // calls for which nobody could be asked for a unit
}

// sharing is what is shared with other gateways by a store in Redis.
type sharing struct {
	url    string // without passwords
	conn   *redisconn.Conn
	mirror *metering.Mirror
	tokens *rate.Tokens
	end    context.CancelFunc // of what runs beside
}

// shareRates has rate limits shared by the store, if it can be.
func (a *App) shareRates() {
	if s := a.books.open.Load().shared.Load(); s != nil {
		a.lease.limiter.Share(s.tokens)
		return
	}
	a.lease.limiter.Share(nil)
}

// shareWait bounds all that is done in Redis for the last time.
const shareWait = 3 * time.Second

// start opens the ledger, unless it is, and puts the settings of a
// configuration into force.
func (b *bookkeeping) start(a *App) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.logger.Store(a.logger)
	opened := b.open.Load()
	if opened == nil {
		ledger, err := metering.Open(metering.Config{Dir: b.dir, Trouble: b.trouble})
		if err != nil {
			return fmt.Errorf("store: %w; name a directory that can be written with `store embedded DIRECTORY`", err)
		}
		if found := ledger.Recovered(); found.Dead+found.Torn > 0 {
			a.logger.Warn("the process before ended in the middle of its work",
				zap.Int("invocations_not_begun", found.Dead), zap.Int("records_damaged", found.Torn))
		}
		a.logger.Info("the ledger is open", zap.String("gateway", ledger.Instance()))
		warnOfZones(ledger, a.logger)
		opened = &books{
			ledger: ledger, slugs: xsync.NewMap[string, *slugs](),
			quotas: quota.NewManager(ledger, quota.NewEmbedded(b.dir, time.Now)),
		}
		opened.bill = b.startBilling()
		b.open.Store(opened)
	}
	mode := metering.SyncGroup
	if a.Store != nil && a.Store.Sync != "" {
		mode = metering.Sync(a.Store.Sync)
	}
	opened.ledger.SetSync(mode)
	return b.share(a, opened)
}

// share has the store of a configuration in use: another one takes over while
// calls go on.
func (b *bookkeeping) share(a *App, opened *books) error {
	before := opened.shared.Load()
	if a.Store == nil || a.Store.Kind != storeRedis {
		if before != nil {
			b.unshare(opened, before)
		}
		return nil
	}
	config, err := parseRedisURL(a.Store.URL)
	if err != nil {
		return fmt.Errorf("store redis: %w", err)
	}
	if before != nil && before.url == config.String() && before.conn.Config().Password == config.Password {
		return nil
	}
	// One writes, and few ask: a server that hangs must not get more of them.
	config.PoolSize = 8
	conn, err := redisconn.Open(config)
	if err != nil {
		return fmt.Errorf("store redis: %w", err)
	}
	known, err := opened.ledger.MirroredIn(config.String())
	if err != nil {
		return errors.Join(fmt.Errorf("store: %w", err), conn.Close())
	}
	if before != nil {
		b.unshare(opened, before)
	}
	s := &sharing{url: config.String(), conn: conn, mirror: metering.OpenMirror(opened.ledger, conn, b.redisTrouble)}
	s.tokens = rate.NewTokens(conn, s.mirror.Present)
	var asking context.Context
	asking, s.end = context.WithCancel(context.Background())
	go warnOfInfo(asking, conn, s.url, b.logger.Load)
	ctx, cancel := context.WithTimeout(context.Background(), shareWait)
	defer cancel()
	opened.quotas.SetAuthority(ctx, quota.NewRedis(conn, known, s.mirror.Present))
	opened.shared.Store(s)
	return nil
}

// unshare goes back to what is kept here.
func (b *bookkeeping) unshare(opened *books, s *sharing) {
	s.end()
	ctx, cancel := context.WithTimeout(context.Background(), shareWait)
	defer cancel()
	embedded := quota.NewEmbedded(b.dir, time.Now)
	if err := opened.quotas.CopyOverrides(ctx, embedded); err != nil {
		b.logger.Load().Error("quotas that were set in Redis are not set here; set them again", zap.Error(err))
	}
	opened.quotas.SetAuthority(ctx, embedded)
	opened.shared.Store(nil)
	if err := errors.Join(s.mirror.Close(ctx), s.conn.Close()); err != nil {
		b.logger.Load().Error("the last sums did not get to Redis; they are there when it is the store again",
			zap.String("redis", s.url), zap.Error(err))
	}
}

// redisTrouble logs what keeps sums from Redis.
func (b *bookkeeping) redisTrouble(err error) {
	if err == nil {
		b.logger.Load().Info("sums get to Redis again")
		return
	}
	b.logger.Load().Error("sums do not get to Redis; they are kept in the ledger", zap.Error(err))
}

// trouble logs what the ledger met in the background.
func (b *bookkeeping) trouble(err error) {
	if err == nil {
		b.logger.Load().Info("the ledger is written again")
		return
	}
	b.logger.Load().Error("the ledger cannot be written; calls are answered 503 when its last file is full", zap.Error(err))
}

// endWait is how long the ledger stays open for calls that end: the handlers of
// WebSockets that were just closed.
const endWait = time.Second

// awaitCalls returns when no call runs, or after endWait.
func (b *books) awaitCalls() {
	deadline := time.After(endWait)
	tick := time.NewTicker(endWait / 200)
	defer tick.Stop()
	for b.calls.Load() > 0 {
		select {
		case <-deadline:
			return
		case <-tick.C:
		}
	}
}

// Destruct closes the ledger. What still runs ends without a record of its end.
func (b *bookkeeping) Destruct() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	opened := b.open.Load()
	if opened == nil {
		return nil
	}
	opened.bill.close()
	opened.awaitCalls()
	ctx, cancel := context.WithTimeout(context.Background(), shareWait)
	defer cancel()
	var quotas sync.WaitGroup
	quotas.Go(func() { opened.quotas.Close(ctx) })
	var err error
	s := opened.shared.Load()
	if s != nil {
		s.end()
		err = s.mirror.Close(ctx) // at the same time: a slow Redis must not leave it without any
	}
	quotas.Wait()
	if s != nil {
		err = errors.Join(err, s.conn.Close())
	}
	return errors.Join(err, opened.ledger.Close())
}

// errNotOpen is for requests ahead of the start.
var errNotOpen = errors.New("the ledger is not open")

// terms are what is agreed with an organization; nil is nobody, who may do
// anything.
func terms(o *projects.Organization) (id string, t quota.Allowance) {
	if o == nil {
		return "", quota.Allowance{Quota: -1}
	}
	t.Quota, t.Hard = o.Allowance()
	t.Grace, t.Cycle, t.Open = o.Grace, cycle(o), unmetered(o)
	return o.ID, t
}

// unmetered reports whether invocations of an organization go on where they
// cannot be recorded.
func unmetered(o *projects.Organization) bool { return o != nil && o.Plan != nil && o.Plan.Unmetered }

func cycle(o *projects.Organization) metering.Cycle {
	return metering.Cycle{Anchor: o.CycleStart, Zone: o.TimeZone}
}

// maxSlugs is how many slugs of a project that its wildcard matched are counted
// by name (BEHAVIOUR.md 7.7).
const maxSlugs = 200

// slugs are the names that a project's wildcard matched.
type slugs struct {
	mu   sync.Mutex // guards names
	many atomic.Bool
	seen *xsync.Map[string, struct{}]
}

// counted returns the name that a function called as slug is counted under.
func (b *books) counted(p *projects.Project, f *projects.Function, slug string) string {
	if f.Slug != projects.Wildcard {
		return f.Slug
	}
	s, ok := b.slugs.Load(p.Ref)
	if !ok {
		s, _ = b.slugs.LoadOrCompute(p.Ref, func() (*slugs, bool) {
			s := &slugs{seen: xsync.NewMap[string, struct{}]()}
			for _, name := range b.ledger.Functions(p.Ref) {
				s.seen.Store(name, struct{}{})
			}
			return s, false
		})
	}
	if _, ok := s.seen.Load(slug); ok {
		return slug
	}
	if s.many.Load() {
		return projects.Wildcard
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen.Size() >= maxSlugs {
		s.many.Store(true)
		return projects.Wildcard
	}
	s.seen.Store(slug, struct{}{})
	return slug
}
