package usage

import (
	"encoding/binary"
	"fmt"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
)

// keyNumbering is in bucketMeta: the id of the file. Numbers of changes mean nothing in a
// file with another id.
var keyNumbering = []byte("numbering")

// numbering returns the id of the file, which it gets at the first call, and the highest
// number that a change has in it.
func (b *LineStore) numbering() (id string, highest uint64, err error) {
	err = b.with(true, func(tx *bbolt.Tx) error {
		highest = highestChange(tx)
		meta, err := tx.CreateBucketIfNotExists(bucketMeta)
		if err != nil {
			return err
		}
		if id = string(meta.Get(keyNumbering)); id != "" {
			return nil
		}
		id = token()
		return meta.Put(keyNumbering, []byte(id))
	})
	return id, highest, err
}

// highestChange returns the highest number that a change has.
func highestChange(tx *bbolt.Tx) uint64 {
	if changes := tx.Bucket(bucketChanges); changes != nil {
		if k, _ := changes.Cursor().Last(); len(k) == 8 {
			return binary.BigEndian.Uint64(k)
		}
	}
	return 0
}

// told is what a manifest says of one billing.db.
type told struct {
	// delivery is its last one. It has no file if there is none, or if billing.db has not
	// numbered as many changes: it was replaced by an older copy since, or made anew.
	delivery
	latest delivery // the last of the manifest, whoever it is from
}

// add takes in the next line of a manifest.
func (t *told) add(d delivery, id string) {
	// The first line with an id goes on where those without one ended, if it goes on at all.
	if d.Billing == "" {
		d.Upto = d.To
	}
	if d.Billing == id || d.Billing == "" {
		t.delivery = d
	} else if t.Billing == "" {
		t.delivery = delivery{}
	}
	t.latest = d
}

// number sets the numbers of a delivery in the directory, which go on whatever billing.db
// it is from.
func (t *told) number(d *delivery, b Batch) {
	d.From, d.Upto = b.From, b.To
	switch {
	case t.latest.File == "":
	case t.delivery == t.latest: // a gap stays one
		d.From += t.latest.To - t.latest.Upto
	default:
		d.From = t.latest.To + 1
	}
	d.To = d.From + (b.To - b.From)
}

// anotherError says that the rows of a directory are those of another billing.db.
func (f *Files) anotherError() error {
	return fmt.Errorf("%s has rows of another billing.db, or of a later copy of this one; rows of %s are added up, so that these would be counted twice: name a new directory in `export file`", f.Dir, f.Format)
}
