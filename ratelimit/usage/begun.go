package usage

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
)

// keyBegun is in bucketMeta: since when the line store is kept without a break. Before that
// there was another file, which may have had more revisions of its lines.
var keyBegun = []byte("begun")

// revisionsApart is how many revisions a second has room for: two line stores that begin at
// different times never use the same.
const revisionsApart = 1_000_000

// revisionsSince is where the seconds of revisions are counted from.
var revisionsSince = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// begun is the moment at which a line store began anew, beside sums of which another file
// may have made lines before.
type begun struct {
	// Base is added to the revisions of lines that ended until then. 0: it was the first.
	Base int64 `json:"base"`
	Unix int64 `json:"at,omitempty"` // 0: with the next update
}

// revision returns the revision of a line that changed n times.
func (b begun) revision(n, end int64) int64 {
	if n == 0 || end > b.Unix {
		return n
	}
	return b.Base + n
}

// floor returns the revision from which on messages of lines may have names that no
// service knows: those lines began in the file before.
func floor(lines []Line) (least int64) {
	for i := range lines {
		if n := lines[i].Revision; n > revisionsApart {
			least = max(least, n-n%revisionsApart+1)
		}
	}
	return least
}

func begunOf(meta *bbolt.Bucket) (at begun) {
	if meta == nil || json.Unmarshal(meta.Get(keyBegun), &at) != nil {
		return begun{}
	}
	return at
}

func putBegun(meta *bbolt.Bucket, at begun) error {
	text, err := json.Marshal(at)
	if err != nil {
		return err
	}
	return meta.Put(keyBegun, text)
}

// begin has a file that is new, or not the one that was used last, begin its revisions
// above all those before, and gives it an id.
func (b *LineStore) begin(tx *bbolt.Tx, in *UpdateInput) error {
	meta, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return err
	}
	if meta.Get(keyNumbering) == nil {
		err = meta.Put(keyNumbering, []byte(token()))
	}
	again := meta.Get(keyBegun) != nil && begunOf(meta).Unix == 0
	if first := tx.Bucket(bucketLines) == nil && in.Anew; !again && !first {
		return err
	}
	seconds := int64(in.Now.Sub(revisionsSince) / time.Second)
	b.begun = begun{
		Base: max(seconds*revisionsApart, begunOf(meta).Base+revisionsApart),
		Unix: in.Now.Unix(),
	}
	return errors.Join(err, putBegun(meta, b.begun))
}
