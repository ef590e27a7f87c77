package metering

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// Adjustment adds units to a bill, or deducts them, by decision of an operator. It
// is a record of its own: no other record is ever changed or removed.
type Adjustment struct {
	Subject
	Region   string
	At       time.Time // a time in the hour that is adjusted
	Units    int64     // not 0, at most 2^32-1 either way
	Reason   string
	Operator string // who decided it
	Origin   Origin // of the line that is adjusted; zero for a new one

	// Set by Adjust:
	Made     time.Time // when it was recorded
	Instance string    // the instance log that holds it
	Seq      uint64    // the number of its record
}

// note holds the parts of an adjustment that do not fit into a record.
type note struct {
	Operator string `json:"by,omitempty"`
	Reason   string `json:"why"`
	Made     int64  `json:"made"` // in microseconds
}

// adjusts reports whether a record is an adjustment.
func (r *Record) adjusts() bool { return r.Type == TypeVoid && r.Ref == 0 }

// adjusted returns by how many units an adjustment changes the bill.
func (r *Record) adjusted() int64 {
	if r.Flags&FlagMinus != 0 {
		return -int64(r.Units)
	}
	return int64(r.Units)
}

// Adjust records an adjustment and returns it with the fields that Adjust sets. The
// record is on the disk when Adjust returns.
func (l *Ledger) Adjust(a Adjustment) (Adjustment, error) {
	switch {
	case a.Units == 0:
		return a, errors.New("an adjustment by 0 changes nothing")
	case a.Units > math.MaxUint32 || a.Units < -math.MaxUint32:
		return a, fmt.Errorf("an adjustment is by at most %d units: make several", uint32(math.MaxUint32))
	case a.At.After(l.Now()):
		return a, fmt.Errorf("%s is in the future", a.At.UTC().Format(time.RFC3339))
	}
	if a.Origin == (Origin{}) {
		a.Origin = l.Origin()
	}
	subject, err := l.own.dictionary.subjectOf(a.Subject, a.Origin)
	if err != nil {
		return a, err
	}
	region, err := l.Region(a.Region)
	if err != nil {
		return a, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a.Instance, a.Made, a.At = l.Instance(), l.Now().UTC(), a.At.UTC().Truncate(time.Microsecond)
	r := Record{
		Type:    TypeVoid,
		Region:  region,
		At:      a.At,
		Subject: uint32(subject),
		Units:   uint32(max(a.Units, -a.Units)),
	}
	if a.Units < 0 {
		r.Flags = FlagMinus
	}
	// The note must be on the disk before the record that refers to it.
	if r.Note, err = l.own.dictionary.note(note{a.Operator, a.Reason, a.Made.UnixMicro()}); err != nil {
		return a, err
	}
	if err := l.own.dictionary.sync(); err != nil {
		return a, err
	}
	if err := l.own.log.append(&r); err != nil {
		return a, err
	}
	a.Seq = r.Seq
	synced, err := l.own.log.sync()
	l.synced = max(l.synced, synced)
	if err != nil {
		return a, fmt.Errorf("it is recorded, do not repeat it, but the disk fails: %w", err)
	}
	return a, nil
}

// Adjustments returns the adjustments in all instance logs of this process, oldest
// first.
func (l *Ledger) Adjustments() ([]Adjustment, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.own.log.each(l.own.projection.add); err != nil {
		return nil, err
	}
	var all []Adjustment
	for _, b := range l.logs() {
		for i := range b.projection.adjusted {
			all = append(all, b.adjustment(&b.projection.adjusted[i]))
		}
	}
	slices.SortStableFunc(all, func(a, b Adjustment) int { return a.Made.Compare(b.Made) })
	return all, nil
}

// adjustment returns the adjustment of a record, with its names and its note.
func (b *instanceLog) adjustment(r *Record) Adjustment {
	n := b.dictionary.noted(r.Note)
	return Adjustment{
		Subject:  b.dictionary.lookup(SubjectID(r.Subject)),
		Region:   b.dictionary.regionName(r.Region),
		At:       r.At,
		Units:    r.adjusted(),
		Reason:   n.Reason,
		Operator: n.Operator,
		Origin:   b.dictionary.originOf(SubjectID(r.Subject)),
		Made:     time.UnixMicro(n.Made).UTC(),
		Instance: b.instance.id,
		Seq:      r.Seq,
	}
}

// note writes a note and returns its number.
func (d *dictionary) note(n note) (uint32, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.write(entry{Note: &n}); err != nil {
		return 0, err
	}
	return uint32(len(d.notes)), nil
}

// noted returns the note with a number, the zero note if there is none.
func (d *dictionary) noted(number uint32) note {
	d.mu.Lock()
	defer d.mu.Unlock()
	if number == 0 || int(number) > len(d.notes) {
		return note{}
	}
	return d.notes[number-1]
}

func saveAdjustments(tx *bbolt.Tx, p *projection) error {
	bucket := tx.Bucket(bucketAdjusted)
	for i := range p.adjusted[p.adjustedKept:] {
		r := &p.adjusted[p.adjustedKept+i]
		if err := bucket.Put(binary.BigEndian.AppendUint64(nil, r.Seq), r.bytes()); err != nil {
			return err
		}
	}
	return nil
}

func loadAdjustments(tx *bbolt.Tx, p *projection) error {
	err := tx.Bucket(bucketAdjusted).ForEach(func(k, v []byte) error {
		var r Record
		if len(v) != RecordSize || r.decode(v) != nil {
			return &durable.DamageError{File: tx.Path(), Offset: -1, What: fmt.Sprintf("the value under %x is not an adjustment", k)}
		}
		p.adjusted = append(p.adjusted, r)
		p.notes = max(p.notes, r.Note)
		return nil
	})
	p.adjustedKept = len(p.adjusted)
	return err
}
