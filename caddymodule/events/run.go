package events

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"
)

const (
	// runEvery is the interval at which events are written and sent.
	runEvery = 250 * time.Millisecond

	// retryAfter is the pause after an error of the disk or of Redis.
	retryAfter = 2 * time.Second

	// tidyEvery is the interval at which what is too old is removed, and what Redis lacks
	// is sent again.
	tidyEvery = time.Hour

	// batch is how many events are sent in one message.
	batch = 200
)

// Config is where a gateway keeps its events.
type Config struct {
	Dir     string // of the store; the files are below events
	Gateway string // id of the gateway
	Shared  Shared // nil where gateways share nothing
	Logger  *zap.Logger
}

// Use says where events are kept from now on, and whose they are. It opens nothing. Run
// does the rest.
func (l *Log) Use(c Config) {
	l.use(c)
}

func (l *Log) use(c Config) *store {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gateway = c.Gateway
	l.store = &store{filepath.Join(c.Dir, "events"), c.Gateway, c.Shared}
	for i := range l.own {
		// Caddy obtains certificates before the gateway has its id.
		if k := &l.own[i]; k.Gateway == "" {
			k.Gateway, k.ID = c.Gateway, strings.Replace(k.ID, "--", "-"+c.Gateway+"-", 1)
		}
	}
	return l.store
}

// Run writes and sends events until ctx is done. Of several calls one runs at a time:
// in a reload, the new configuration's begins when the old one's has ended. An event is
// kept in memory until the disk and Redis have it.
func (l *Log) Run(ctx context.Context, c Config) {
	l.running.Lock()
	defer l.running.Unlock()
	r := &runner{
		log:   l,
		store: l.use(c),
		disk:  warn{broken: "events not written to disk; they are kept in memory", mended: "events are written to disk again"},
		redis: warn{broken: "events not sent to Redis; they are kept in memory", mended: "events are sent to Redis again"},
		zap:   c.Logger,
	}
	r.load()
	tick := time.NewTicker(runEvery)
	defer tick.Stop()
	for {
		r.round(ctx)
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			r.round(last)
			return
		case <-tick.C:
		}
	}
}

// runner is the state of one Run.
type runner struct {
	log      *Log
	store    *store
	zap      *zap.Logger
	disk     warn
	redis    warn
	diskAt   time.Time // when the disk is tried again
	redisAt  time.Time
	tidyAt   time.Time // when files are tidied next
	pruneAt  time.Time // when Redis is
	rewrite  bool      // the file does not end as it should
	reported uint64    // dropped events that the log has told of
}

// load reads the gateway's events of before the process started, once.
func (r *runner) load() {
	list, err := r.store.load()
	r.disk.note(r.zap, err)
	l := r.log
	l.mu.Lock()
	defer l.mu.Unlock()
	known := make(map[string]bool, len(l.own))
	for i := range l.own {
		known[l.own[i].ID] = true
	}
	var before []kept
	for _, e := range young(list, l.now()) {
		if !known[e.ID] {
			before = append(before, kept{Event: e})
		}
	}
	l.own = append(before, l.own...)
	if len(l.own) > Most {
		l.shrink()
	}
}

func (r *runner) round(ctx context.Context) {
	r.log.release()
	now := time.Now()
	if !now.Before(r.diskAt) {
		err := r.write()
		r.disk.note(r.zap, err)
		if err != nil {
			r.diskAt = now.Add(retryAfter)
		}
	}
	if !now.Before(r.tidyAt) {
		r.expire(now)
		r.disk.note(r.zap, r.store.removeOld(now))
		r.tidyAt = now.Add(tidyEvery)
	}
	if r.store.shared == nil {
		return
	}
	if !now.Before(r.redisAt) {
		err := r.share(ctx, now)
		if ctx.Err() != nil {
			return // it was cut short by the end of the configuration
		}
		r.redis.note(r.zap, err)
		if err != nil {
			r.redisAt = now.Add(retryAfter)
		}
	}
	if dropped := r.log.Dropped(); dropped > r.reported {
		r.zap.Warn("events given up before Redis had them: there were too many", zap.Uint64("events", dropped-r.reported))
		r.reported = dropped
	}
}

// write brings the file up to date.
func (r *runner) write() error {
	l := r.log
	l.mu.Lock()
	var list []Event
	for i := range l.own {
		if l.own[i].unwritten || r.rewrite {
			list = append(list, l.own[i].Event)
		}
	}
	l.mu.Unlock()
	if len(list) == 0 {
		return nil
	}
	do := r.store.add
	if r.rewrite {
		do = r.store.replace
	}
	err := do(list)
	r.rewrite = err != nil // a part of a line may have been written
	if err != nil {
		return err
	}
	l.mark(list, func(k *kept) { k.unwritten = false })
	return nil
}

// expire gives up what is too old, and has the file written anew.
func (r *runner) expire(now time.Time) {
	l := r.log
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]Event, len(l.own))
	for i := range l.own {
		list[i] = l.own[i].Event
	}
	l.keep(young(list, now))
	r.rewrite = true
}

// share sends what Redis does not have. Every tidyEvery it also removes what is too old
// there, and finds out what Redis has lost.
func (r *runner) share(ctx context.Context, now time.Time) error {
	if !now.Before(r.pruneAt) {
		left, err := r.store.prune(ctx, 0)
		if err != nil {
			return err
		}
		r.log.sendAgain(left)
		r.pruneAt = now.Add(tidyEvery)
	}
	for {
		list := r.log.unsent(batch)
		if len(list) == 0 {
			return nil
		}
		if err := r.store.send(ctx, list); err != nil {
			return err
		}
		r.log.mark(list, func(k *kept) { k.unsent = false })
	}
}

// unsent returns the first events that Redis does not have, at most most.
func (l *Log) unsent(most int) (list []Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.own {
		if l.own[i].unsent && len(list) < most {
			list = append(list, l.own[i].Event)
		}
	}
	return list
}

// sendAgain marks the own events that are newer than all of this gateway in Redis: they
// were not sent before the process ended, or Redis was emptied.
func (l *Log) sendAgain(shared []Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var newest string
	for i := range shared {
		if shared[i].Gateway == l.gateway {
			newest = max(newest, shared[i].ID)
		}
	}
	for i := range l.own {
		if l.own[i].ID > newest {
			l.own[i].unsent = true
		}
	}
}

// mark changes the own events of a list.
func (l *Log) mark(list []Event, change func(k *kept)) {
	of := make(map[string]bool, len(list))
	for i := range list {
		of[list[i].ID] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.own {
		if of[l.own[i].ID] {
			change(&l.own[i])
		}
	}
}
