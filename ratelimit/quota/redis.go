package quota

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

//go:embed prelude.lua
var preludeText string

//go:embed claim.lua
var claimText string

//go:embed poll.lua
var pollText string

//go:embed limits.lua
var limitsText string

var (
	claimScript  = redisconn.NewScript(preludeText + claimText)
	pollScript   = redisconn.NewScript(preludeText + pollText)
	limitsScript = redisconn.NewScript(preludeText + limitsText)
)

// callWait bounds one call of a script.
const callWait = 250 * time.Millisecond

// Redis is the authority of all gateways that share a Redis. It has a hash for each
// shard of the organizations, which claim.lua describes, and one of all overrides.
// It is safe for concurrent use.
type Redis struct {
	conn    *redisconn.Conn
	known   bool                         // the process before had it too
	history [metering.Shards]atomic.Bool // the shard's hash was seen before: one that is missing was lost
	heard   [metering.Shards]heard
	holders func() int
	permit  func(context.Context) error // nil: always
	calls   atomic.Uint64
	claims  atomic.Uint64 // those of calls that were claims
}

// heard is the latest epoch of a shard in any answer.
type heard struct {
	mu    sync.Mutex // guards all
	epoch string
	since time.Time // when it was first heard of
	last  time.Time // when it was last heard of
}

// note takes in the epoch of an answer.
func (h *heard) note(epoch string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if later(epoch, h.epoch) {
		h.epoch, h.since = epoch, time.Now()
	}
	if epoch == h.epoch {
		h.last = time.Now()
	}
}

// latest returns the latest epoch, for how many microseconds it has been known, and for
// how many nobody has spoken of it: by the monotonic clock, so that nobody who sets a
// clock shortens a wait.
func (h *heard) latest() (epoch string, known, silent int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.epoch == "" {
		return "", 0, 0
	}
	return h.epoch, time.Since(h.since).Microseconds(), time.Since(h.last).Microseconds()
}

// NewRedis returns the authority in a Redis. history says that this ledger was sent
// to that Redis before, so that an empty one has lost grants; holders returns how
// many gateways there are now, at least 1. It sends nothing.
func NewRedis(conn *redisconn.Conn, history bool, holders func() int) *Redis {
	r := &Redis{conn: conn, known: history, holders: holders}
	for shard := range r.history {
		r.history[shard].Store(history)
	}
	return r
}

// Permit has every claim, joining and leaving ask a function before. After an error of it
// nothing is sent.
func (r *Redis) Permit(permit func(context.Context) error) { r.permit = permit }

// Calls returns how many commands were sent since NewRedis.
func (r *Redis) Calls() uint64 { return r.calls.Load() }

// Known implements EpochAuthority.
func (r *Redis) Known() bool { return r.known }

// Shards implements EpochAuthority.
func (*Redis) Shards() int { return metering.Shards }

// Shard implements EpochAuthority.
func (*Redis) Shard(organization string) int { return metering.Shard(organization) }

func grantsKey(shard int) string { return fmt.Sprintf("gw:{q:%02d}:g", shard) }

// windowField returns how the fields of a hash name the window of a claim.
func windowField(c Claim) string { return c.Period.ID + "|" + c.Organization }

func oneOrNone(yes bool) string {
	if yes {
		return "1"
	}
	return "0"
}

// run runs a script on the hash of a shard, within callWait. request are names and
// values in turn, for prelude.lua. The error wraps ErrUnavailable.
func (r *Redis) run(ctx context.Context, s *redisconn.Script, shard int, request ...any) ([]any, error) {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	r.calls.Add(1)
	reply, err := r.conn.Run(ctx, s, grantsKey(shard), request...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	list, ok := reply.([]any)
	if !ok {
		return nil, fmt.Errorf("%w: a script answered %T", ErrUnavailable, reply)
	}
	return list, nil
}

// runClaim runs claim.lua.
func (r *Redis) runClaim(ctx context.Context, shard int, request ...any) (Answer, error) {
	if r.permit != nil {
		if err := r.permit(ctx); err != nil {
			return Answer{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	epoch, known, silent := r.heard[shard].latest()
	list, err := r.run(ctx, claimScript, shard, append(request, "epoch", epoch, "heard", known, "silent", silent)...)
	if err != nil {
		return Answer{}, err
	}
	answer, err := claimAnswer(list)
	if err == nil {
		r.heard[shard].note(answer.Epoch)
	}
	return answer, err
}

// Claim implements Authority.
func (r *Redis) Claim(ctx context.Context, c Claim) (Answer, error) {
	shard := r.Shard(c.Organization)
	r.claims.Add(1)
	return r.runClaim(ctx, shard,
		"holder", c.Holder,
		"organization", c.Organization,
		"window", windowField(c),
		"limit", c.Limit,
		"number", c.Number,
		"holds", c.Holds,
		"wants", c.Wants,
		"starved", oneOrNone(c.Starved),
		"holders", r.holders(),
		"history", oneOrNone(r.history[shard].Load()),
		"grace", graceText(c.Grace),
	)
}

// graceText returns a grace as claim.lua reads it, "" if none began.
func graceText(g Grace) string {
	if g.ID == "" {
		return ""
	}
	return fmt.Sprintf("%d|%d|%s", g.Limit, g.Age.Microseconds(), g.ID)
}

// parseGrace reads what claim.lua answers of a grace.
func parseGrace(text string) (g Grace, err error) {
	if text == "" {
		return g, nil
	}
	var age int64
	if _, err := fmt.Sscanf(text, "%d|%d|%s", &g.Limit, &age, &g.ID); err != nil {
		return Grace{}, fmt.Errorf("reading the grace %q: %w", text, err)
	}
	g.Age = time.Duration(age) * time.Microsecond
	return g, nil
}

// claimAnswer reads the answer of claim.lua.
func claimAnswer(list []any) (a Answer, err error) {
	strange := func() (Answer, error) {
		return Answer{}, fmt.Errorf("%w: a claim was answered %v", ErrUnavailable, list)
	}
	if len(list) != 10 {
		return strange()
	}
	var number int64
	for i, into := range map[int]*int64{0: &a.Granted, 1: &a.Total, 2: &a.Limit, 7: &number} {
		text, _ := list[i].(string)
		if *into, err = strconv.ParseInt(text, 10, 64); err != nil {
			return strange()
		}
	}
	grace, _ := list[8].(string)
	if a.Grace, err = parseGrace(grace); err != nil {
		return strange()
	}
	exhausted, _ := list[3].(int64)
	reclaim, _ := list[4].(int64)
	a.Epoch, _ = list[5].(string)
	recovering, _ := list[6].(int64)
	outside, _ := list[9].(int64)
	a.Exhausted, a.Reclaim, a.Recovering, a.Outside = exhausted == 1, reclaim == 1, recovering == 1, outside == 1
	a.Number = uint64(number)
	return a, nil
}

// Join implements EpochAuthority.
func (r *Redis) Join(ctx context.Context, holder string, shard int, settledIn string) (epoch string, err error) {
	return r.changeMembership(ctx, "join", holder, shard, settledIn)
}

// Leave implements EpochAuthority.
func (r *Redis) Leave(ctx context.Context, holder string, shard int, settledIn string) error {
	_, err := r.changeMembership(ctx, "leave", holder, shard, settledIn)
	return err
}

// changeMembership joins or leaves a shard, as change says.
func (r *Redis) changeMembership(ctx context.Context, change, holder string, shard int, settledIn string) (epoch string, err error) {
	answer, err := r.runClaim(ctx, shard,
		"holder", holder,
		"change", change,
		"settled", settledIn,
		"history", oneOrNone(r.history[shard].Load()),
	)
	if err != nil {
		return "", err
	}
	r.history[shard].Store(true)
	if settledIn != "" && answer.Epoch != settledIn {
		return "", errEpochChanged
	}
	return answer.Epoch, nil
}

// Poll implements EpochAuthority.
func (r *Redis) Poll(ctx context.Context, inquiry Inquiry) (news News, err error) {
	request := append(make([]any, 0, 4+2*len(inquiry.Windows)), "holder", inquiry.Holder)
	if len(inquiry.Peers) > 0 {
		request = append(request, "peers", strings.Join(inquiry.Peers, "|")+"|")
	}
	for _, c := range inquiry.Windows {
		request = append(request, "window", windowField(c))
	}
	list, err := r.run(ctx, pollScript, inquiry.Shard, request...)
	if err != nil {
		return News{}, err
	}
	each := 3 + len(inquiry.Peers)
	if len(list) != 2+each*len(inquiry.Windows) {
		return News{}, fmt.Errorf("%w: a poll was answered %v", ErrUnavailable, list)
	}
	news.Epoch, _ = list[0].(string)
	r.heard[inquiry.Shard].note(news.Epoch)
	members, _ := list[1].(string)
	news.Members, _ = strconv.Atoi(members)
	for i, c := range inquiry.Windows {
		answer := list[2+i*each:][:each]
		reclaim, _ := answer[0].(int64)
		w := WindowNews{
			Organization: c.Organization,
			Period:       c.Period.ID,
			Reclaim:      reclaim == 1,
			Grants:       make(map[string]Grant),
		}
		grace, _ := answer[1].(string)
		if w.Grace, err = parseGrace(grace); err != nil {
			return News{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		total, _ := answer[2].(string)
		if w.Total, err = strconv.ParseInt(total, 10, 64); err != nil {
			return News{}, fmt.Errorf("%w: a poll was answered %v", ErrUnavailable, list)
		}
		for k, peer := range inquiry.Peers {
			if text, _ := answer[3+k].(string); text != "" {
				if w.Grants[peer], err = parseGrant(text); err != nil {
					return News{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
				}
			}
		}
		news.Windows = append(news.Windows, w)
	}
	return news, nil
}
