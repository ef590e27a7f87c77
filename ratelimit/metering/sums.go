package metering

import (
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Span is the span of time that a sum covers.
type Span uint8

// The spans of sums.
const (
	Monthly Span = 'm' // a billing period
	Hourly  Span = 'h' // an hour in UTC, or the part of it that is in one period and between cuts
)

// Sums are cumulative counts of units.
type Sums struct {
	Invocations uint64 // admitted and not voided
	Completed   uint64 // of these, how many ended; the others run, or their process ended first
	Voided      uint64 // admitted and then voided, because nothing was sent
	// Added and Deducted are the units of adjustments. Both only grow: of two sums of
	// one log, the greater is the later.
	Added, Deducted uint64
	First           uint64 // the Seq of the first record
}

// Adjusted returns by how many units adjustments change the bill.
func (s *Sums) Adjusted() int64 { return int64(s.Added) - int64(s.Deducted) }

// Billed returns how many units are billed. Quotas count Invocations alone, and none
// in RegionNone.
func (s *Sums) Billed() int64 { return int64(s.Invocations) + s.Adjusted() }

// take adds a record.
func (s *Sums) take(r *Record) {
	n := uint64(r.Units)
	switch {
	case r.adjusts() && r.Flags&FlagMinus != 0:
		s.Deducted += n
	case r.adjusts():
		s.Added += n
	case r.Type == TypeAdmitted:
		s.Invocations += n
		if r.Flags&FlagUnsent != 0 {
			s.Completed += n // nothing else will be heard of them
		}
	case r.Type == TypeDone:
		s.Completed += n
	case r.Type == TypeVoid:
		s.Invocations -= n
		s.Voided += n
	}
	if s.First == 0 {
		s.First = r.Seq
	}
}

// sumKey identifies a sum.
type sumKey struct {
	subject SubjectID
	region  uint16
	span    Span
	start   int64 // of the span, in Unix seconds
}

// projection adds up records. The same records always give the same sums.
type projection struct {
	sums         map[sumKey]*tally
	changed      []sumKey            // since the last checkpoint
	unsent       map[sumKey]struct{} // to the mirror; nil without one
	recent       map[place]*current
	used         map[accountPeriod]*uint64 // invocations
	refused      map[refusalKey]*refusalTally
	lookup       func(SubjectID) Subject
	regionName   func(uint16) string
	adjusted     []Record // the records of adjustments
	adjustedKept int      // how many of adjusted are in the checkpoint

	cuts cuts

	last    uint64    // the Seq of the last record
	lost    Lost      // of the records that were added
	latest  time.Time // the latest time in a record
	highest SubjectID // the highest number of a subject in a record, plus 1
	regions uint32    // the same of regions
	notes   uint32    // the highest number of a note
}

// accountPeriod is an organization in one billing period.
type accountPeriod struct {
	organization string
	start        int64 // of the period, in Unix seconds
}

// tally is a sum and its state.
type tally struct {
	Sums
	last    uint64 // the Seq of the last record in it
	changed bool   // it is in projection.changed
	unsent  bool   // it is in projection.unsent
}

// place is a subject in a region.
type place struct {
	subject SubjectID
	region  uint16
}

// current caches the sums that records of a place are added to while their times
// are in the same billing period and hour.
type current struct {
	period, hour Period
	keys         [2]sumKey
	tallies      [2]*tally
	used         *uint64
}

func newProjection(names *dictionary) *projection {
	p := &projection{lookup: names.lookup, regionName: names.regionName}
	p.reset()
	return p
}

// reset forgets all records.
func (p *projection) reset() {
	*p = projection{
		sums:       make(map[sumKey]*tally),
		recent:     make(map[place]*current),
		used:       make(map[accountPeriod]*uint64),
		refused:    make(map[refusalKey]*refusalTally),
		cuts:       make(cuts),
		lookup:     p.lookup,
		regionName: p.regionName,
	}
}

// follows returns an error if a record does not come next.
func (p *projection) follows(r *Record) error {
	if r.Seq != p.last+1 {
		return fmt.Errorf("record %d is missing: %d comes next", p.last+1, r.Seq)
	}
	return nil
}

// add adds a record to the sums. Every record of an invocation counts in the hour
// in which it was admitted: its At is that time.
func (p *projection) add(r *Record) {
	before := p.latest
	p.last = r.Seq
	// A dead record has the machine's time, which may be ahead of the billing clock.
	if r.At.After(p.latest) && r.Type != TypeDead {
		p.latest = r.At
	}
	id := SubjectID(r.Subject)
	switch r.Type { //nolint:exhaustive // the other types have no subject
	case TypeAdmitted, TypeDone, TypeVoid:
		p.highest, p.regions = max(p.highest, id+1), max(p.regions, uint32(r.Region)+1)
		if r.adjusts() {
			p.notes = max(p.notes, r.Note)
			p.adjusted = append(p.adjusted, *r)
		}
		p.apply(r, p.currentOf(place{id, r.Region}, r.At))
	case TypeDead:
		if r.isLost() {
			p.lost.add(r.Seq)
		}
	case TypeRejected:
		p.highest = max(p.highest, id+1)
		p.refuse(r)
	case TypeCut:
		p.highest = max(p.highest, id+1)
		p.cuts.add(p.lookup(id).Organization, r, before)
		clear(p.recent) // hours may end earlier now
	}
}

// currentOf returns the sums that a record of a place and a time is added to.
func (p *projection) currentOf(of place, at time.Time) *current {
	c := p.recent[of]
	if c != nil && c.period.Contains(at) && c.hour.Contains(at) {
		return c
	}
	s := p.lookup(of.subject)
	c = &current{period: s.Cycle.At(at)}
	c.hour = p.cuts.part(s.Organization, hourOf(c.period, at), at)
	for i, start := range []sumKey{{span: Monthly, start: c.period.Start.Unix()}, {span: Hourly, start: c.hour.Start.Unix()}} {
		start.subject, start.region = of.subject, of.region
		c.keys[i], c.tallies[i] = start, p.sums[start]
		if c.tallies[i] == nil {
			c.tallies[i] = new(tally)
			p.sums[start] = c.tallies[i]
		}
	}
	c.used = new(uint64)
	if TakesQuota(p.regionName(of.region)) {
		c.used = p.usedBy(accountPeriod{s.Organization, c.period.Start.Unix()})
	}
	p.recent[of] = c
	return c
}

// hourOf returns the part of the hour of t that is in the billing period p: a
// period may begin within an hour.
func hourOf(p Period, t time.Time) Period {
	hour := Period{Start: t.Truncate(time.Hour)}
	hour.End = hour.Start.Add(time.Hour)
	if hour.Start.Before(p.Start) {
		hour.Start = p.Start
	}
	if hour.End.After(p.End) {
		hour.End = p.End
	}
	return hour
}

func (p *projection) usedBy(of accountPeriod) *uint64 {
	n := p.used[of]
	if n == nil {
		n = new(uint64)
		p.used[of] = n
	}
	return n
}

func (p *projection) apply(r *Record, c *current) {
	n := uint64(r.Units)
	for i, t := range c.tallies {
		t.last = r.Seq
		if !t.changed {
			t.changed = true
			p.changed = append(p.changed, c.keys[i])
		}
		if p.unsent != nil && !t.unsent {
			t.unsent = true
			p.unsent[c.keys[i]] = struct{}{}
		}
		t.take(r)
	}
	switch { // adjustments do not count against quotas
	case r.Type == TypeAdmitted:
		*c.used += n
	case r.Type == TypeVoid && !r.adjusts():
		*c.used -= n
	}
}

// mirrored starts or stops tracking which sums are not sent to the mirror yet.
func (p *projection) mirrored(on bool, now time.Time) {
	p.unsent = nil
	for _, t := range p.sums {
		t.unsent = false
	}
	if !on {
		return
	}
	p.unsent = make(map[sumKey]struct{})
	for key, t := range p.sums {
		if !p.old(key, now) || p.newest(key) {
			t.unsent = true
			p.unsent[key] = struct{}{}
		}
	}
}

// sent marks a sum as sent, unless it changed after the record high.
func (p *projection) sent(key sumKey, high uint64) {
	if t := p.sums[key]; t.last <= high {
		t.unsent = false
		delete(p.unsent, key)
	}
}

// set sets a sum from the checkpoint.
func (p *projection) set(key sumKey, sums Sums) {
	p.sums[key] = &tally{Sums: sums} // before any record is read
	p.highest, p.regions = max(p.highest, key.subject+1), max(p.regions, uint32(key.region)+1)
	if key.span == Monthly && TakesQuota(p.regionName(key.region)) {
		*p.usedBy(accountPeriod{p.lookup(key.subject).Organization, key.start}) += sums.Invocations
	}
}

// spent returns how many invocations an organization used in a billing period.
func (p *projection) spent(organization string, period Period) uint64 {
	if n := p.used[accountPeriod{organization, period.Start.Unix()}]; n != nil {
		return *n
	}
	return 0
}

// Shard returns the shard of an organization, from 0 to Shards-1.
func Shard(organization string) int { return int(xxhash.Sum64String(organization) % Shards) }

// sumsKey returns the key of the hash with the sums. The braces put all keys of a
// shard into one slot of a Redis Cluster.
func sumsKey(of shardOf) string { return fmt.Sprintf("gw:{q:%02d}:c:%s", of.shard, of.instance) }

// shardOf identifies the sums of one instance log in one shard.
type shardOf struct {
	instance string
	shard    int
}
