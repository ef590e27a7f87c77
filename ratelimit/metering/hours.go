package metering

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// hourCut is a minute in which an organization's terms change: the sum of that hour ends
// and another begins.
type hourCut struct {
	asked time.Time // when the terms change
	// at is when this log begins new sums: later than asked if the gateway learnt of the
	// change too late. What it counted until then stays where it is.
	at      time.Time
	changed bool // it is not in the checkpoint
}

// cuts are those of all organizations, in the order of their records. The same records
// always give the same cuts.
type cuts map[string][]hourCut

// add adds a record of a cut. latest is the latest time in a record before it.
func (c cuts) add(organization string, r *Record, latest time.Time) {
	one := hourCut{asked: r.minute(), at: r.minute(), changed: true}
	if !one.at.After(latest) {
		one.at = latest.Truncate(time.Minute).Add(time.Minute)
	}
	c[organization] = append(c[organization], one)
}

// part returns the part of an hour that a time is in.
func (c cuts) part(organization string, hour Period, t time.Time) Period {
	for _, one := range c[organization] {
		switch {
		case one.at.After(t) && one.at.Before(hour.End):
			hour.End = one.at
		case !one.at.After(t) && one.at.After(hour.Start):
			hour.Start = one.at
		}
	}
	return hour
}

// minute returns the minute of a record of a cut.
func (r *Record) minute() time.Time { return time.Unix(int64(r.BytesIn)*60, 0).UTC() }

// Cut ends the hourly sums of an organization at a whole minute and begins new ones:
// its terms change then. A cut that is known, or whose hour is over, changes nothing. A
// minute that is over counts if all records are from before it; otherwise the cut takes
// effect with the minute after the last of them.
func (l *Ledger) Cut(organization string, minute time.Time) error {
	now := l.Now()
	if minute.Equal(minute.Truncate(time.Hour)) || !now.Before(minute.Truncate(time.Hour).Add(time.Hour)) {
		return nil
	}
	subject, err := l.Subject(Subject{Organization: organization})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.own.log.each(l.own.projection.add); err != nil {
		return err
	}
	for _, known := range l.own.projection.cuts[organization] {
		if known.asked.Equal(minute) {
			return nil
		}
	}
	at := l.own.projection.latest // not later: another cut may follow whose minute is over
	if at.IsZero() {
		at = minute.Truncate(time.Hour)
	}
	r := Record{
		Type:    TypeCut,
		At:      at,
		Subject: uint32(subject),
		BytesIn: uint64(minute.Unix() / 60),
	}
	if err := l.own.log.append(&r); err != nil {
		return err
	}
	_, err = l.own.log.each(l.own.projection.add)
	return err
}

// saveCuts writes the cuts that are not in the checkpoint.
func saveCuts(tx *bbolt.Tx, p *projection) error {
	bucket := tx.Bucket(bucketCuts)
	for organization, list := range p.cuts {
		for i, one := range list {
			if !one.changed {
				continue
			}
			key := binary.BigEndian.AppendUint32([]byte(organization+"\x00"), uint32(i))
			value := binary.BigEndian.AppendUint64(nil, uint64(one.asked.Unix()))
			if err := bucket.Put(key, binary.BigEndian.AppendUint64(value, uint64(one.at.Unix()))); err != nil {
				return err
			}
		}
	}
	return nil
}

// savedCuts marks all cuts as written.
func (p *projection) savedCuts() {
	for _, list := range p.cuts {
		for i := range list {
			list[i].changed = false
		}
	}
}

func loadCuts(tx *bbolt.Tx, p *projection) error {
	return tx.Bucket(bucketCuts).ForEach(func(k, v []byte) error {
		if len(k) < 5 || len(v) != 16 {
			return &durable.DamageError{File: tx.Path(), Offset: -1, What: fmt.Sprintf("the value under %x is not a cut", k)}
		}
		organization := string(k[:len(k)-5])
		if n := binary.BigEndian.Uint32(k[len(k)-4:]); int(n) != len(p.cuts[organization]) {
			return &durable.DamageError{File: tx.Path(), Offset: -1, What: "a cut is missing"}
		}
		p.cuts[organization] = append(p.cuts[organization], hourCut{
			asked: time.Unix(int64(binary.BigEndian.Uint64(v)), 0).UTC(),
			at:    time.Unix(int64(binary.BigEndian.Uint64(v[8:])), 0).UTC(),
		})
		return nil
	})
}

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
