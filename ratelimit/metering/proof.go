package metering

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// Part identifies a line of a bill: a function in a region and an hour. An hour in
// which a billing period ends, or terms change, has several.
type Part struct {
	Organization, Project, Function, Region string
	Period                                  string // the id of the billing period
	Start                                   time.Time
	Origin                                  Origin
}

// Proof lists the records of one instance log that a line was made of.
type Proof struct {
	Instance string
	Sums
	Last uint64 // the number of the last record; Sums.First is that of the first
	// Records by type.
	Admitted, Ended, Voided int
	Adjustments             []Adjustment
	SHA256                  string // of the 64 bytes of each record, in their order
	Files                   []ProofFile
	Read                    uint64 // records of the log that were read, without those that are lost
	Lost                    Lost   // the others: what they say cannot be proved
	Damage                  error  // the first defect in the files or the hash chain; nil: none
}

// ProofFile is a file of the instance log that holds records of the line.
type ProofFile struct {
	Name    string
	SHA256  string // of an archive, from the manifest; "" for a segment
	Records int    // how many records of the line it holds
}

// Last returns the number of the last record of each instance log of this process.
func (l *Ledger) Last() (map[string]uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.own.log.each(l.own.projection.add); err != nil {
		return nil, err
	}
	last := make(map[string]uint64)
	for _, b := range l.logs() {
		last[b.instance.id] = b.projection.last
	}
	return last, nil
}

// Prove reads the instance logs of this process from the start and collects the
// records of a line. The line may grow while the logs are read: of the records
// after since, by instance, only as many are collected as has, the line's sums by
// instance, accounts for.
func (l *Ledger) Prove(of Part, since map[string]uint64, has map[string]Sums) ([]Proof, error) {
	last, err := l.Last()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	logs := l.logs()
	l.mu.Unlock()
	all := make([]Proof, 0, len(logs))
	for _, b := range logs {
		id := b.instance.id
		all = append(all, b.prove(&of, last[id], since[id], has[id]))
	}
	return all, nil
}

func (b *instanceLog) prove(of *Part, last, since uint64, has Sums) Proof {
	b.archiving.Lock() // files stay where they are
	defer b.archiving.Unlock()
	p, hash, subjects := Proof{Instance: b.instance.id}, sha256.New(), make(map[uint32]*Subject)
	found, latest := make(cuts), time.Time{} // as they were when a record was added to the sums
	var file *logFile
	next := uint64(0)
	p.Damage = b.readAll(last, func(from *logFile, r *Record) error {
		if next++; r.Seq != next {
			return fmt.Errorf("record %d is missing: %d comes next", next, r.Seq)
		}
		if r.isLost() {
			p.Lost.add(r.Seq)
			return nil
		}
		p.Read++
		if r.Type == TypeCut {
			found.add(b.dictionary.lookup(SubjectID(r.Subject)).Organization, r, latest)
		}
		if r.At.After(latest) {
			latest = r.At
		}
		if !b.isOf(of, r, subjects, found) || r.Seq > since && p.same(&has) {
			return nil
		}
		p.take(r)
		p.Last = r.Seq
		_, _ = hash.Write(r.bytes())
		if file != from {
			file = from
			p.Files = append(p.Files, ProofFile{Name: from.name, SHA256: from.sha256})
		}
		p.Files[len(p.Files)-1].Records++
		switch {
		case r.adjusts():
			p.Adjustments = append(p.Adjustments, b.adjustment(r))
		case r.Type == TypeAdmitted:
			p.Admitted++
		case r.Type == TypeDone:
			p.Ended++
		default:
			p.Voided++
		}
		return nil
	})
	p.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return p
}

// same reports whether two sums of one log are made of the same records: each
// record increases one of the counts.
func (s *Sums) same(other *Sums) bool {
	return s.Invocations == other.Invocations && s.Completed == other.Completed && s.Voided == other.Voided &&
		s.Added == other.Added && s.Deducted == other.Deducted
}

// Same reports whether the records add up to has, the line's sums of the log.
func (p *Proof) Same(has Sums) bool { return p.same(&has) }

// isOf reports whether a record belongs to a line. subjects caches lookups; it
// maps subjects of other lines to nil.
func (b *instanceLog) isOf(of *Part, r *Record, subjects map[uint32]*Subject, found cuts) bool {
	if r.Type != TypeAdmitted && r.Type != TypeDone && r.Type != TypeVoid || r.At.Before(of.Start) || !r.At.Before(of.Start.Add(time.Hour)) {
		return false
	}
	s, known := subjects[r.Subject]
	if !known {
		if n := b.dictionary.lookup(SubjectID(r.Subject)); n.Organization == of.Organization && n.Project == of.Project && n.Function == of.Function &&
			b.dictionary.originOf(SubjectID(r.Subject)) == of.Origin {
			s = &n
		}
		subjects[r.Subject] = s
	}
	if s == nil || b.dictionary.regionName(r.Region) != of.Region {
		return false
	}
	period := s.Cycle.At(r.At)
	return period.ID == of.Period && found.part(s.Organization, hourOf(period, r.At), r.At).Start.Equal(of.Start)
}

// NoteTold keeps a note of what services were told, which package usage makes.
func (l *Ledger) NoteTold(text string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.own.checkpoint.noteTold(text)
}

// ToldNotes returns the notes that the logs of this process have.
func (l *Ledger) ToldNotes() (all []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.logs() {
		all = append(all, b.checkpoint.toldNote())
	}
	return all
}

// ToldNotes returns the notes in the directory of a ledger that no process uses, none if it
// shares a store, where it is known what services were told. It changes nothing.
func ToldNotes(dir string) (all []string, err error) {
	if err := checkLedger(dir); err != nil || there(filepath.Join(dir, sharedName)) {
		return nil, err
	}
	err = eachCheckpoint(dir, func(path string) error {
		temporary, err := os.MkdirTemp("", "checkpoint-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temporary)
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		copied := filepath.Join(temporary, checkpointName)
		if err := os.WriteFile(copied, data, 0o600); err != nil { //nolint:gosec // a directory of its own, and a constant name
			return err
		}
		return withMeta(copied, func(meta *bbolt.Bucket) error {
			all = append(all, string(meta.Get(keyTold)))
			return nil
		})
	})
	return all, err
}

// ForgetTold removes the notes from the directory of a ledger that no process uses: it is
// known that what they say is lost.
func ForgetTold(dir string) error {
	return eachCheckpoint(dir, func(path string) error {
		return withMeta(path, func(meta *bbolt.Bucket) error { return meta.Delete(keyTold) })
	})
}

func eachCheckpoint(dir string, f func(path string) error) error {
	logs, err := durable.Entries(filepath.Join(dir, "inst"), "")
	for _, log := range logs {
		if path := filepath.Join(log, checkpointName); err == nil && there(path) {
			err = f(path)
		}
	}
	return err
}

// withMeta runs f with what a checkpoint has beside sums. One that is damaged has nothing.
func withMeta(path string, f func(*bbolt.Bucket) error) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: checkpointWait})
	if errors.As(err, new(*durable.DamageError)) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(db.Update(func(tx *bbolt.Tx) error {
		if meta := tx.Bucket(bucketMeta); meta != nil {
			return f(meta)
		}
		return nil
	}), db.Close())
}
