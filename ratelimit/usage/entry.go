package usage

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
)

// entry is a line as it is stored.
type entry struct {
	End      int64    `json:"e"` // in Unix seconds
	Before   int64    `json:"b,omitempty"`
	Sold     int64    `json:"o,omitempty"` // Reading.Sold before it
	Rule     int      `json:"l,omitempty"` // by which overage is counted
	Price    Price    `json:"t"`
	Revision int64    `json:"r,omitempty"`
	State    State    `json:"s"`
	Sources  []Source `json:"i"` // sorted by instance
	// Form is that of the line's id, if it is another than that of its sums.
	Form metering.Form `json:"f,omitempty"`
}

// total adds up the sources.
func (e *entry) total() (all Source) {
	for _, s := range e.Sources {
		all.Add(s)
	}
	return all
}

// after returns the account's quantity in the period including the line.
func (e *entry) after() int64 {
	total := e.total()
	return e.Before + total.billed()
}

// equal reports whether two entries differ at most in their revisions, and in how
// they are stored.
func (e *entry) equal(other *entry) bool {
	return e.End == other.End && e.Before == other.Before && e.Price == other.Price && e.State == other.State &&
		e.sale() == other.sale() && slices.Equal(e.Sources, other.Sources)
}

// before returns the line before a key, nil for the first.
func before(bucket *bbolt.Bucket, key []byte) (*entry, error) {
	cursor := bucket.Cursor()
	cursor.Seek(key)
	for k, v := cursor.Prev(); k != nil; k, v = cursor.Prev() {
		if !isLine(k) {
			continue
		}
		var e entry
		if err := json.Unmarshal(v, &e); err != nil {
			return nil, fmt.Errorf("reading the line %x: %w", k, err)
		}
		return &e, nil
	}
	return nil, nil
}

func readEntry(bucket *bbolt.Bucket, key []byte) (e entry, known bool, err error) {
	text := bucket.Get(key)
	if text == nil {
		return e, false, nil
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return e, false, fmt.Errorf("reading the line %x: %w", key, err)
	}
	return e, true, nil
}

func writeEntry(bucket *bbolt.Bucket, key []byte, e *entry) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return bucket.Put(key, text)
}
