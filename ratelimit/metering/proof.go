package metering

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// Part is what a line of a bill is of: a function in a region, in an hour or the
// part of one that is in a billing period.
type Part struct {
	Organization, Project, Function, Region string
	Period                                  string // its id
	Start                                   time.Time
}

// Proof is the records of one log behind a line.
type Proof struct {
	Instance string
	Sums
	Last uint64 // the number of the last of them; First is that of the first
	// How many records there are of each type.
	Admitted, Ended, Voided int
	Adjustments             []Adjustment
	SHA256                  string // of the 64 bytes of each record, in their order
	Files                   []ProofFile
	Read                    uint64 // records of the log that were read
	Damage                  error  // the first that is wrong with the files, or with the chain of hashes; nil: nothing
}

// ProofFile is a file in the log's directory.
type ProofFile struct {
	Name    string
	SHA256  string // of an archive, by the manifest
	Records int    // of the line
}

// Last returns the number of the last record of each log of this process.
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

// Prove reads the logs of this process again, archives and all, for the records
// of a line. Of what came after the record since, no more is taken in than makes
// up what the line has: it goes on growing while it is read.
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
	var file *logFile
	p.Damage = b.readAll(last, func(from *logFile, r *Record) error {
		if p.Read++; r.Seq != p.Read {
			return fmt.Errorf("record %d is missing: %d comes next", p.Read, r.Seq)
		}
		if !b.isOf(of, r, subjects) || r.Seq > since && p.same(&has) {
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

// same reports whether two sums are of the same records: all of them count one
// of these up.
func (s *Sums) same(other *Sums) bool {
	return s.Invocations == other.Invocations && s.Completed == other.Completed && s.Voided == other.Voided &&
		s.Added == other.Added && s.Deducted == other.Deducted
}

// Same reports whether the records make up what a line has of the log.
func (p *Proof) Same(has Sums) bool { return p.same(&has) }

// isOf reports whether a record is of a line. subjects are those that were
// looked up; nil for others.
func (b *instanceLog) isOf(of *Part, r *Record, subjects map[uint32]*Subject) bool {
	if r.Type != TypeAdmitted && r.Type != TypeDone && r.Type != TypeVoid || r.At.Before(of.Start) || !r.At.Before(of.Start.Add(time.Hour)) {
		return false
	}
	s, known := subjects[r.Subject]
	if !known {
		if found := b.dictionary.lookup(SubjectID(r.Subject)); found.Organization == of.Organization && found.Project == of.Project && found.Function == of.Function {
			s = &found
		}
		subjects[r.Subject] = s
	}
	if s == nil || b.dictionary.regionName(r.Region) != of.Region {
		return false
	}
	period := s.Cycle.At(r.At)
	return period.ID == of.Period && hourOf(period, r.At).Start.Equal(of.Start)
}
