package metering

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

//go:embed flush.lua
var flushText string

var flushScript = redisconn.NewScript(flushText)

const (
	// Shards is the number of parts that organizations are divided into. The layout
	// in Redis depends on it: it must never change.
	Shards = 16
	// pushFields bounds the fields of one call: more would block Redis for too long.
	pushFields = 500
	// flushEvery is how often changed sums are sent, flushSlow how often if they are
	// of more than fewShards shards. Shards without changes are checked every
	// flushIdle, in case Redis lost them.
	flushEvery, flushSlow, flushIdle = time.Second, 5 * time.Second, 5 * time.Second
	// fewShards is how many shards may be sent every second.
	fewShards = 8
	// flushWait bounds one call.
	flushWait = 250 * time.Millisecond
	// instancesKey is the hash with the presence of every instance log.
	instancesKey = "gw:instances"
)

// Mirror keeps the sums of a ledger in Redis, where other gateways read them. It
// sends absolute sums, not differences: late, lost and repeated calls do no harm.
type Mirror struct {
	ledger *Ledger
	conn   *redisconn.Conn
	hooks  Hooks
	ctx    context.Context //nolint:containedctx // of run
	stop   context.CancelFunc
	done   sync.WaitGroup
	ok     atomic.Int64 // when Redis last had all sums, in Unix microseconds
	calls  atomic.Uint64
	differ atomic.Uint64          // sums in Redis that differed from the ledger
	shared atomic.Pointer[Origin] // the ledger that gateways share, with the form in which they write; nil: not known yet

	appeared atomic.Bool  // this process's presence was in Redis
	young    atomic.Int64 // until when Redis may lack sums of others, in Unix microseconds of the billing clock
	present  atomic.Int64
	clock    atomic.Int64  // by how much Redis' clock is ahead, in nanoseconds
	offsets  offsets       // for one goroutine
	kept     time.Duration // the offset that was kept last; for one goroutine
	heard    heard         // what others said last
	agreed   time.Time     // when agree last ran; for one goroutine
	checked  int           // how many hashes were compared with the sums here; for one goroutine

	joining sync.Mutex // held during Hooks.Join; guards joined
	joined  bool       // it succeeded

	begun     uint64      // the last record of the ledger's own log when the mirror was opened
	rightful  atomic.Bool // nobody else has sent later ones
	copied    atomic.Bool // somebody has
	partsSent atomic.Bool // sendCopied has nothing left to do

	mu     sync.Mutex // held during a flush; guards shards
	shards map[shardOf]*shard
}

// shard is the state of a hash in Redis, as far as this process knows.
type shard struct {
	known  bool          // this process has read or written acked
	acked  uint64        // the record up to which the hash has the sums
	reset  bool          // Redis lost it, and may have got a part of everything since
	looked time.Duration // when it was last sent or checked, by Ledger.Elapsed
}

// OpenMirror starts sending the sums of a ledger to Redis. Close the mirror before
// the ledger and the Conn.
func OpenMirror(ledger *Ledger, conn *redisconn.Conn, hooks Hooks) *Mirror {
	m := &Mirror{
		ledger: ledger,
		conn:   conn,
		hooks:  hooks,
		shards: make(map[shardOf]*shard),
	}
	m.ctx, m.stop = context.WithCancel(context.Background())
	m.ok.Store(time.Now().UnixMicro())
	ledger.mu.Lock()
	ledger.mirrored = true
	_, _ = ledger.own.log.each(ledger.own.projection.add) // an error is step's
	m.begun = ledger.own.projection.last
	ledger.part(true)
	for _, b := range ledger.logs() {
		b.projection.mirrored(true, time.Now())
	}
	ledger.mu.Unlock()
	m.done.Go(m.run)
	return m
}

// run sends sums, presence and the clock's offset until Close.
func (m *Mirror) run() {
	wait, present, pruned, verified, last := flushEvery, time.Time{}, time.Time{}, time.Now(), error(nil)
	_ = m.followClock(m.ctx) // first of all, calls wait for it; appear tries again
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-time.After(wait):
		}
		began, known := time.Now(), m.now()
		sent, err := m.Flush(m.ctx)
		if err == nil && began.Sub(present) >= flushIdle {
			present = began
			err = m.appear(m.ctx, known)
		}
		if err == nil && began.Sub(pruned) >= pruneEvery {
			pruned, err = began, m.prune(m.ctx)
		}
		if err == nil && began.Sub(verified) >= verifyEvery {
			verified, err = began, m.verifyNext(m.ctx)
		}
		if m.ctx.Err() != nil {
			return
		}
		if (err == nil) != (last == nil) || errors.Is(err, ErrCopied) != errors.Is(last, ErrCopied) {
			m.hooks.Trouble(err)
		}
		last = err
		wait = flushEvery
		if sent > fewShards {
			wait = flushSlow
		}
		wait = max(wait-time.Since(began), flushEvery/10)
	}
}

// Present returns how many gateways share the Redis, with this one: those that were
// heard of within the last 15 s.
func (m *Mirror) Present() int { return max(1, int(m.present.Load())) }

// Close sends the last changes, marks all its instance logs as left and stops. It gives up
// when ctx ends.
func (m *Mirror) Close(ctx context.Context) error {
	m.stop()
	m.done.Wait()
	_, err := m.Flush(ctx)
	for _, id := range append(m.ledger.sentOrphans(), m.ledger.Instance()) {
		if err == nil {
			err = m.setPresence(ctx, id, presenceLeft)
		}
	}
	m.ledger.mu.Lock()
	defer m.ledger.mu.Unlock()
	m.ledger.mirrored = false
	m.ledger.part(false)
	for _, b := range m.ledger.logs() {
		b.projection.mirrored(false, time.Now())
	}
	return err
}

// Age returns for how long Redis has not had all sums, less the 10 s that they may
// take; 0 if that is all.
func (m *Mirror) Age() time.Duration {
	return max(0, time.Since(time.UnixMicro(m.ok.Load()))-2*flushSlow)
}

// Differed returns how many fields in Redis differed from the ledger, and were set
// right.
func (m *Mirror) Differed() uint64 { return m.differ.Load() }

// Calls returns how many commands were sent to Redis.
func (m *Mirror) Calls() uint64 { return m.calls.Load() }

// push is one transfer of sums of one shard.
type push struct {
	of     shardOf
	high   uint64
	keys   []sumKey
	fields []any
}

// Flush sends changed sums and returns how many shards they belong to.
func (m *Mirror) Flush(ctx context.Context) (sent int, err error) {
	if m.shared.Load() == nil {
		if err := m.Agree(ctx); err != nil {
			return 0, err
		}
	}
	if err := m.Rightful(ctx); err != nil {
		return 0, err
	}
	if err := m.join(ctx, false); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.sendCopied(ctx); err != nil {
		return 0, err
	}
	pushes, err := m.collect()
	if err != nil {
		return 0, err
	}
	var errs []error
	failed := make(chan error, len(pushes))
	slots := make(chan struct{}, 4)
	for _, p := range pushes {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			failed <- m.send(ctx, p)
		}()
	}
	for range pushes {
		if err := <-failed; err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		m.ok.Store(time.Now().UnixMicro())
		return len(pushes), nil
	}
	return len(pushes), errs[0]
}

// collect returns a push for each shard with changes, and an empty one for each
// shard that was not checked for flushIdle.
func (m *Mirror) collect() ([]*push, error) {
	l, shared := m.ledger, m.shared.Load()
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.own.log.each(l.own.projection.add); err != nil {
		return nil, err
	}
	now := l.Elapsed()
	var pushes []*push
	for _, b := range l.logs() {
		changed := make(map[int]*push)
		for key := range b.projection.unsent {
			organization := b.dictionary.lookup(key.subject).Organization
			of := shardOf{b.instance.id, Shard(organization)}
			p := changed[of.shard]
			if p == nil {
				p = &push{of: of, high: b.projection.last}
				changed[of.shard] = p
				pushes = append(pushes, p)
			}
			p.keys = append(p.keys, key)
			p.fields = append(p.fields, b.fields(key, shared.Form, shared.Ledger)...)
		}
		for shard := range Shards {
			of := shardOf{b.instance.id, shard}
			if s := m.shards[of]; changed[shard] == nil && s != nil && (s.acked > 0 || s.reset) && now-s.looked >= flushIdle {
				pushes = append(pushes, &push{of: of, high: s.acked})
			}
		}
	}
	for _, p := range pushes {
		if shared.Form > FormHour && len(p.keys) > 0 {
			p.fields = append(p.fields, schemaField, int(shared.Form))
		}
		if m.shards[p.of] == nil {
			m.shards[p.of] = new(shard)
		}
	}
	return pushes, nil
}

// send sends a push. If Redis lost the shard, it sends the whole shard again. The
// caller holds mu.
func (m *Mirror) send(ctx context.Context, p *push) (err error) {
	s, believed, status := m.shards[p.of], uint64(0), "rolled_back"
	if s.known {
		believed = s.acked
	}
	if !s.reset {
		status, err = m.call(ctx, p, believed)
	}
	if err == nil && status == "rolled_back" {
		// Until there is an answer nobody knows how much of everything arrived: another push
		// would say that all before it is there, or seem to be behind what is.
		s.reset = true
		m.partsSent.Store(false)
		if err = m.join(ctx, true); err == nil {
			p, err = m.everything(p.of)
		}
		if err == nil {
			status, err = m.call(ctx, p, 0)
		}
	}
	switch {
	case err != nil:
		return err
	case status == "ahead" && p.of.instance == m.ledger.Instance():
		return m.foundCopied()
	case status == "ahead":
		return m.ledger.partOrphan(p.of.instance)
	case status == "rolled_back":
		return errors.New("sums that were just sent to Redis are gone")
	}
	s.known, s.reset, s.acked, s.looked = true, false, p.high, m.ledger.Elapsed()
	m.sent(p)
	return nil
}

// sent marks the sums of a push as sent.
func (m *Mirror) sent(p *push) {
	m.ledger.mu.Lock()
	defer m.ledger.mu.Unlock()
	for _, b := range m.ledger.logs() {
		if b.instance.id != p.of.instance {
			continue
		}
		for _, key := range p.keys {
			b.projection.sent(key, p.high)
		}
	}
}

// everything returns a push of all sums of a shard.
func (m *Mirror) everything(of shardOf) (*push, error) {
	m.ledger.mu.Lock()
	logs := m.ledger.logs()
	m.ledger.mu.Unlock()
	for _, b := range logs {
		if b.instance.id == of.instance {
			return m.allOf(b, of), nil
		}
	}
	return nil, fmt.Errorf("there is no instance log %s", of.instance)
}

// allOf is everything of a log.
func (m *Mirror) allOf(b *instanceLog, of shardOf) *push {
	shared := m.shared.Load()
	m.ledger.mu.Lock()
	defer m.ledger.mu.Unlock()
	p := &push{of: of, high: b.projection.last}
	for key := range b.projection.sums {
		if Shard(b.dictionary.lookup(key.subject).Organization) == of.shard && !b.projection.old(key, time.Now()) {
			p.keys = append(p.keys, key)
			p.fields = append(p.fields, b.fields(key, shared.Form, shared.Ledger)...)
		}
	}
	if shared.Form > FormHour {
		p.fields = append(p.fields, schemaField, int(shared.Form))
	}
	return p
}

// call sends the fields of a push in parts of pushFields.
func (m *Mirror) call(ctx context.Context, p *push, believed uint64) (status string, err error) {
	id := strconv.FormatInt(time.Now().UnixNano(), 36)
	for first, rest := true, p.fields; ; first = false {
		n := min(len(rest), 2*pushFields)
		part := "more"
		switch last := n == len(rest); {
		case first && last:
			part = "only"
		case first:
			part = "first"
		case last:
			part = "last"
		}
		args := append([]any{believed, p.high, part, id}, rest[:n]...)
		if status, err = m.runPart(ctx, sumsKey(p.of), args); err != nil || status != "applied" {
			return status, err
		}
		if rest = rest[n:]; len(rest) == 0 {
			return status, nil
		}
	}
}

// runPart runs the script with one part of a push and returns its status.
func (m *Mirror) runPart(ctx context.Context, key string, args []any) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, flushWait)
	defer cancel()
	m.calls.Add(1)
	reply, err := m.conn.Run(ctx, flushScript, key, args...)
	if err != nil {
		return "", err
	}
	list, ok := reply.([]any)
	if !ok || len(list) != 2 {
		return "", fmt.Errorf("%s: unexpected reply %v", key, reply)
	}
	status, _ := list[0].(string)
	return status, nil
}
