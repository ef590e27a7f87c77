package metering

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"
	"go.etcd.io/bbolt"
)

// refusedEvery is how often refused requests are written down: so much of them
// may be missing after the end of the process.
const refusedEvery = time.Second

// refusal is a kind of refused requests.
type refusal struct {
	subject SubjectID
	status  uint16
}

// refusals counts the requests that were refused since they were last written
// down. They cost nothing, so they need no record each.
type refusals struct {
	counts *xsync.Map[refusal, *atomic.Uint32]
	kept   time.Time // for one goroutine
}

// Refused counts a request that was answered with a status and did not become an
// invocation. The subject has no function; who is unknown has no names at all.
func (l *Ledger) Refused(s Subject, status int) {
	id, err := l.Subject(s)
	if err != nil {
		return // the disk is full: invocations are refused too
	}
	key := refusal{id, uint16(status)}
	n, ok := l.refusals.counts.Load(key)
	if !ok {
		n, _ = l.refusals.counts.LoadOrStore(key, new(atomic.Uint32))
	}
	n.Add(1)
}

// recordRefused writes the counts down, each second and at the end. The caller
// holds mu.
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
		r := Record{Type: TypeRejected, At: l.Now(), Subject: uint32(key.subject), Units: count, Status: key.status}
		if l.own.log.append(&r) != nil {
			n.Add(count) // the next time
		}
	}
}

// refusalKey says what a sum of refused requests is of.
type refusalKey struct {
	subject SubjectID
	status  uint16
	start   int64 // of the billing period, in seconds
}

type refusalTally struct {
	n       uint64
	changed bool
}

// refuse takes in a record of refused requests.
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
			return fmt.Errorf("the sum of refused requests under %x is none", k)
		}
		key := refusalKey{SubjectID(binary.BigEndian.Uint32(k)), binary.BigEndian.Uint16(k[4:]), int64(binary.BigEndian.Uint64(k[6:]))}
		p.refused[key] = &refusalTally{n: binary.BigEndian.Uint64(v)}
		p.highest = max(p.highest, key.subject+1)
		return nil
	})
}

// Refusals are requests that did not become invocations.
type Refusals struct {
	Subject  // without a function
	Instance string
	Status   int // that they were answered with
	Start    time.Time
	Requests uint64
}

// Refusals returns how many requests were refused in each billing period, up to
// a second ago.
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
				Subject: b.dictionary.lookup(key.subject), Instance: b.instance.id, Status: int(key.status),
				Start: time.Unix(key.start, 0).UTC(), Requests: t.n,
			})
		}
	}
	return all, nil
}
