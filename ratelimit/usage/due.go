package usage

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
)

// duePage is a page with changes that a service may not have.
type duePage struct {
	PageKey
	lastChange uint64 // the number of its last change
}

// bucketDue has a bucket for each service with its due pages and the number of the
// last change of each. It is written in one transaction with the service's cursor,
// so that no change is missed.
var bucketDue = []byte("due")

// spanLayouts are the layouts of PageKey.Span, by the length of the span.
var spanLayouts = map[time.Duration]string{time.Hour: "2006-01-02T15", 24 * time.Hour: "2006-01-02"}

// pageText returns the stored form of a key.
func pageText(k PageKey) []byte {
	return []byte(strings.Join([]string{k.Period, k.Account, k.Span}, "\x00"))
}

func parsePageText(text []byte) (PageKey, error) {
	parts := strings.Split(string(text), "\x00")
	if len(parts) != 3 {
		return PageKey{}, fmt.Errorf("the key %q is not that of a page", text)
	}
	return PageKey{Period: parts[0], Account: parts[1], Span: parts[2]}, nil
}

// maxDuePerTransaction bounds how many changes one transaction handles.
const maxDuePerTransaction = 10_000

// noteDue marks the pages of all changes since the last call as due.
func (b *LineStore) noteDue(service string, span time.Duration) error {
	if _, err := os.Stat(b.path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for more := true; more; {
		err := b.with(true, func(tx *bbolt.Tx) (err error) {
			more, err = b.noteSome(tx, service, span)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// noteSome is one transaction of noteDue.
func (b *LineStore) noteSome(tx *bbolt.Tx, service string, span time.Duration) (more bool, err error) {
	changes := tx.Bucket(bucketChanges)
	if changes == nil {
		return false, nil
	}
	cursors, err := tx.CreateBucketIfNotExists(bucketCursors)
	if err != nil {
		return false, err
	}
	due, err := dueOf(tx, service)
	if err != nil {
		return false, err
	}
	after := uint64(0)
	if v := cursors.Get([]byte(service)); len(v) == 8 {
		after = binary.BigEndian.Uint64(v)
	}
	cursor, n := changes.Cursor(), 0
	for k, v := cursor.Seek(binary.BigEndian.AppendUint64(nil, after+1)); k != nil; k, v = cursor.Next() {
		if n++; n > maxDuePerTransaction {
			return true, cursors.Put([]byte(service), binary.BigEndian.AppendUint64(nil, after))
		}
		after = binary.BigEndian.Uint64(k)
		_, key, err := b.parseChange(v)
		if err != nil {
			return false, err
		}
		if err := due.Put(pageText(pageOf(key, span)), bytes.Clone(k)); err != nil {
			return false, err
		}
	}
	return false, cursors.Put([]byte(service), binary.BigEndian.AppendUint64(nil, after))
}

func dueOf(tx *bbolt.Tx, service string) (*bbolt.Bucket, error) {
	all, err := tx.CreateBucketIfNotExists(bucketDue)
	if err != nil {
		return nil, err
	}
	return all.CreateBucketIfNotExists([]byte(service))
}

// due returns the due pages of a service, sorted by period.
func (b *LineStore) due(service string) (pages []duePage, err error) {
	if _, err := os.Stat(b.path); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	err = b.with(false, func(tx *bbolt.Tx) error {
		all := tx.Bucket(bucketDue)
		if all == nil || all.Bucket([]byte(service)) == nil {
			return nil
		}
		return all.Bucket([]byte(service)).ForEach(func(k, v []byte) error {
			key, err := parsePageText(k)
			if err != nil || len(v) != 8 {
				return fmt.Errorf("due for %s: %q: %w", service, k, err)
			}
			pages = append(pages, duePage{key, binary.BigEndian.Uint64(v)})
			return nil
		})
	})
	return pages, err
}

// undue returns the pages of all changes since the last noteDue: on a gateway that never sent
// to the service, all.
func (b *LineStore) undue(service string, span time.Duration) (pages []PageKey, err error) {
	err = b.with(false, func(tx *bbolt.Tx) error {
		changes, after := tx.Bucket(bucketChanges), uint64(0)
		if changes == nil {
			return nil
		}
		if cursors := tx.Bucket(bucketCursors); cursors != nil && len(cursors.Get([]byte(service))) == 8 {
			after = binary.BigEndian.Uint64(cursors.Get([]byte(service)))
		}
		cursor := changes.Cursor()
		for k, v := cursor.Seek(binary.BigEndian.AppendUint64(nil, after+1)); k != nil; k, v = cursor.Next() {
			_, key, err := b.parseChange(v)
			if err != nil {
				return err
			}
			pages = append(pages, pageOf(key, span))
		}
		return nil
	})
	return pages, err
}

// pageOf returns the page of a line.
func pageOf(k Key, span time.Duration) PageKey {
	return PageKey{Account: k.Organization, Period: k.Period, Span: k.Start.Format(spanLayouts[span])}
}

// notDue marks pages as no longer due, except those that changed since.
func (b *LineStore) notDue(service string, done []duePage) error {
	if len(done) == 0 {
		return nil
	}
	return b.with(true, func(tx *bbolt.Tx) error {
		due, err := dueOf(tx, service)
		if err != nil {
			return err
		}
		for _, p := range done {
			key := pageText(p.PageKey)
			if v := due.Get(key); len(v) != 8 || binary.BigEndian.Uint64(v) != p.lastChange {
				continue
			}
			if err := due.Delete(key); err != nil {
				return err
			}
		}
		return nil
	})
}

// again marks pages as due.
func (b *LineStore) again(service string, keys []PageKey) error {
	if len(keys) == 0 {
		return nil
	}
	return b.with(true, func(tx *bbolt.Tx) error {
		due, err := dueOf(tx, service)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if key := pageText(k); due.Get(key) == nil {
				if err := due.Put(key, make([]byte, 8)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// spans calls visit with the final lines and corrections of each page, until it
// returns false. visit must not use the line store, which is locked.
func (b *LineStore) spans(pages []duePage, span time.Duration, visit func(i int, lines []Line) (more bool, err error)) error {
	return b.with(false, func(tx *bbolt.Tx) error {
		for i := range pages {
			lines, err := b.span(tx, pages[i].PageKey, span)
			if err != nil {
				return err
			}
			more, err := visit(i, lines)
			if err != nil || !more {
				return err
			}
		}
		return nil
	})
}

func (b *LineStore) span(tx *bbolt.Tx, k PageKey, span time.Duration) (lines []Line, err error) {
	start, err := time.Parse(spanLayouts[span], k.Span)
	if err != nil {
		return nil, fmt.Errorf("reading the page %v: %w", k, err)
	}
	all := tx.Bucket(bucketLines)
	if all == nil || all.Bucket(groupKey(k.Account, k.Period)) == nil {
		return nil, nil
	}
	end := binary.BigEndian.AppendUint64(nil, uint64(start.Add(span).Unix()))
	cursor := all.Bucket(groupKey(k.Account, k.Period)).Cursor()
	for key, v := cursor.Seek(binary.BigEndian.AppendUint64(nil, uint64(start.Unix()))); key != nil && bytes.Compare(key, end) < 0; key, v = cursor.Next() {
		if !isLine(key) {
			continue
		}
		of := Key{Organization: k.Account, Period: k.Period}
		var e entry
		if err := errors.Join(b.parseLineKey(key, &of), json.Unmarshal(v, &e)); err != nil {
			return nil, err
		}
		if e.State != Provisional {
			lines = append(lines, e.line(of, b.begun))
		}
	}
	return lines, nil
}
