package metering

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// checkpoint is a file with the sums and the last record they include, so that a
// start need not read all records.
type checkpoint struct{ db *bbolt.DB }

var (
	bucketSums     = []byte("sums")
	bucketMeta     = []byte("meta")
	bucketRefused  = []byte("refused")
	bucketAdjusted = []byte("adjusted") // the records of adjustments, by their numbers
	bucketCuts     = []byte("cuts")     // where hours are cut, by organization and number
	keyLast        = []byte("last")
	keyMirror      = []byte("mirror")  // the name of the place that sums are sent to
	keyLatest      = []byte("latest")  // the latest time of a record, in microseconds
	keyClock       = []byte("clock")   // a keptClock
	keyNumbers     = []byte("numbers") // Ledger.Numbers of the process that has the file
)

// checkpointWait bounds the wait for another process that has the file open.
const checkpointWait = 5 * time.Second

func openCheckpoint(path string) (*checkpoint, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: checkpointWait})
	if err == nil {
		err = db.Update(func(tx *bbolt.Tx) error {
			for _, name := range [][]byte{bucketSums, bucketMeta, bucketRefused, bucketAdjusted, bucketCuts} {
				if _, err := tx.CreateBucketIfNotExists(name); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return &checkpoint{db}, nil
}

func (k sumKey) encode() []byte {
	b := make([]byte, 0, 15)
	b = binary.BigEndian.AppendUint32(b, uint32(k.subject))
	b = binary.BigEndian.AppendUint16(b, k.region)
	b = append(b, byte(k.span))
	return binary.BigEndian.AppendUint64(b, uint64(k.start))
}

func decodeSumKey(b []byte) (sumKey, bool) {
	if len(b) != 15 {
		return sumKey{}, false
	}
	return sumKey{
		SubjectID(binary.BigEndian.Uint32(b)), binary.BigEndian.Uint16(b[4:]), Span(b[6]), int64(binary.BigEndian.Uint64(b[7:])),
	}, true
}

func (s *Sums) encode() []byte {
	b := make([]byte, 0, 48)
	for _, n := range []uint64{s.Invocations, s.Completed, s.Voided, s.First, s.Added, s.Deducted} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

// decodeSums decodes what encode wrote, and the shorter form from before there were
// adjustments.
func decodeSums(b []byte) (s Sums, ok bool) {
	if len(b) != 32 && len(b) != 48 {
		return s, false
	}
	into := []*uint64{&s.Invocations, &s.Completed, &s.Voided, &s.First, &s.Added, &s.Deducted}
	for i := range len(b) / 8 {
		*into[i] = binary.BigEndian.Uint64(b[8*i:])
	}
	return s, true
}

// load fills p from the file.
func (c *checkpoint) load(p *projection) error {
	return c.db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket(bucketMeta).Get(keyLast); len(b) == 8 {
			p.last = binary.BigEndian.Uint64(b)
		}
		if b := tx.Bucket(bucketMeta).Get(keyLatest); len(b) == 8 {
			p.latest = time.UnixMicro(int64(binary.BigEndian.Uint64(b))).UTC()
		}
		if err := errors.Join(loadRefusals(tx, p), loadAdjustments(tx, p), loadCuts(tx, p)); err != nil {
			return err
		}
		return tx.Bucket(bucketSums).ForEach(func(k, v []byte) error {
			key, ok := decodeSumKey(k)
			sums, whole := decodeSums(v)
			if !ok || !whole {
				return fmt.Errorf("the value under %x is not a sum", k)
			}
			p.set(key, sums)
			return nil
		})
	})
}

// save writes what changed since the last save.
func (c *checkpoint) save(p *projection) error {
	err := c.db.Update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(bucketSums)
		for _, key := range p.changed {
			if err := bucket.Put(key.encode(), p.sums[key].encode()); err != nil {
				return err
			}
		}
		if err := errors.Join(saveRefusals(tx, p), saveAdjustments(tx, p), saveCuts(tx, p)); err != nil {
			return err
		}
		meta := tx.Bucket(bucketMeta)
		if err := meta.Put(keyLatest, binary.BigEndian.AppendUint64(nil, uint64(p.latest.UnixMicro()))); err != nil {
			return err
		}
		return meta.Put(keyLast, binary.BigEndian.AppendUint64(nil, p.last))
	})
	if err != nil {
		return fmt.Errorf("keeping the sums of the ledger: %w", err)
	}
	for _, key := range p.changed {
		p.sums[key].changed = false
	}
	p.changed = p.changed[:0]
	p.adjustedKept = len(p.adjusted)
	p.savedCuts()
	for _, t := range p.refused {
		t.changed = false
	}
	return nil
}

// mark stores the name of the place that sums are sent to; marked returns it.
func (c *checkpoint) mark(word string) error {
	return c.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyMirror, []byte(word)) })
}

func (c *checkpoint) marked() (word string) {
	_ = c.db.View(func(tx *bbolt.Tx) error { // the function returns no error
		word = string(tx.Bucket(bucketMeta).Get(keyMirror))
		return nil
	})
	return word
}

// nextNumbers stores and returns a number that is at least now, and above all that a
// former process counted from the number it got, even if the clock was set back since:
// none counts as far as numbersEach.
func (c *checkpoint) nextNumbers(now uint64) (n uint64, err error) {
	err = c.db.Update(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		n = now
		if b := meta.Get(keyNumbers); len(b) == 8 {
			n = max(n, binary.BigEndian.Uint64(b)+numbersEach)
		}
		return meta.Put(keyNumbers, binary.BigEndian.AppendUint64(nil, n))
	})
	return n, err
}

// keepClock stores a reading of the shared clock; clock returns it.
func (c *checkpoint) keepClock(k keptClock) error {
	b := make([]byte, 0, 24+len(k.boot))
	for _, n := range []int64{k.shared, k.machine, int64(k.up)} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return c.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyClock, append(b, k.boot...)) })
}

func (c *checkpoint) clock() (k keptClock, ok bool) {
	_ = c.db.View(func(tx *bbolt.Tx) error { // the function returns no error
		b := tx.Bucket(bucketMeta).Get(keyClock)
		if ok = len(b) >= 24; ok {
			k.shared, k.machine = int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))
			k.up, k.boot = time.Duration(binary.BigEndian.Uint64(b[16:])), string(b[24:])
		}
		return nil
	})
	return k, ok
}

// numbersEach is how many numbers a process has: an hour in microseconds.
const numbersEach = 3_600_000_000

func (c *checkpoint) close() error { return c.db.Close() }
