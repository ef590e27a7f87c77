package quota

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

const (
	// releaseAfter is how long a gateway must have been silent for Release.
	releaseAfter = time.Minute
	// watchedFor is for how long this process must have seen it say nothing new: three
	// times as long as one that is alive takes, whatever its clock says.
	watchedFor = 15 * time.Second
)

// ErrNotShared says that Release has no other gateways: the store is embedded.
var ErrNotShared = errors.New("the store is not shared with other gateways")

// Peers tells what gateways have sent to the Redis that they share. *metering.Mirror
// does.
type Peers interface {
	// Peers returns when each gateway was last heard of, by instance.
	Peers(ctx context.Context) (map[string]metering.Presence, error)

	// PeerSums returns what all others have used of an organization, "" for all.
	PeerSums(ctx context.Context, organization string) ([]metering.Entry, error)

	// MarkLost notes that a gateway will never come back.
	MarkLost(ctx context.Context, instance string) error
}

// Release gives back the unspent grants of a gateway that was lost for good,
// together with its disk, and returns those of periods that go on. What it used is taken
// from its sums in Redis, so units used after its last flush are granted once more. The
// error is ErrNotShared, or tells an operator why nothing, or not all, was released.
func (m *Manager) Release(ctx context.Context, peers Peers, instance string) (released []HeldUnits, err error) {
	r, ok := (*m.authority.Load()).(*Redis)
	if !ok {
		return nil, ErrNotShared
	}
	seen, err := peers.Peers(ctx)
	if err != nil {
		return nil, err
	}
	p, known := seen[instance]
	if !known {
		if err := m.unaccounted(ctx, r, instance); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("there is no gateway %q; those that were heard of: %s", instance, listed(seen))
	}
	switch {
	case p.At.IsZero(): // it ended, or was given up before
	case p.Silent < releaseAfter:
		return nil, fmt.Errorf("gateway %s was heard of %s ago: it is there", instance, max(0, p.Silent).Round(time.Second))
	case p.Unchanged < watchedFor:
		return nil, fmt.Errorf("gateway %s has said nothing new here for %s only, and its clock may be wrong: it is there, or try again in %s",
			instance, p.Unchanged.Round(time.Second), (watchedFor - p.Unchanged).Round(time.Second))
	}
	sums, err := peers.PeerSums(ctx, "")
	if err != nil {
		return nil, err
	}
	used := usedOf(sums)
	held, err := r.HeldBy(ctx, instance)
	if err != nil {
		return nil, err
	}
	in := make(settledEpochs)
	for _, c := range held {
		before := c.Holds
		// The other gateway may have counted its claims by a clock that is ahead.
		c.Number, c.Holds = max(m.newNumber(), c.Number+1), min(c.Holds, int64(used[instance+"|"+c.Period.ID+"|"+c.Organization]))
		answer, err := r.Claim(ctx, c)
		if err == nil {
			err = in.note(r.Shard(c.Organization), answer.Epoch)
		}
		if err != nil {
			return released, err
		}
		if units := before - c.Holds; units > 0 && remembered(c.Period.ID, m.ledger.Now()) {
			released = append(released, HeldUnits{
				Organization: c.Organization,
				Period:       c.Period.ID,
				Gateway:      instance,
				Units:        units,
			})
		}
	}
	for shard := range r.Shards() {
		if err := r.Leave(ctx, instance, shard, in[shard]); err != nil {
			return released, err
		}
	}
	return released, peers.MarkLost(ctx, instance)
}

// listed returns the gateways by id, each with its silence, for an error.
func listed(seen map[string]metering.Presence) string {
	list := make([]string, 0, len(seen))
	for _, id := range slices.Sorted(maps.Keys(seen)) {
		what := seen[id].Silent.Round(time.Second).String() + " ago"
		if seen[id].At.IsZero() {
			what = "ended"
		}
		list = append(list, fmt.Sprintf("%s (%s)", id, what))
	}
	return strings.Join(list, ", ")
}

// unaccounted returns an error for a gateway that has units, of which Redis has lost how
// many it used.
func (m *Manager) unaccounted(ctx context.Context, r *Redis, instance string) error {
	held, err := r.HeldBy(ctx, instance)
	if err != nil {
		return err
	}
	for _, c := range held {
		if c.Holds > 0 && remembered(c.Period.ID, m.ledger.Now()) {
			return fmt.Errorf("gateway %s holds %d units of organization %q, and Redis has lost what it used of them: they are held until it "+
				"starts again on its directory, or until the period ends; `edgegate quota set` raises the limit meanwhile",
				instance, c.Holds, c.Organization)
		}
	}
	return nil
}

// usedOf returns how many units gateways used by their sums in Redis, by
// `GATEWAY|PERIOD|ORGANIZATION`.
func usedOf(sums []metering.Entry) map[string]uint64 {
	used := make(map[string]uint64)
	for i := range sums {
		if e := &sums[i]; e.Span == metering.Monthly && metering.TakesQuota(e.Region) {
			used[e.Instance+"|"+e.ID+"|"+e.Subject.Organization] += e.Invocations
		}
	}
	return used
}
