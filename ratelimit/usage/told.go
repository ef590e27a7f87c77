package usage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// A LineStore keeps a second copy of what services were told, in the file Told. So what
// they were told is known also after the line store was begun anew or put back from an
// older copy: they are told only what differs then. The copy has a mark, by which such a
// line store is noticed.

// mark says what the line store was when it was last updated.
type mark struct {
	Store   string `json:"store"`            // the id of the file
	Changes uint64 `json:"changes"`          // the number of its last change
	Base    int64  `json:"base,omitempty"`   // of its revisions
	Shared  string `json:"shared,omitempty"` // the id under which the gateway joined a shared store
}

var (
	bucketMark = []byte("mark") // in the copy
	keyMark    = []byte("mark") // in bucketMark

	// bucketSalvaged is in a line store of which a damaged file had only a part.
	bucketSalvaged = []byte("salvaged")
)

// withCopy runs f in a transaction on the copy, if there is to be one. The caller holds mu.
func (b *LineStore) withCopy(f func(*bbolt.Tx) error) error {
	if b.Told == "" {
		return nil
	}
	db, err := bbolt.Open(b.Told, 0o600, &bbolt.Options{Timeout: storeWait, NoSync: b.noSync})
	if err != nil {
		return fmt.Errorf("what services were told: %w", durable.Named(b.Told, err))
	}
	if err := errors.Join(db.Update(f), db.Close()); err != nil {
		return fmt.Errorf("what services were told: %w", durable.Named(b.Told, err))
	}
	return nil
}

// writeCopy is withCopy, and notes its version.
func (b *LineStore) writeCopy(f func(*bbolt.Tx) error) error {
	if b.Told == "" {
		return nil
	}
	err := b.withCopy(func(tx *bbolt.Tx) error {
		marks, err := tx.CreateBucketIfNotExists(bucketMark)
		if err != nil {
			return err
		}
		return errors.Join(b.version.put(marks), f(tx))
	})
	if err != nil {
		return err
	}
	return b.noteVersion()
}

// copyPages stores pages of a service in the copy, as they are in the line store. The
// caller holds mu.
func (b *LineStore) copyPages(service string, pages map[PageKey][]byte) error {
	return b.writeCopy(func(tx *bbolt.Tx) error {
		own, err := writablePagesOf(tx, service)
		if err != nil {
			return err
		}
		for k, text := range pages {
			if err := own.Put(pageText(k), text); err != nil {
				return err
			}
		}
		return nil
	})
}

// leave notes what the line store is, before anybody is told of its changes. The caller
// holds mu.
func (b *LineStore) leave(now mark) error {
	if now == b.marked {
		return nil
	}
	if err := b.writeCopy(func(tx *bbolt.Tx) error { return putMark(tx, now) }); err != nil {
		return err
	}
	b.marked = now
	return nil
}

// markOf returns the mark of the line store as it is now.
func (b *LineStore) markOf(tx *bbolt.Tx) (m mark) {
	if meta := tx.Bucket(bucketMeta); meta != nil {
		m.Base = begunOf(meta).Base
		m.Store = string(meta.Get(keyNumbering))
	}
	m.Changes = highestChange(tx)
	if joined := tx.Bucket(bucketJoined); joined != nil {
		m.Shared = string(joined.Get(keyJoinedID))
	}
	return m
}

func putMark(tx *bbolt.Tx, m mark) error {
	bucket, err := tx.CreateBucketIfNotExists(bucketMark)
	if err != nil {
		return err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return bucket.Put(keyMark, text)
}

// meetCopy brings a line store that was just opened and the copy together, the first time
// and if another file is in the place of either since: each has afterwards what both say. A
// line store that is not the one of the mark begins anew.
func (b *LineStore) meetCopy(db *bbolt.DB) error {
	if b.Told == "" || b.met && db.Kept() && bbolt.Kept(b.Told) {
		return nil
	}
	var now mark
	err := db.Update(func(tx *bbolt.Tx) error {
		return b.withCopy(func(other *bbolt.Tx) error {
			last, err := lastMark(other)
			if err != nil {
				return err
			}
			v := compareVersions(versionOf(tx.Bucket(bucketMeta)), versionOf(other.Bucket(bucketMark)), b.notes()...)
			now = b.markOf(tx)
			if b.met = b.met && now == last && v.store == v.copied && v.store.N == v.latest; b.met { // another process has updated it
				b.marked, b.version = last, v.store
				return nil
			}
			if v.lost() && (b.Elsewhere == nil || !b.Elsewhere()) {
				return lostAt(b.Told)
			}
			b.version = v.next()
			replaced := last.Store != "" && (last.Store != now.Store || last.Changes > now.Changes) || v.store.N < v.latest
			b.noticed(replaced, &v)
			if replaced || tx.Bucket(bucketSalvaged) != nil {
				err := beginAnew(tx, last)
				now = b.markOf(tx)
				return err
			}
			return nil
		})
	})
	if err != nil || b.met {
		return err
	}
	if err := b.joinCopy(db); err != nil {
		return err
	}
	b.marked = mark{} // the copy may have had another
	if err := db.Update(b.step); err != nil {
		return err
	}
	err = b.leave(now)
	b.met = err == nil
	return err
}

// lastMark returns the mark in the copy.
func lastMark(tx *bbolt.Tx) (last mark, err error) {
	if bucket := tx.Bucket(bucketMark); bucket != nil {
		if text := bucket.Get(keyMark); text != nil {
			err = json.Unmarshal(text, &last)
		}
	}
	return last, err
}

// notes are the versions that are known of the line store.
func (b *LineStore) notes() []toldVersion {
	if b.Notes == nil {
		return []toldVersion{b.version}
	}
	return append(parseNotes(b.Notes.ToldNotes()), b.version)
}

// noticed says what is in the place of the last files.
func (b *LineStore) noticed(replaced bool, v *versions) {
	switch {
	case b.Noticed == nil:
	case replaced:
		b.Noticed("billing.db is not the last one: lines are made again with revisions above all earlier ones, and services are told what differs from what told.db says that they know")
	case v.copied.N+1 < v.store.N:
		b.Noticed("told.db is missing or an older copy: it is made again of billing.db")
	}
}

// joinCopy has the line store and the copy say what both say.
func (b *LineStore) joinCopy(db *bbolt.DB) (err error) {
	// What differs is due before both are the same.
	for _, fromCopy := range []bool{true, false} {
		for at := new(joinPlace); at != nil && err == nil; {
			err = db.Update(func(tx *bbolt.Tx) error {
				return b.withCopy(func(other *bbolt.Tx) (err error) {
					if fromCopy {
						at, err = joinSome(tx, other, at, true)
					} else {
						at, err = joinSome(other, tx, at, false)
					}
					return err
				})
			})
		}
	}
	return err
}

// beginAnew has a line store begin anew: with the next update it has another id, and the
// revisions of its lines are above all that there were.
func beginAnew(tx *bbolt.Tx, last mark) error {
	meta, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return err
	}
	joined, err := tx.CreateBucketIfNotExists(bucketJoined)
	if err != nil {
		return err
	}
	if last.Shared != "" && joined.Get(keyJoinedID) == nil {
		err = joined.Put(keyJoinedID, []byte(last.Shared))
	}
	for _, name := range [][]byte{bucketSalvaged, bucketCursors} { // all changes are looked at again
		if tx.Bucket(name) != nil {
			err = errors.Join(err, tx.DeleteBucket(name))
		}
	}
	return errors.Join(err,
		skipMarks(joined),
		joined.Delete(keyJoinMark), // a shared store does not know what is joined here
		meta.Put(keyNumbering, []byte(token())),
		putBegun(meta, begun{Base: max(last.Base, begunOf(meta).Base)}),
	)
}

// joinPlace is the next page that is to be joined.
type joinPlace struct {
	service string
	page    []byte
}

// joinSome adds what pages of another file say to those of a file, from a place on, and
// returns how far it came; nil: all are joined. due has services be told again what differs.
func joinSome(into, from *bbolt.Tx, at *joinPlace, due bool) (next *joinPlace, err error) {
	all, changed := from.Bucket(bucketPages), 0
	if all == nil {
		return nil, nil
	}
	err = all.ForEachBucket(func(name []byte) error {
		service := string(name)
		if service < at.service {
			return nil
		}
		own, err := writablePagesOf(into, service)
		if err != nil {
			return err
		}
		cursor := all.Bucket(name).Cursor()
		k, text := cursor.First()
		if service == at.service {
			k, text = cursor.Seek(at.page)
		}
		for ; k != nil; k, text = cursor.Next() {
			if changed == pagesChunk {
				next = &joinPlace{service, bytes.Clone(k)}
				return errStopped
			}
			is := own.Get(k)
			joined, err := joinTexts(is, text)
			if err != nil {
				return fmt.Errorf("the outbox of %s: the page %q: %w", service, k, err)
			}
			if bytes.Equal(joined, is) {
				continue
			}
			changed++
			if err := own.Put(bytes.Clone(k), bytes.Clone(joined)); err != nil {
				return err
			}
			if due {
				if err := makeDue(into, service, bytes.Clone(k)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if errors.Is(err, errStopped) {
		err = nil
	}
	return next, err
}

// makeDue marks a page as due.
func makeDue(tx *bbolt.Tx, service string, key []byte) error {
	due, err := dueOf(tx, service)
	if err != nil || due.Get(key) != nil {
		return err
	}
	return due.Put(key, make([]byte, 8))
}
