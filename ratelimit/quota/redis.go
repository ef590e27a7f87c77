package quota

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

//go:embed claim.lua
var claimText string

//go:embed poll.lua
var pollText string

var (
	claimScript = redisconn.NewScript(claimText)
	pollScript  = redisconn.NewScript(pollText)
)

// callWait bounds one call.
const callWait = 250 * time.Millisecond

// Redis is the authority of all gateways that share a Redis: a hash for each
// shard of the organizations.
type Redis struct {
	conn    *redisconn.Conn
	history [metering.Shards]atomic.Bool // it was seen before: if it is not there, it was lost
	holders func() int
	calls   atomic.Uint64
	claims  atomic.Uint64 // of the calls
}

// NewRedis returns the authority in a Redis. history says that this process's
// ledger was in it before, so that an empty one has lost something; holders
// returns how many gateways there are.
func NewRedis(conn *redisconn.Conn, history bool, holders func() int) *Redis {
	r := &Redis{conn: conn, holders: holders}
	for shard := range r.history {
		r.history[shard].Store(history)
	}
	return r
}

// Calls returns how many commands were sent.
func (r *Redis) Calls() uint64 { return r.calls.Load() }

// Shards implements EpochAuthority.
func (*Redis) Shards() int { return metering.Shards }

// Shard implements EpochAuthority.
func (*Redis) Shard(organization string) int { return metering.Shard(organization) }

func grantsKey(shard int) string { return fmt.Sprintf("gw:{q:%02d}:g", shard) }

func oneOrNone(yes bool) string {
	if yes {
		return "1"
	}
	return "0"
}

// run runs a script within callWait. Its error is ErrUnavailable.
func (r *Redis) run(ctx context.Context, s *redisconn.Script, shard int, args ...any) ([]any, error) {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	r.calls.Add(1)
	reply, err := r.conn.Run(ctx, s, grantsKey(shard), args...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	list, ok := reply.([]any)
	if !ok {
		return nil, fmt.Errorf("%w: a script answered %T", ErrUnavailable, reply)
	}
	return list, nil
}

// Claim implements Authority.
func (r *Redis) Claim(ctx context.Context, c Claim) (Answer, error) {
	shard := r.Shard(c.Organization)
	r.claims.Add(1)
	list, err := r.run(ctx, claimScript, shard, c.Holder, c.Organization, c.Period.ID, c.Limit, c.Number,
		c.Holds, c.Wants, oneOrNone(c.Starved), r.holders(), "", oneOrNone(r.history[shard].Load()), "")
	if err != nil {
		return Answer{}, err
	}
	return claimAnswer(list)
}

func claimAnswer(list []any) (a Answer, err error) {
	if len(list) != 7 {
		return a, fmt.Errorf("%w: a claim was answered %v", ErrUnavailable, list)
	}
	var since int64
	for i, into := range []*int64{&a.Granted, &a.Total, &a.Limit, &since} {
		text, _ := list[i].(string)
		if *into, err = strconv.ParseInt(text, 10, 64); err != nil {
			return Answer{}, fmt.Errorf("%w: a claim was answered %v", ErrUnavailable, list)
		}
	}
	if since > 0 {
		a.ExhaustedAt = time.UnixMicro(since)
	}
	reclaim, _ := list[4].(int64)
	a.Epoch, _ = list[5].(string)
	recovering, _ := list[6].(int64)
	a.Reclaim, a.Recovering = reclaim == 1, recovering == 1
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

func (r *Redis) changeMembership(ctx context.Context, change, holder string, shard int, settledIn string) (epoch string, err error) {
	list, err := r.run(ctx, claimScript, shard, holder, "", "", 0, 0, 0, 0, "0", 1, "", oneOrNone(r.history[shard].Load()), change, settledIn)
	if err != nil {
		return "", err
	}
	answer, err := claimAnswer(list)
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
func (r *Redis) Poll(ctx context.Context, holder string, shard int, claims []Claim) (epoch string, reclaim []bool, err error) {
	args := append(make([]any, 0, 2+len(claims)), holder, "")
	for _, c := range claims {
		args = append(args, c.Period.ID+"|"+c.Organization)
	}
	list, err := r.run(ctx, pollScript, shard, args...)
	if err != nil {
		return "", nil, err
	}
	if len(list) != 1+len(claims) {
		return "", nil, fmt.Errorf("%w: a poll was answered %v", ErrUnavailable, list)
	}
	epoch, _ = list[0].(string)
	for _, value := range list[1:] {
		n, _ := value.(int64)
		reclaim = append(reclaim, n == 1)
	}
	return epoch, reclaim, nil
}
