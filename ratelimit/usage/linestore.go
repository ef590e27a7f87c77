package usage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// LineStore keeps lines in a file. Lines of complete hours change only by
// corrections, never because plans or prices change. It is safe for concurrent use,
// also by several processes of a machine: the file is open only during a call.
type LineStore struct {
	// Opened is called after the file was first opened, or created, and before anything is
	// read or written. Optional; set it before the first call.
	Opened func() error
	// Told is the file with a second copy of what services were told. "": there is none.
	Told string
	// Notes keeps a note of both. Without it, nobody notices if both are put back from older
	// copies between two processes. Optional.
	Notes Notes
	// Elsewhere reports whether what services were told is known at another place too.
	// Optional.
	Elsewhere func() bool
	// Noticed is called if another file was in the place of either. Optional.
	Noticed func(what string)

	path   string
	noSync bool // for tests, which would wait for disks

	mu      sync.Mutex // guards all below
	ledger  string     // the id of the ledger that keys without one are of
	known   bool       // the file was opened before
	pinned  bool       // ledger is what the file says
	begun   begun      // what the file says
	met     bool       // it and Told have what both say
	marked  mark       // as it was left last in Told
	version toldVersion
	periods periods // nil: derived from the ids
}

var (
	bucketLines   = []byte("lines") // a bucket of lines for each organization and period
	bucketMeta    = []byte("meta")
	keyLedger     = []byte("ledger") // there: the id of the ledger that keys without one are of
	bucketChanges = []byte("news")   // lines that became final or were corrected, in that order
	keyOpen       = []byte("open")   // in each of these: the key of the first provisional line
)

// unknownPrice is the price where no other is known: unlimited, without charge.
var unknownPrice = Price{Included: -1, Currency: DefaultCurrency}

// storeWait bounds the wait for another process that has the file open.
const storeWait = 5 * time.Second

// NewLineStore returns the line store in a file, which need not exist. It does not
// open the file. Lines without a ledger are of ledgerID, unless the file names another:
// its first update writes it down for ever.
func NewLineStore(path, ledgerID string) *LineStore { return &LineStore{path: path, ledger: ledgerID} }

// with runs f in a transaction and closes the file afterwards.
func (b *LineStore) with(write bool, f func(*bbolt.Tx) error) error {
	return b.withThen(write, f, func() error { return nil })
}

// withThen is with, and runs then before the file is closed: no other process changes it
// meanwhile.
func (b *LineStore) withThen(write bool, f func(*bbolt.Tx) error, then func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	db, err := bbolt.Open(b.path, 0o600, &bbolt.Options{Timeout: storeWait, NoSync: b.noSync, Known: b.known})
	if err != nil {
		return b.failed(err)
	}
	if !b.known && b.Opened != nil {
		if err := b.Opened(); err != nil {
			return b.failed(errors.Join(err, db.Close()))
		}
	}
	b.known = true
	if err := b.meetCopy(db); err != nil {
		return b.failed(errors.Join(err, db.Close()))
	}
	err = db.View(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		b.begun = begunOf(meta)
		if !b.pinned && meta != nil && meta.Get(keyLedger) != nil {
			b.ledger, b.pinned = string(meta.Get(keyLedger)), true
		}
		return nil
	})
	if err != nil {
		return b.failed(errors.Join(err, db.Close()))
	}
	run := db.View
	if write {
		run = db.Update
	}
	if err = run(f); err == nil {
		err = then()
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return b.failed(err)
	}
	return nil
}

// ID returns the id of the file, "" before its first update. A file that was replaced has
// another.
func (b *LineStore) ID() (id string, err error) {
	err = b.with(false, func(tx *bbolt.Tx) error {
		if meta := tx.Bucket(bucketMeta); meta != nil {
			id = string(meta.Get(keyNumbering))
		}
		return nil
	})
	return id, err
}

// failed names the file, unless the error does.
func (b *LineStore) failed(err error) error {
	return fmt.Errorf("the line store: %w", durable.Named(b.path, err))
}

// UpdateInput holds the known usage and prices for Update.
type UpdateInput struct {
	Now time.Time
	// Sums are the usage. Each source reports everything that it has of a line, not a
	// difference. Sources and lines that are not named stay as they are.
	Sums []Sum
	// Price returns the price of an organization now. known is false for an
	// organization that no project names; the price is the default then, which is
	// only used where a line never had another.
	Price func(organization string) (price Price, known bool)
	// Terms say since when an organization has which price, if it ever changed. They
	// go before Price.
	Terms map[string]Terms
	// Complete reports whether all usage that ended at or before end is known.
	Complete func(end time.Time) bool
	// Anew says that another file may have made lines of these sums before: one that does
	// not exist yet begins with higher revisions.
	Anew bool
}

// Update recomputes the lines of every organization and period that in.Sums
// names or that still has provisional lines, and returns how many lines changed.
// A line keeps the price that was in force when its hour ended. Lines become
// final when their hour is complete; a final line that changes becomes a
// correction.
func (b *LineStore) Update(in UpdateInput) (changed int, err error) {
	sums := merge(in.Sums)
	var now mark
	err = b.withThen(true, func(tx *bbolt.Tx) error {
		if err := b.begin(tx, &in); err != nil {
			return err
		}
		lines, err := tx.CreateBucketIfNotExists(bucketLines)
		if err != nil {
			return err
		}
		changes, err := tx.CreateBucketIfNotExists(bucketChanges)
		if err != nil {
			return err
		}
		if err := b.pin(tx); err != nil {
			return err
		}
		settled, err := settle(lines, in.Now, in.Complete)
		if err != nil {
			return err
		}
		groups := make(map[string][]Sum)
		for _, s := range sums {
			key := string(groupKey(s.Organization, s.Period))
			groups[key] = append(groups[key], s)
		}
		// Provisional lines become final even if nothing more is used.
		err = lines.ForEachBucket(func(k []byte) error {
			if lines.Bucket(k).Get(keyOpen) != nil {
				groups[string(k)] = append(groups[string(k)], []Sum{}...)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for key, group := range groups {
			bucket, err := lines.CreateBucketIfNotExists([]byte(key))
			if err != nil {
				return err
			}
			period, organization, _ := strings.Cut(key, "\x00")
			u := update{
				store:   b,
				bucket:  bucket,
				group:   []byte(key),
				changes: changes,
				over:    in.Complete,
				now:     in.Now,
			}
			u.period, _ = b.period(organization, period)
			u.settled = settled
			u.price, u.known = in.Price(organization)
			u.terms = in.Terms[organization]
			n, err := u.run(group)
			if err != nil {
				return err
			}
			changed += n
		}
		if now = b.markOf(tx); now == b.marked {
			return nil
		}
		return b.step(tx)
	}, func() error { return b.leave(now) })
	return changed, err
}

// update is Update for one organization and period.
type update struct {
	store           *LineStore
	bucket, changes *bbolt.Bucket
	group           []byte // the name of bucket
	now             time.Time
	price           Price
	known           bool // price is what the projects say, not the default
	terms           Terms
	over            func(end time.Time) bool
	period          metering.Period
	settled         time.Time // up to when all usage was known before this update
	closed          bool      // the bill of the period was final before this update
}

// run updates the lines of one organization and period. sums are in order.
func (u *update) run(sums []Sum) (changed int, err error) {
	reported, bucket := make(map[string]*entry), u.bucket
	from := bytes.Clone(bucket.Get(keyOpen))
	for i := range sums {
		key := u.store.lineKey(sums[i].Key)
		e, known, err := readEntry(bucket, key)
		if err != nil {
			return 0, err
		}
		n := e
		n.End, n.Sources = u.end(&sums[i].Key).Unix(), newer(e.Sources, sums[i].Sources)
		for k := range n.Sources {
			n.Sources[k].Own = false
		}
		if known && n.equal(&e) {
			continue
		}
		if !known {
			n.State = Provisional
		}
		reported[string(key)] = &n
		if from == nil || bytes.Compare(key, from) < 0 {
			from = key
		}
	}
	if from == nil {
		return 0, nil
	}
	if err := u.close(); err != nil {
		return 0, err
	}
	if from, err = u.earlier(from); err != nil {
		return 0, err
	}
	for key, e := range reported { // so that the cursor finds them
		if bucket.Get([]byte(key)) == nil {
			if err := writeEntry(bucket, []byte(key), e); err != nil {
				return 0, err
			}
		}
	}
	return u.recount(from, reported)
}

// recount recomputes the lines from a key on and stores those that changed. reported are
// the entries with new usage, by key.
func (u *update) recount(from []byte, reported map[string]*entry) (changed int, err error) {
	type kept struct {
		key    []byte
		e, was *entry
	}
	var keep, again []kept
	var open []byte
	cursor := u.bucket.Cursor()
	k, v := cursor.Seek(from)
	last, err := before(u.bucket, from)
	if err != nil {
		return 0, err
	}
	var at Reading
	if last != nil {
		at = last.reading()
	}
	for ; k != nil; k, v = cursor.Next() {
		if !isLine(k) {
			continue
		}
		var e entry
		if err := json.Unmarshal(v, &e); err != nil {
			return 0, fmt.Errorf("reading the line %x: %w", k, err)
		}
		n := e
		if s := reported[string(k)]; s != nil {
			n = *s
		}
		n.Before, n.Sold = at.Used, at.Sold
		if !u.closed || n.Revision == 0 { // what a final bill says of the others stays
			n.Rule = soldRule
		}
		if n.State == Provisional {
			n.Price = u.agreed(startOf(k), &n, last)
			if u.over(time.Unix(n.End, 0)) {
				n.State = Final
			}
		}
		if n.State == Provisional && open == nil {
			open = bytes.Clone(k)
		}
		last, at = &n, n.reading()
		same := n.equal(&e) && reported[string(k)] == nil
		if same && n.Rule == e.Rule && n.Sold == e.Sold {
			continue
		}
		if same { // it is only stored in another form
			again = append(again, kept{bytes.Clone(k), &n, &e})
			continue
		}
		if n.State != Provisional {
			n.Revision++
			if n.Revision > 1 {
				n.State = Correction
			}
		}
		keep = append(keep, kept{bytes.Clone(k), &n, &e})
	}
	for _, line := range again {
		if err := writeEntry(u.bucket, line.key, line.e); err != nil {
			return 0, err
		}
	}
	for _, line := range keep {
		if err := writeEntry(u.bucket, line.key, line.e); err != nil {
			return 0, err
		}
		if line.e.State != Provisional {
			if err := u.note(line.key, line.was); err != nil {
				return 0, err
			}
		}
	}
	if open == nil {
		return len(keep), u.bucket.Delete(keyOpen)
	}
	return len(keep), u.bucket.Put(keyOpen, open)
}
