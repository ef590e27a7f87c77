package usage

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
)

// LineID returns the id of the line with a key.
func (b *LineStore) LineID(k Key) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if k.Origin.Ledger == "" {
		k.Origin.Ledger = b.ledger
	}
	return lineID(k)
}

// Found is a line with the sums that it is made of.
type Found struct {
	Line
	Key     Key // of the sums
	Price   Price
	Sources []Source
}

// Sourced is Lines with the sums that lines are made of.
func (b *LineStore) Sourced(want func(organization, period string) bool) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		err := b.entries(want, func(k Key, e *entry) error {
			if !yield(e.found(k, b.begun), nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(Found{}, err)
		}
	}
}

// found returns the line of an entry, with the sums that it is made of.
func (e *entry) found(k Key, at begun) Found {
	l := e.line(k, at)
	k.End = l.WindowEnd
	return Found{
		Line:    l,
		Key:     k,
		Price:   e.Price,
		Sources: e.Sources,
	}
}

// Find returns the line with an id. It reads all lines until it finds it.
func (b *LineStore) Find(id string) (f Found, found bool, err error) {
	if _, err := os.Stat(b.path); errors.Is(err, os.ErrNotExist) {
		return f, false, nil
	}
	err = b.with(false, func(tx *bbolt.Tx) error {
		lines := tx.Bucket(bucketLines)
		if lines == nil {
			return nil
		}
		return lines.ForEachBucket(func(group []byte) error {
			period, organization, _ := strings.Cut(string(group), "\x00")
			return lines.Bucket(group).ForEach(func(k, v []byte) error {
				key := Key{Organization: organization, Period: period}
				if !isLine(k) {
					return nil
				}
				if err := b.parseLineKey(k, &key); err != nil || !mayHave(key, id) {
					return err
				}
				var e entry
				if err := json.Unmarshal(v, &e); err != nil {
					return fmt.Errorf("reading the line %s: %w", id, err)
				}
				line := e.found(key, b.begun)
				if line.LineID != id {
					return nil
				}
				f, found = line, true
				return errStopped
			})
		})
	})
	if found {
		err = nil
	}
	return f, found, err
}

// mayHave reports whether the line with a key may have an id: the form of the id may
// be a later one than that of the key.
func mayHave(k Key, id string) bool {
	if lineID(k) == id {
		return true
	}
	k.Origin.Form = metering.FormPeriod
	return lineID(k) == id
}
