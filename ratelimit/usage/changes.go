package usage

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
)

// Batch is a range of changes: lines that became final or were corrected, in the
// order in which that happened. A line that changes again later, in this range or
// after it, is only in the range of its last change: over all batches, each
// revision of a line is listed at most once.
type Batch struct {
	From, To uint64 // the numbers of the first and the last change
	Lines    []Line

	store *LineStore
}

// all returns the lines as a sequence.
func (b Batch) all() iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		for i := range b.Lines {
			if !yield(b.Lines[i], nil) {
				return
			}
		}
	}
}

// bucketCursors has the number of the last change that each sink has.
var bucketCursors = []byte("cursors")

// note appends a change of a line. was is the line before the change.
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

// Changes returns the changes after the one with a number, at most as many as most,
// or more if the first of them all have newer revisions. If there are no changes,
// the batch has no lines.
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
		cursor, n := changes.Cursor(), 0
		for k, v := cursor.Seek(binary.BigEndian.AppendUint64(nil, after+1)); k != nil; k, v = cursor.Next() {
			if n >= most && len(batch.Lines) > 0 {
				return nil
			}
			n++
			batch.To = binary.BigEndian.Uint64(k)
			if n == 1 {
				batch.From = batch.To
			}
			if changedAgain(tx, v, batch.To) {
				continue
			}
			line, err := b.noted(lines, v)
			if err != nil {
				return err
			}
			batch.Lines = append(batch.Lines, line)
		}
		return nil
	})
	return batch, err
}

// noted returns the line that a stored change refers to.
func (b *LineStore) noted(lines *bbolt.Bucket, value []byte) (l Line, err error) {
	key, k, err := b.parseChange(value)
	if err != nil {
		return l, err
	}
	group := lines.Bucket(groupKey(k.Organization, k.Period))
	if group == nil {
		return l, fmt.Errorf("the change %x refers to no line", value)
	}
	var e entry
	if err := json.Unmarshal(group.Get(key), &e); err != nil {
		return l, err
	}
	return e.line(k, b.begun), nil
}

// parseChange parses a stored change: the key of the line in its bucket, and the
// same as a Key. The caller holds mu.
func (b *LineStore) parseChange(value []byte) (key []byte, k Key, err error) {
	if len(value) < 4 || len(value) < 4+int(binary.BigEndian.Uint32(value)) {
		return nil, k, fmt.Errorf("the change %x refers to no line", value)
	}
	group, key := value[4:4+binary.BigEndian.Uint32(value)], value[4+binary.BigEndian.Uint32(value):]
	period, organization, organized := strings.Cut(string(group), "\x00")
	if !organized || !isLine(key) {
		return nil, k, fmt.Errorf("the change %x refers to no line", value)
	}
	k.Period, k.Organization = period, organization
	return key, k, b.parseLineKey(key, &k)
}

// Cursor returns the number of the last change that a sink has.
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

// SetCursor stores the number of the last change that a sink has.
func (b *LineStore) SetCursor(sink string, n uint64) error {
	return b.with(true, func(tx *bbolt.Tx) error {
		cursors, err := tx.CreateBucketIfNotExists(bucketCursors)
		if err != nil {
			return err
		}
		return cursors.Put([]byte(sink), binary.BigEndian.AppendUint64(nil, n))
	})
}
