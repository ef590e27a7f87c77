package metering

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
	"github.com/edgegate/edgegate/ratelimit/metering/durable"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

// A log has one writer for ever. A directory that was copied, or set back to an older
// copy, has logs that another process may write, or has written on. They are left as
// they are, and counting goes on in a new one: then nobody overwrites the sums of
// others in Redis, nor gives back grants that others have used.

// placeName is a file in the directory of an instance log that says which directory
// that is. In a copy it is that of the original.
const placeName = "place"

// The places of logs that are written by nobody any more.
const (
	setBack  = "set back" // Redis has later records, or gets them from another machine
	diverged = "diverged" // the same, and others were written here since: its sums are nobody's
)

// findPlace compares the directory with its place. A directory without one, which is
// new or of an older build, is in its place.
func (i *instance) findPlace() error {
	here, place, err := readPlace(i.dir)
	switch {
	case err != nil || here == "": // the system does not tell
		return err
	case place == "":
		return i.setPlace(here)
	}
	i.copied, i.diverged = place != here, place == diverged
	return nil
}

// readPlace returns when the directory of an instance log was made, and what its place
// says; "" if it has none.
func readPlace(dir string) (here, place string, err error) {
	if here, err = birth(dir); err != nil {
		return "", "", err
	}
	text, err := os.ReadFile(filepath.Join(dir, placeName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", err
	}
	return here, string(bytes.TrimSpace(text)), nil
}

// setPlace writes the place.
func (i *instance) setPlace(place string) error {
	err := durable.Replace(filepath.Join(i.dir, placeName), 0o600, func(f *os.File) error {
		_, err := f.WriteString(place + "\n")
		return err
	})
	if err != nil {
		return fmt.Errorf("noting where %s is: %w", i.dir, err)
	}
	return nil
}

// takeInstance is lockInstance, and finds out whether the directory is a copy.
func takeInstance(dir string) (*instance, error) {
	i, err := lockInstance(dir)
	if err != nil {
		return nil, err
	}
	if err := i.findPlace(); err != nil {
		return nil, errors.Join(err, i.close())
	}
	return i, nil
}

// leaveCopies has this process write no log of which Redis has later records, or that a
// process on another machine writes: a snapshot of the disk has the place too. It begins
// a new one if it has no other. All are noted then. ledger is the id of the ledger.
func (l *Ledger) leaveCopies(ledger string) error {
	for _, b := range l.logs() {
		if l.config.Sent == nil || b.instance.copied {
			continue
		}
		sent, err := l.config.Sent(b.instance.id)
		if err != nil {
			break // the mirror finds out
		}
		elsewhere := false
		if b.checkpoint.rebooted && l.config.Present != nil {
			if elsewhere, err = l.config.Present(b.instance.id); err != nil {
				break
			}
		}
		if sent > b.projection.last || elsewhere {
			b.instance.copied = true
			if err := b.instance.setPlace(setBack); err != nil {
				return err
			}
		}
	}
	if l.own.instance.copied {
		i, err := newInstance(filepath.Dir(l.own.instance.dir))
		if err != nil {
			return err
		}
		b, err := openInstanceLog(i, ledger, l.config.Now)
		if err != nil {
			return errors.Join(err, i.close())
		}
		l.own, l.orphans = b, append([]*instanceLog{l.own}, l.orphans...)
	}
	for _, b := range l.logs() {
		if err := b.note(); err != nil {
			return err
		}
	}
	for _, b := range l.orphans {
		if b.instance.copied && l.own.projection.last == 0 {
			if err := l.own.checkpoint.inherit(b.checkpoint); err != nil {
				return err
			}
		}
	}
	return nil
}

// inherit takes over what a checkpoint has beside sums, where this one has nothing.
func (c *checkpoint) inherit(from *checkpoint) error {
	values := make(map[string][]byte)
	err := from.db.View(func(tx *bbolt.Tx) error {
		for _, key := range [][]byte{keyMirror, keyClock, keyOthers, keyOverrides, keyFiles, keyTold} {
			values[string(key)] = bytes.Clone(tx.Bucket(bucketMeta).Get(key))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.db.Update(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		for key, value := range values {
			if value == nil || meta.Get([]byte(key)) != nil {
				continue
			}
			if err := meta.Put([]byte(key), value); err != nil {
				return err
			}
		}
		return nil
	})
}

// Copied returns the ids of the logs in the directory that this process does not write
// on, since the directory is a copy or was set back to one.
func (l *Ledger) Copied() (ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range append(l.logs(), l.copied...) {
		if b.instance.copied {
			ids = append(ids, b.instance.id)
		}
	}
	return ids
}

// part has sums of copied logs be those in Redis, while there is a mirror. Without one
// they are those of the files. The caller holds mu.
func (l *Ledger) part(mirrored bool) {
	if !mirrored {
		l.orphans, l.copied = append(l.orphans, l.copied...), nil
		return
	}
	isCopied := func(b *instanceLog) bool { return b.instance.copied }
	for _, b := range l.orphans {
		if isCopied(b) {
			l.copied = append(l.copied, b)
		}
	}
	l.orphans = slices.DeleteFunc(slices.Clone(l.orphans), isCopied)
}

// partOrphan parts with a log that was taken over, and that is written elsewhere.
func (l *Ledger) partOrphan(id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.orphans {
		if b.instance.id == id {
			b.instance.copied = true
			l.part(true)
			return b.instance.setPlace(setBack)
		}
	}
	return nil
}

// ErrCopied says that another process sends sums of this process's log, or has sent later
// ones than its files had when it was opened. It is for good.
const ErrCopied = causeError("Redis has later records of this gateway than its directory: another gateway runs on a copy of it, or it was set back " +
	"to an older one, which was not known when it started, without Redis. Start this gateway again: it goes on under a new id")

// Copied returns ErrCopied once it is known; nil otherwise.
func (m *Mirror) Copied() error {
	if m.copied.Load() {
		return ErrCopied
	}
	return nil
}

// Rightful returns nil once it is known that nobody else has sent sums of this process's
// log. Before, nothing may be sent or claimed under its id.
func (m *Mirror) Rightful(ctx context.Context) error {
	if err := m.Copied(); err != nil || m.rightful.Load() {
		return err
	}
	sent, err := SentSums(ctx, m.conn, m.ledger.Instance())
	m.calls.Add(Shards)
	switch {
	case err != nil:
		return err
	case sent > m.begun:
		return m.foundCopied()
	}
	m.rightful.Store(true)
	return nil
}

// foundCopied has the next start begin a new log.
func (m *Mirror) foundCopied() error {
	if m.copied.Swap(true) {
		return ErrCopied
	}
	return errors.Join(ErrCopied, m.ledger.own.instance.setPlace(diverged))
}

// SentSums returns the last record of an instance log that is in the sums in Redis.
func SentSums(ctx context.Context, conn *redisconn.Conn, instance string) (last uint64, err error) {
	for n := range Shards {
		found, err := conn.HashGet(ctx, sumsKey(shardOf{instance, n}), "_h")
		if err != nil {
			return 0, err
		}
		at, _ := strconv.ParseUint(found["_h"], 10, 64) // none, or 0
		last = max(last, at)
	}
	return last, nil
}

// PresentIn reports whether a process sends the sums of an instance log to Redis.
func PresentIn(ctx context.Context, conn *redisconn.Conn, instance string) (bool, error) {
	found, err := conn.HashGet(ctx, instancesKey, instance)
	if err != nil {
		return false, err
	}
	at, err := strconv.ParseInt(found[instance], 10, 64)
	if err != nil {
		return false, nil //nolint:nilerr // it left, is lost, or was never there
	}
	now, err := conn.Time(ctx)
	return err == nil && now.Sub(time.Unix(at, 0)) < presentFor, err
}

// sendCopied sends what Redis lacks of logs that this process does not write on: their
// last records may be in no other directory. Where they are written on elsewhere, Redis
// has all that, or gets it from there. The caller holds mu.
func (m *Mirror) sendCopied(ctx context.Context) error {
	if m.partsSent.Load() {
		return nil
	}
	m.ledger.mu.Lock()
	logs := slices.Clone(m.ledger.copied)
	m.ledger.mu.Unlock()
	if len(logs) == 0 {
		return nil
	}
	seen, err := m.Peers(ctx)
	if err != nil {
		return err
	}
	for _, b := range logs {
		for n := range Shards {
			if err := m.sendLacking(ctx, b, shardOf{b.instance.id, n}); err != nil {
				return err
			}
		}
		if _, known := seen[b.instance.id]; !known { // nobody writes it: who does says so every few seconds
			if err := m.setPresence(ctx, b.instance.id, presenceLeft); err != nil {
				return err
			}
		}
	}
	m.partsSent.Store(true)
	return nil
}

// sendLacking sends the sums of a shard of a log if Redis has less of one.
func (m *Mirror) sendLacking(ctx context.Context, b *instanceLog, of shardOf) error {
	if b.instance.diverged {
		return nil
	}
	p := m.allOf(b, of)
	if len(p.keys) == 0 {
		return nil
	}
	m.calls.Add(hashAllCalls)
	found, err := m.conn.HashAll(ctx, sumsKey(of))
	if err != nil {
		return err
	}
	for i := 0; i+1 < len(p.fields); i += 2 {
		name := fmt.Sprint(p.fields[i])
		if n, ok := p.fields[i+1].(uint64); ok && strings.HasPrefix(name, "m|") { // hours may be too old
			if has, _ := strconv.ParseUint(found[name], 10, 64); has < n {
				_, err := m.call(ctx, p, 0) // one that finds later sums changes nothing
				return err
			}
		}
	}
	return nil
}
