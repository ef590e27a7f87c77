package metering

import (
	"time"

	"go.etcd.io/bbolt"
)

const (
	// hoursAfter is how long hourly sums are kept after the end of their billing
	// period. Bills were made of them long before, and memory must not grow with the
	// age of a ledger. The records stay.
	hoursAfter = 35 * 24 * time.Hour
	// forgetEvery is how often older sums are removed.
	forgetEvery = time.Hour
)

// Forgotten reports whether a ledger no longer keeps such a sum at a time.
func (u *Usage) Forgotten(now time.Time) bool {
	return u.Span == Hourly && u.Added+u.Deducted == 0 && now.Sub(u.Cycle.At(u.Start).End) > hoursAfter
}

// forgettable returns the keys of sums that need not be kept any more. Sums with
// adjustments stay: further adjustments add to them.
func (p *projection) forgettable(now time.Time) (keys []sumKey) {
	for key, t := range p.sums {
		start := time.Unix(key.start, 0)
		if key.span != Hourly || now.Sub(start) < hoursAfter || t.changed || t.unsent || t.Added+t.Deducted > 0 {
			continue
		}
		if now.Sub(p.lookup(key.subject).Cycle.At(start).End) > hoursAfter {
			keys = append(keys, key)
		}
	}
	return keys
}

// forget removes old hourly sums from the checkpoint and from memory.
func (b *instanceLog) forget(now time.Time) error {
	keys := b.projection.forgettable(now)
	if len(keys) == 0 {
		return nil
	}
	if err := b.checkpoint.remove(keys); err != nil {
		return err
	}
	for _, key := range keys {
		delete(b.projection.sums, key)
	}
	for of, c := range b.projection.recent { // a late record starts a new sum
		if b.projection.sums[c.keys[1]] == nil {
			delete(b.projection.recent, of)
		}
	}
	return nil
}

func (c *checkpoint) remove(keys []sumKey) error {
	return c.db.Update(func(tx *bbolt.Tx) error {
		for _, key := range keys {
			if err := tx.Bucket(bucketSums).Delete(key.encode()); err != nil {
				return err
			}
		}
		return nil
	})
}

// forget removes old sums of all instance logs, once an hour. The caller holds mu.
func (l *Ledger) forget(now time.Time) (err error) {
	if age := now.Sub(l.forgot); age >= 0 && age < forgetEvery {
		return nil
	}
	l.forgot = now
	for _, b := range l.logs() {
		if err == nil {
			err = b.forget(now)
		}
	}
	return err
}
