package metering

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// checkpoint is a file with the sums and the last record they include, so that a
// start need not read all records.
type checkpoint struct {
	db       *bbolt.DB
	active   uint64 // the first record of the segment in use, 0 if unknown
	accepted uint64 // the last lost record without whose units it may be, see acceptLost
	sameBoot bool   // the process before wrote it while the machine ran that runs now
	rebooted bool   // it did not: the machine was started since, or it is another
}

var (
	bucketSums     = []byte("sums")
	bucketMeta     = []byte("meta")
	bucketRefused  = []byte("refused")
	bucketAdjusted = []byte("adjusted") // the records of adjustments, by their numbers
	bucketCuts     = []byte("cuts")     // where hours are cut, by organization and number
	bucketNames    = []byte("names")    // the lines of the dictionary, by their numbers: what one of the two files lost, the other has
	keyLast        = []byte("last")
	keyActive      = []byte("active")  // the first record of the segment in use
	keyBoot        = []byte("boot")    // which start of the machine it was last opened in
	keyAccepted    = []byte("lost")    // checkpoint.accepted
	keyMirror      = []byte("mirror")  // the name of the place that sums are sent to
	keyLatest      = []byte("latest")  // the latest time of a record, in microseconds
	keyClock       = []byte("clock")   // a keptClock
	keyNumbers     = []byte("numbers") // Ledger.Numbers of the process that has the file
	keyOthers      = []byte("others")  // Ledger.KeepOthers
	keyOverrides   = []byte("limits")  // Ledger.KeepOverrides
	keyTold        = []byte("told")    // the note of package usage
	keyFiles       = []byte("files")   // which databases there are in the directory of the ledger, separated by spaces
)

// checkpointWait bounds the wait for another process that has the file open.
const checkpointWait = 5 * time.Second

// openCheckpoint opens a checkpoint and loads its sums into p, or into an empty p if
// there is none. One that is damaged is set aside: the records have all that is in it,
// except whether sums were sent to the same place before. aside says so, and why; also
// of one that is missing though there are records.
func openCheckpoint(path string, p *projection) (c *checkpoint, aside error, err error) {
	if !there(path) && hasRecords(filepath.Dir(path)) {
		aside = fmt.Errorf("%s: it is missing; the sums are made of all records again", path)
	}
	c, err = tryCheckpoint(path, p)
	var damage *durable.DamageError
	if !errors.As(err, &damage) {
		return c, aside, err
	}
	kept, err := durable.SetAside(path)
	if err != nil {
		return nil, nil, fmt.Errorf("setting a damaged file aside: %w", err)
	}
	aside = fmt.Errorf("%s: damaged: %s; it is now %s, and the sums are made of all records again", path, damage.What, filepath.Base(kept))
	p.reset()
	c, err = tryCheckpoint(path, p)
	return c, aside, err
}

func tryCheckpoint(path string, p *projection) (*checkpoint, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: checkpointWait})
	if err != nil {
		return nil, fmt.Errorf("opening the checkpoint: %w", durable.Named(path, err))
	}
	c := &checkpoint{db: db}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketSums, bucketMeta, bucketRefused, bucketAdjusted, bucketCuts, bucketNames} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		run, _ := RunClock()
		boot := []byte(run)
		if b := meta.Get(keyActive); len(b) == 8 {
			c.active = binary.BigEndian.Uint64(b)
		}
		if b := meta.Get(keyAccepted); len(b) == 8 {
			c.accepted = binary.BigEndian.Uint64(b)
		}
		before := meta.Get(keyBoot)
		c.sameBoot = len(boot) > 0 && bytes.Equal(before, boot)
		c.rebooted = len(boot) > 0 && len(before) > 0 && !c.sameBoot
		return meta.Put(keyBoot, boot)
	})
	if err == nil {
		err = c.load(p)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the checkpoint: %w", durable.Named(path, err)), db.Close())
	}
	return c, nil
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
				return &durable.DamageError{File: c.db.Path(), Offset: -1, What: fmt.Sprintf("the value under %x is not a sum", k)}
			}
			p.set(key, sums)
			return nil
		})
	})
}

// save writes what changed since the last save.
func (c *checkpoint) save(p *projection, names *dictionary) error {
	entries := names.lines()
	err := c.db.Update(func(tx *bbolt.Tx) error {
		if err := saveNames(tx.Bucket(bucketNames), entries); err != nil {
			return err
		}
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

// saveNames adds the lines of the dictionary that are new.
func saveNames(bucket *bbolt.Bucket, entries []entry) error {
	from := 0
	if last, _ := bucket.Cursor().Last(); len(last) == 4 {
		from = int(binary.BigEndian.Uint32(last)) + 1
	}
	for i := from; i < len(entries); i++ {
		text, err := json.Marshal(entries[i])
		if err == nil {
			err = bucket.Put(binary.BigEndian.AppendUint32(nil, uint32(i)), text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// names returns the lines of the dictionary that the checkpoint has.
func (c *checkpoint) names() (entries []entry, err error) {
	err = c.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketNames).ForEach(func(_, text []byte) error {
			var e entry
			err := json.Unmarshal(text, &e)
			entries = append(entries, e)
			return err
		})
	})
	return entries, err
}

// inUse notes the first record of the segment in use: without that file, records would
// be missing that nobody knows of.
func (c *checkpoint) inUse(first uint64) error {
	if c.active == first {
		return nil
	}
	err := c.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketMeta).Put(keyActive, binary.BigEndian.AppendUint64(nil, first))
	})
	if err == nil {
		c.active = first
	}
	return err
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

// know notes which databases there are: without it, one that is gone would be begun anew
// by itself, and quotas of `quota set` and what exporters were told be forgotten. known
// returns them.
func (c *checkpoint) know(names []string) error {
	if slices.Equal(names, c.known()) {
		return nil
	}
	return c.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketMeta).Put(keyFiles, []byte(strings.Join(names, " ")))
	})
}

func (c *checkpoint) known() (names []string) {
	_ = c.db.View(func(tx *bbolt.Tx) error { // the function returns no error
		names = strings.Fields(string(tx.Bucket(bucketMeta).Get(keyFiles)))
		return nil
	})
	return names
}

// noteTold stores what package usage notes; toldNote returns it.
func (c *checkpoint) noteTold(text string) error {
	return c.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyTold, []byte(text)) })
}

func (c *checkpoint) toldNote() (text string) {
	_ = c.db.View(func(tx *bbolt.Tx) error { // the function returns no error
		text = string(tx.Bucket(bucketMeta).Get(keyTold))
		return nil
	})
	return text
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

// KeepOthers keeps what a caller knows of other gateways, for the process after this
// one; KeptOthers returns it, nil if nothing was kept or checkpoint.db was made anew.
func (l *Ledger) KeepOthers(text []byte) error { return l.keep(keyOthers, text) }

// KeptOthers returns what KeepOthers kept.
func (l *Ledger) KeptOthers() []byte { return l.kept(keyOthers) }

// KeepOverrides keeps the quotas that operators set, as KeepOthers does.
func (l *Ledger) KeepOverrides(text []byte) error { return l.keep(keyOverrides, text) }

// KeptOverrides returns what KeepOverrides kept.
func (l *Ledger) KeptOverrides() []byte { return l.kept(keyOverrides) }

func (l *Ledger) keep(key, text []byte) error {
	return l.own.checkpoint.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(key, text) })
}

func (l *Ledger) kept(key []byte) (text []byte) {
	_ = l.own.checkpoint.db.View(func(tx *bbolt.Tx) error { // the function returns no error
		text = bytes.Clone(tx.Bucket(bucketMeta).Get(key))
		return nil
	})
	return text
}

// numbersEach is how many numbers a process has: an hour in microseconds.
const numbersEach = 3_600_000_000

// sumsLost says that a checkpoint does not have the units of lost records.
func sumsLost(lost Lost) string {
	return fmt.Sprintf("it is new, or older than the log: it has no units of the records %s, which are lost", lost)
}

// accounted returns an error if lost records come after those in the checkpoint, of which
// no operator knows: the sums that had their units were in another.
func (b *instanceLog) accounted() error {
	if b.projection.lost.last() <= b.checkpoint.accepted {
		return nil
	}
	return &durable.DamageError{File: filepath.Join(b.instance.dir, checkpointName), Offset: -1, What: sumsLost(b.projection.lost)}
}

// acceptLost notes in a checkpoint that it was told which records are lost, up to a number.
func acceptLost(path string, last uint64) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: checkpointWait})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucketIfNotExists(bucketMeta)
		if err != nil {
			return err
		}
		return meta.Put(keyAccepted, binary.BigEndian.AppendUint64(nil, last))
	})
	return errors.Join(err, db.Close())
}

func (c *checkpoint) close() error { return c.db.Close() }
