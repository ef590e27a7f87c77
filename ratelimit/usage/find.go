package usage

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"go.etcd.io/bbolt"
)

// LineID returns the id of the line with a key.
func (b *LineStore) LineID(k Key) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return lineID(b.ledger, k)
}

// Find returns the line with an id and its sources. It reads all lines until it
// finds it.
func (b *LineStore) Find(id string) (l Line, of []Source, found bool, err error) {
	if _, err := os.Stat(b.path); errors.Is(err, os.ErrNotExist) {
		return l, nil, false, nil
	}
	done := errors.New("found")
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
				if err := parseLineKey(k, &key); err != nil || lineID(b.ledger, key) != id {
					return err
				}
				var e entry
				if err := json.Unmarshal(v, &e); err != nil {
					return fmt.Errorf("reading the line %s: %w", id, err)
				}
				l, of, found = e.line(b.ledger, key), e.Sources, true
				return done
			})
		})
	})
	if found {
		err = nil
	}
	return l, of, found, err
}
