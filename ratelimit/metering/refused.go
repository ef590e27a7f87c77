package metering

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// refusedEvery is how often counts of refused requests are recorded. The end of the
// process loses at most those of one such interval.
const refusedEvery = time.Second

// RegionNone is where usage stands that reached no region: requests that were refused and
// count all the same. It is billed as other usage is, and takes nothing of a quota.
const RegionNone = "-"

// TakesQuota reports whether usage in a region takes units of quotas.
func TakesQuota(region string) bool { return region != RegionNone }

// refusal is a kind of refused requests.
type refusal struct {
	subject SubjectID
	status  uint16
	billed  bool // they count as usage
}

// refusals counts refused requests since the last record. Nobody pays for them, so
// they need no record each.
type refusals struct {
	counts *xsync.Map[refusal, *atomic.Uint32]
	kept   time.Time // for one goroutine
}

// Refused counts a request that was refused with an HTTP status. The subject has no
// function, and no names at all if the caller is unknown. Counts are recorded
// every second.
func (l *Ledger) Refused(s Subject, status int) {
	id, err := l.Subject(s)
	if err != nil {
		return // the disk is full: invocations are refused too
	}
	l.refusals.add(refusal{subject: id, status: uint16(status)})
}

// RefusedBilled counts a refused request as usage of a subject in RegionNone. Such usage
// is recorded every second, in one record for each subject.
func (l *Ledger) RefusedBilled(s Subject) {
	if id, err := l.Subject(s); err == nil { // otherwise as in Refused
		l.refusals.add(refusal{subject: id, billed: true})
	}
}

func (r *refusals) add(key refusal) {
	n, ok := r.counts.Load(key)
	if !ok {
		n, _ = r.counts.LoadOrStore(key, new(atomic.Uint32))
	}
	n.Add(1)
}

// recordRefused records the counts if a second has passed or all is set. The
// caller holds mu.
func (l *Ledger) recordRefused(now time.Time, all bool) {
	if age := now.Sub(l.refusals.kept); !all && age >= 0 && age < refusedEvery {
		return
	}
	l.refusals.kept = now
	for key, n := range l.refusals.counts.Range {
		count := n.Swap(0)
		if count == 0 {
			continue
		}
		if l.recordRefusals(key, count) != nil {
			n.Add(count) // recorded the next time
		}
	}
}

func (l *Ledger) recordRefusals(of refusal, n uint32) error {
	r := Record{
		Type:    TypeRejected,
		At:      l.recordTime(),
		Subject: uint32(of.subject),
		Units:   n,
		Status:  of.status,
	}
	if of.billed {
		region, err := l.Region(RegionNone)
		if err != nil {
			return err
		}
		r.Type, r.Flags, r.Region = TypeAdmitted, FlagUnsent, region
	}
	return l.own.log.append(&r)
}

// refusalKey identifies a sum of refused requests.
type refusalKey struct {
	subject SubjectID
	status  uint16
	start   int64 // of the billing period, in seconds
}

type refusalTally struct {
	n       uint64
	changed bool
}

// refuse adds a record of refused requests to the sums.
func (p *projection) refuse(r *Record) {
	id := SubjectID(r.Subject)
	key := refusalKey{id, r.Status, p.lookup(id).Cycle.At(r.At).Start.Unix()}
	t := p.refused[key]
	if t == nil {
		t = new(refusalTally)
		p.refused[key] = t
	}
	t.n += uint64(r.Units)
	t.changed = true
}

func saveRefusals(tx *bbolt.Tx, p *projection) error {
	bucket := tx.Bucket(bucketRefused)
	for key, t := range p.refused {
		if !t.changed {
			continue
		}
		k := binary.BigEndian.AppendUint32(nil, uint32(key.subject))
		k = binary.BigEndian.AppendUint16(k, key.status)
		k = binary.BigEndian.AppendUint64(k, uint64(key.start))
		if err := bucket.Put(k, binary.BigEndian.AppendUint64(nil, t.n)); err != nil {
			return err
		}
	}
	return nil
}

func loadRefusals(tx *bbolt.Tx, p *projection) error {
	return tx.Bucket(bucketRefused).ForEach(func(k, v []byte) error {
		if len(k) != 14 || len(v) != 8 {
			return &durable.DamageError{File: tx.Path(), Offset: -1, What: fmt.Sprintf("the value under %x is not a sum of refused requests", k)}
		}
		key := refusalKey{SubjectID(binary.BigEndian.Uint32(k)), binary.BigEndian.Uint16(k[4:]), int64(binary.BigEndian.Uint64(k[6:]))}
		p.refused[key] = &refusalTally{n: binary.BigEndian.Uint64(v)}
		p.highest = max(p.highest, key.subject+1)
		return nil
	})
}

// Refusals counts the refused requests of a subject in a billing period.
type Refusals struct {
	Subject  // without a function
	Instance string
	Status   int // HTTP status of the responses
	Start    time.Time
	Requests uint64
}

// Refusals returns how many requests were refused in each billing period. Those of
// the last second may be missing.
func (l *Ledger) Refusals() ([]Refusals, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.own.log.each(l.own.projection.add); err != nil {
		return nil, err
	}
	var all []Refusals
	for _, b := range l.logs() {
		for key, t := range b.projection.refused {
			all = append(all, Refusals{
				Subject:  b.dictionary.lookup(key.subject),
				Instance: b.instance.id,
				Status:   int(key.status),
				Start:    time.Unix(key.start, 0).UTC(),
				Requests: t.n,
			})
		}
	}
	return all, nil
}
