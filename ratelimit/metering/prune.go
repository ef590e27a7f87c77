package metering

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
	now, fields, shared := time.Now(), make(map[shardOf][]string), m.shared.Load()
	m.ledger.mu.Lock()
	for _, b := range m.ledger.logs() {
		for key := range b.projection.sums {
			if !b.old(key, now) || key.old(now.Add(-pruneEvery-24*time.Hour)) {
				continue
			}
			of := shardOf{b.instance.id, Shard(b.dictionary.lookup(key.subject).Organization)}
			for i, field := range b.fields(key, shared.Form, shared.Ledger) {
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

// verifyEvery is how often a hash in Redis is compared with the sums here: each has
// its turn.
const verifyEvery = 5 * time.Second

// DifferedError says that sums in Redis were not what their gateway had sent. They are
// right again.
type DifferedError struct {
	Key    string // of the hash
	Fields int    // how many differed
	First  string // one of them
}

// Error implements error.
func (e *DifferedError) Error() string {
	return fmt.Sprintf("%s: %d fields in Redis differed from the ledger and were set right, such as %s", e.Key, e.Fields, e.First)
}

// verifyNext compares the next hash, and tells of what differed.
func (m *Mirror) verifyNext(ctx context.Context) error {
	all := m.hashes()
	if len(all) == 0 {
		return nil
	}
	m.checked++
	return m.verify(ctx, all[m.checked%len(all)])
}

// Verify compares all sums in Redis of this process's instance logs with the sums here
// and sets right what differs: a ledger is the truth of its sums.
func (m *Mirror) Verify(ctx context.Context) error {
	for _, of := range m.hashes() {
		if err := m.verify(ctx, of); err != nil {
			return err
		}
	}
	return nil
}

// hashes returns the hashes that this process wrote.
func (m *Mirror) hashes() (all []shardOf) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for of, s := range m.shards {
		if s.known && s.acked > 0 {
			all = append(all, of)
		}
	}
	slices.SortFunc(all, func(a, b shardOf) int {
		return cmp.Or(strings.Compare(a.instance, b.instance), cmp.Compare(a.shard, b.shard))
	})
	return all
}

func (m *Mirror) verify(ctx context.Context, of shardOf) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	key, s := sumsKey(of), m.shards[of]
	m.calls.Add(hashAllCalls)
	found, err := m.conn.HashAll(ctx, key)
	if err != nil || found["_h"] != strconv.FormatUint(s.acked, 10) { // Flush sees to a hash that was lost
		return err
	}
	right, gone, differed := m.compare(of, found)
	if len(right) > 0 {
		// The record up to which sums are is the same: it must not count as sent already.
		if status, err := m.call(ctx, &push{of: of, high: s.acked, fields: right}, 0); err != nil || status != "applied" {
			return err
		}
	}
	for chunk := range slices.Chunk(gone, pushFields) {
		m.calls.Add(1)
		if err := m.conn.HashDelete(ctx, key, chunk...); err != nil {
			return err
		}
	}
	if len(differed) > 0 {
		m.differ.Add(uint64(len(differed)))
		slices.Sort(differed)
		m.hooks.Trouble(&DifferedError{Key: key, Fields: len(differed), First: differed[0]})
	}
	return nil
}

// compare returns the fields of a hash that must be written and removed, and what
// differed from what was sent. Others may have read a sum that is not here: it stays
// for as long as its hour, as 0.
func (m *Mirror) compare(of shardOf, found map[string]string) (right []any, gone, differed []string) {
	want, unsent := m.wanted(of)
	now := time.Now()
	for name, value := range want {
		if has := found[name]; has != value && !unsent[name] {
			right = append(right, name, value)
			differed = append(differed, fmt.Sprintf("%s: %q instead of %s", name, has, value))
		}
	}
	form := m.shared.Load().Form
	if has := found[schemaField]; form > FormHour && has != strconv.Itoa(int(form)) {
		right = append(right, schemaField, int(form))
		differed = append(differed, fmt.Sprintf("%s: %q instead of %d", schemaField, has, form))
	}
	for name, has := range found {
		if _, ours := want[name]; ours || strings.HasPrefix(name, "_") {
			continue
		}
		f, ok := parseField(name)
		start, err := parseHour(strings.SplitN(f.ID, "-", 2)[0])
		_, numeric := strconv.ParseUint(has, 10, 64)
		switch {
		case ok && f.Span == Hourly && err == nil && (f.form != form || now.Sub(start) > hoursKept):
			gone = append(gone, name) // it does not count, or not any more
		case ok && f.Span == Hourly && err == nil:
			if has != "0" {
				right = append(right, name, 0)
				differed = append(differed, fmt.Sprintf("%s: %q instead of nothing", name, has))
			}
		default:
			gone = append(gone, name)
			if !ok || numeric != nil || has != "0" {
				differed = append(differed, fmt.Sprintf("%s: %q instead of nothing", name, has))
			}
		}
	}
	return right, gone, differed
}

// wanted returns the fields that a hash should have, and those that were not sent
// yet or are too old.
func (m *Mirror) wanted(of shardOf) (want map[string]string, unsent map[string]bool) {
	want, unsent = make(map[string]string), make(map[string]bool)
	shared, now := m.shared.Load(), time.Now()
	m.ledger.mu.Lock()
	defer m.ledger.mu.Unlock()
	for _, b := range m.ledger.logs() {
		if b.instance.id != of.instance {
			continue
		}
		for key, t := range b.projection.sums {
			if Shard(b.dictionary.lookup(key.subject).Organization) != of.shard {
				continue
			}
			skip := t.unsent || b.old(key, now)
			fields := b.fields(key, shared.Form, shared.Ledger)
			for i := 0; i+1 < len(fields); i += 2 {
				name := fmt.Sprint(fields[i])
				want[name] = fmt.Sprint(fields[i+1])
				unsent[name] = unsent[name] || skip
			}
		}
	}
	return want, unsent
}
