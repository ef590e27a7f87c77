package metering

import (
	"context"
	"slices"
	"time"
)

const (
	// hoursKept is how long hourly sums stay in Redis.
	hoursKept  = 72 * time.Hour
	pruneEvery = time.Hour
)

// old reports whether the sum's hour is too old for Redis.
func (k sumKey) old(now time.Time) bool {
	return k.span == Hourly && now.Sub(time.Unix(k.start, 0)) > hoursKept
}

// old reports whether a sum is too old for Redis. Sums with adjustments stay:
// other gateways learn of adjustments only there.
func (p *projection) old(key sumKey, now time.Time) bool {
	t := p.sums[key]
	return key.old(now) && (t == nil || t.Added+t.Deducted == 0)
}

// old reports whether a sum, and every other sum that shares its field in Redis,
// is too old for Redis.
func (b *instanceLog) old(key sumKey, now time.Time) bool {
	for _, id := range b.dictionary.siblings(key.subject) {
		if !b.projection.old(sumKey{id, key.region, key.span, key.start}, now) {
			return false
		}
	}
	return true
}

// prune removes old hourly sums from Redis: those that became old since the last
// call, and those of one more day in case a call was missed.
func (m *Mirror) prune(ctx context.Context) error {
	now, fields := time.Now(), make(map[shardOf][]string)
	m.ledger.mu.Lock()
	for _, b := range m.ledger.logs() {
		for key := range b.projection.sums {
			if !b.old(key, now) || key.old(now.Add(-pruneEvery-24*time.Hour)) {
				continue
			}
			of := shardOf{b.instance.id, Shard(b.dictionary.lookup(key.subject).Organization)}
			for i, field := range b.fields(key) {
				if name, ok := field.(string); ok && i%2 == 0 {
					fields[of] = append(fields[of], name)
				}
			}
		}
	}
	m.ledger.mu.Unlock()
	for of, names := range fields {
		for chunk := range slices.Chunk(names, pushFields) {
			ctx, cancel := context.WithTimeout(ctx, flushWait)
			m.calls.Add(1)
			err := m.conn.HashDelete(ctx, sumsKey(of), chunk...)
			cancel()
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// newest reports whether a sum is of the hour of the last record, or of the hour
// before if that ended less than ten minutes earlier. The process may have ended
// before these were sent to Redis, however long ago that was.
func (p *projection) newest(key sumKey) bool {
	after := p.latest.Sub(time.Unix(key.start, 0))
	return key.span == Hourly && after >= 0 && after < time.Hour+10*time.Minute
}
