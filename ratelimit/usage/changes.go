package usage

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"

	"go.etcd.io/bbolt"
)

// Batch is lines that became final, or were corrected, in the order in which
// that happened. A line of which there is a newer revision has that one.
type Batch struct {
	From, To uint64 // the numbers of the first and the last
	Lines    []Line

	store *LineStore // that it is of
}

// all are the lines of a batch.
func (b Batch) all() iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		for i := range b.Lines {
			if !yield(b.Lines[i], nil) {
				return
			}
		}
	}
}

// bucketCursors has for each sink up to which number it has lines.
var bucketCursors = []byte("cursors")

// note adds a line to the news, and keeps what it was.
func (u *update) note(key []byte, was *entry) error {
	n, err := u.changes.NextSequence()
	if err != nil {
		return err
	}
	value := binary.BigEndian.AppendUint32(nil, uint32(len(u.group)))
	value = append(append(value, u.group...), key...)
	if err := u.changes.Put(binary.BigEndian.AppendUint64(nil, n), value); err != nil {
		return err
	}
	return u.remember(value, n, was)
}

// Changes returns what happened after a number, at most so many lines. There is
// nothing new where it has no lines.
func (b *LineStore) Changes(after uint64, most int) (batch Batch, err error) {
	batch.store = b
	if _, err := os.Stat(b.path); errors.Is(err, os.ErrNotExist) {
		return batch, nil
	}
	err = b.with(false, func(tx *bbolt.Tx) error {
		changes, lines := tx.Bucket(bucketChanges), tx.Bucket(bucketLines)
		if changes == nil || lines == nil {
			return nil
		}
		cursor := changes.Cursor()
		for k, v := cursor.Seek(binary.BigEndian.AppendUint64(nil, after+1)); k != nil && len(batch.Lines) < most; k, v = cursor.Next() {
			line, err := b.noted(lines, v)
			if err != nil {
				return err
			}
			batch.To = binary.BigEndian.Uint64(k)
			if len(batch.Lines) == 0 {
				batch.From = batch.To
			}
			batch.Lines = append(batch.Lines, line)
		}
		return nil
	})
	return batch, err
}

// noted is the line of an entry of the news.
func (b *LineStore) noted(lines *bbolt.Bucket, value []byte) (l Line, err error) {
	key, k, err := parseChange(value)
	if err != nil {
		return l, err
	}
	group := lines.Bucket(groupKey(k.Organization, k.Period))
	if group == nil {
		return l, fmt.Errorf("the change %x is of no line", value)
	}
	var e entry
	if err := json.Unmarshal(group.Get(key), &e); err != nil {
		return l, err
	}
	return e.line(b.ledger, k), nil
}

// parseChange reads an entry of the changes: the key of the line in its group, and what
// that says.
func parseChange(value []byte) (key []byte, k Key, err error) {
	if len(value) < 4 || len(value) < 4+int(binary.BigEndian.Uint32(value)) {
		return nil, k, fmt.Errorf("the change %x is of no line", value)
	}
	group, key := value[4:4+binary.BigEndian.Uint32(value)], value[4+binary.BigEndian.Uint32(value):]
	period, organization, organized := strings.Cut(string(group), "\x00")
	if !organized || !isLine(key) {
		return nil, k, fmt.Errorf("the change %x is of no line", value)
	}
	k.Period, k.Organization = period, organization
	return key, k, parseLineKey(key, &k)
}

// Cursor returns up to which number a sink has lines.
func (b *LineStore) Cursor(sink string) (n uint64, err error) {
	err = b.with(true, func(tx *bbolt.Tx) error {
		cursors, err := tx.CreateBucketIfNotExists(bucketCursors)
		if err != nil {
			return err
		}
		if v := cursors.Get([]byte(sink)); len(v) == 8 {
			n = binary.BigEndian.Uint64(v)
		}
		return nil
	})
	return n, err
}

// SetCursor notes up to which number a sink has lines.
func (b *LineStore) SetCursor(sink string, n uint64) error {
	return b.with(true, func(tx *bbolt.Tx) error {
		cursors, err := tx.CreateBucketIfNotExists(bucketCursors)
		if err != nil {
			return err
		}
		return cursors.Put([]byte(sink), binary.BigEndian.AppendUint64(nil, n))
	})
}
