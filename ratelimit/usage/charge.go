package usage

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
)

// Charge is a row of a FOCUS file: a line with its price. A correction becomes two
// charges, a reversal and a new charge, so that charges can be added up.
type Charge struct {
	Line // of a reversal quantity, packages and amount are negated

	Package int64           // invocations in a package; 0: nothing is sold
	Minor   int64           // the price of a package, in the currency's minor unit
	Billed  metering.Period // the billing period of the charge
	// Late means that the bill of the line's period was final before this charge was
	// known; Billed is a later period then.
	Late bool
}

// reversal returns the charge that cancels c.
func (c Charge) reversal() Charge {
	c.Quantity, c.Packages, c.AmountMinor = -c.Quantity, -c.Packages, -c.AmountMinor
	return c
}

// differs reports whether two charges differ in a number that is added up.
func (c *Charge) differs(other *Charge) bool {
	return c.Quantity != other.Quantity || c.Packages != other.Packages || c.AmountMinor != other.AmountMinor
}

// periods finds the period of an organization by its id.
type periods func(organization, id string) (metering.Period, metering.Cycle, bool)

// SetPeriods sets how to find a period of an organization by its id. Without it,
// periods are derived from their ids, which may give an early end to one that
// starts at the end of a month.
func (b *LineStore) SetPeriods(named func(organization, id string) (metering.Period, metering.Cycle, bool)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.periods = named
}

// period returns a period and its cycle. The caller holds b.mu.
func (b *LineStore) period(organization, id string) (metering.Period, metering.Cycle) {
	if b.periods != nil {
		if p, cycle, ok := b.periods(organization, id); ok {
			return p, cycle
		}
	}
	cycle, p, _ := metering.CycleOf(id)
	return p, cycle
}

var (
	// bucketPrior has the prior of a change, by the change and its number.
	bucketPrior = []byte("changes")
	// keySettled is beside the buckets of lines: the end of the last hour up to which
	// all usage is known, in Unix seconds.
	keySettled = []byte("settled")
	// keyClosed marks buckets whose period was over with all lines final: the bill may
	// have been sent.
	keyClosed = []byte("closed")
)

// prior holds the state of a line before a change.
type prior struct {
	Was  *entry `json:"w,omitempty"` // nil if the line was not final
	Late int64  `json:"l,omitempty"` // when the change came, in Unix seconds, if the bill was final; otherwise 0
}

// settle returns up to when all usage was known before, and stores up to when it is
// known now.
func settle(lines *bbolt.Bucket, now time.Time, over func(end time.Time) bool) (before time.Time, err error) {
	before = settledIn(lines)
	hour := now.Truncate(time.Hour)
	if !over(hour) {
		hour = hour.Add(-time.Hour)
	}
	if !hour.After(before) || !over(hour) {
		return before, nil
	}
	return before, lines.Put(keySettled, binary.BigEndian.AppendUint64(nil, uint64(hour.Unix())))
}

// Settled returns the end of the last hour up to which all usage is known.
func (b *LineStore) Settled() (end time.Time, err error) {
	err = b.with(false, func(tx *bbolt.Tx) error {
		if lines := tx.Bucket(bucketLines); lines != nil {
			end = settledIn(lines)
		}
		return nil
	})
	return end, err
}

func settledIn(lines *bbolt.Bucket) (end time.Time) {
	if v := lines.Get(keySettled); len(v) == 8 {
		end = time.Unix(int64(binary.BigEndian.Uint64(v)), 0)
	}
	return end
}

// close finds out whether the bill was final before the update, and marks it.
func (u *update) close() error {
	if u.closed = u.bucket.Get(keyClosed) != nil; u.closed || u.period.End.IsZero() || u.settled.Before(u.period.End) || u.bucket.Get(keyOpen) != nil {
		return nil
	}
	if first, _ := u.bucket.Cursor().First(); first == nil {
		return nil
	}
	u.closed = true
	return u.bucket.Put(keyClosed, []byte{1})
}

// remember stores the prior of change n.
func (u *update) remember(change []byte, n uint64, was *entry) error {
	var c prior
	if was.State != Provisional {
		c.Was = was
	}
	if u.closed {
		c.Late = u.now.Unix()
	}
	if c == (prior{}) {
		return nil
	}
	priors, err := u.changes.Tx().CreateBucketIfNotExists(bucketPrior)
	if err != nil {
		return err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return priors.Put(binary.BigEndian.AppendUint64(change, n), text)
}

// Charges returns a charge for each line that Lines returns: the current state. The
// line store is locked while it runs.
func (b *LineStore) Charges(want func(organization, period string) bool) iter.Seq2[Charge, error] {
	return func(yield func(Charge, error) bool) {
		var of Key // the last whose period was looked up
		var billed metering.Period
		err := b.entries(want, func(k Key, e *entry) error {
			if k.Organization != of.Organization || k.Period != of.Period {
				of = k
				billed, _ = b.period(k.Organization, k.Period)
			}
			if !yield(e.charge(k, b.begun, billed), nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(Charge{}, err)
		}
	}
}

// Charges returns what the batch adds to the batches before: a corrected line is
// reversed as it was and charged anew. The result is the same at any later time.
// The line store is locked while it runs.
func (b Batch) Charges() iter.Seq2[Charge, error] {
	return func(yield func(Charge, error) bool) {
		err := b.store.with(false, func(tx *bbolt.Tx) error {
			changes := tx.Bucket(bucketChanges)
			for n := b.From; n <= b.To; n++ {
				is, was, err := b.store.changed(tx, changes.Get(binary.BigEndian.AppendUint64(nil, n)), n)
				if err != nil {
					return err
				}
				if was != nil && !is.differs(was) {
					continue
				}
				if was != nil && !yield(was.reversal(), nil) || !yield(*is, nil) {
					return errStopped
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(Charge{}, err)
		}
	}
}

// changed returns the charges of a line after change n and before it; was is nil for
// its first change.
func (b *LineStore) changed(tx *bbolt.Tx, change []byte, n uint64) (is, was *Charge, err error) {
	key, k, err := b.parseChange(change)
	if err != nil {
		return nil, nil, err
	}
	this, next, err := priorOf(tx, change, n)
	if err != nil {
		return nil, nil, err
	}
	billed, cycle := b.period(k.Organization, k.Period)
	if this.Late != 0 {
		billed = cycle.At(time.Unix(this.Late, 0))
	}
	charge := func(e *entry) *Charge {
		c := e.charge(k, b.begun, billed)
		c.Late = this.Late != 0
		return &c
	}
	if this.Was != nil {
		was = charge(this.Was)
	}
	if next.Was != nil {
		return charge(next.Was), was, nil
	}
	e, known, err := readEntry(tx.Bucket(bucketLines).Bucket(groupKey(k.Organization, k.Period)), key)
	if err == nil && !known {
		err = fmt.Errorf("the change %x is of no line", change)
	}
	return charge(&e), was, err
}

// priorOf returns the prior of change n of a line and that of the line's next
// change, which is the state after n.
func priorOf(tx *bbolt.Tx, change []byte, n uint64) (this, next prior, err error) {
	priors := tx.Bucket(bucketPrior)
	if priors == nil {
		return this, next, nil
	}
	key := priorKey(change, n)
	if text := priors.Get(key); text != nil {
		if err := json.Unmarshal(text, &this); err != nil {
			return this, next, fmt.Errorf("the prior state under %x: %w", key, err)
		}
	}
	if after, text := nextPrior(priors, change, n); after != nil {
		if err := json.Unmarshal(text, &next); err != nil {
			return this, next, fmt.Errorf("the prior state under %x: %w", after, err)
		}
	}
	return this, next, nil
}

func priorKey(change []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(bytes.Clone(change), n)
}

// nextPrior returns the key and the text of the prior of a line's next change after
// change n. The key is nil if n is the line's last change.
func nextPrior(priors *bbolt.Bucket, change []byte, n uint64) (key, text []byte) {
	key, text = priors.Cursor().Seek(priorKey(change, n+1))
	if len(key) != len(change)+8 || !bytes.HasPrefix(key, change) {
		return nil, nil
	}
	return key, text
}

// changedAgain reports whether a line changed again after change n.
func changedAgain(tx *bbolt.Tx, change []byte, n uint64) bool {
	priors := tx.Bucket(bucketPrior)
	if priors == nil { // no final line has changed
		return false
	}
	next, _ := nextPrior(priors, change, n)
	return next != nil
}

// charge returns the charge of an entry.
func (e *entry) charge(k Key, at begun, billed metering.Period) Charge {
	return Charge{
		Line:    e.line(k, at),
		Package: max(0, e.Price.Package),
		Minor:   max(0, e.Price.Minor),
		Billed:  billed,
	}
}
