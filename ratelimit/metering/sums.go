package metering

import "time"

// Span is the length of time that a sum is of.
type Span uint8

// The spans of sums.
const (
	Monthly Span = 'm' // a billing period
	Hourly  Span = 'h' // an hour in UTC, or the part of it that is in one period
)

// Sums are cumulative counts of units.
type Sums struct {
	Invocations uint64 // admitted and not voided
	Completed   uint64 // of which ended; the others run, or were cut off
	Voided      uint64 // admitted, and given back since nothing was sent
	// Added and Deducted are what people adjusted. Both only grow: of two sums of
	// one log the greater is the later.
	Added, Deducted uint64
	First           uint64 // the Seq of the first record in it
}

// Adjusted is by how much people changed what is billed.
func (s *Sums) Adjusted() int64 { return int64(s.Added) - int64(s.Deducted) }

// Billed is what is paid for: quotas are about Invocations alone.
func (s *Sums) Billed() int64 { return int64(s.Invocations) + s.Adjusted() }

// take adds a record of the same place and time.
func (s *Sums) take(r *Record) {
	n := uint64(r.Units)
	switch {
	case r.adjusts() && r.Flags&FlagMinus != 0:
		s.Deducted += n
	case r.adjusts():
		s.Added += n
	case r.Type == TypeAdmitted:
		s.Invocations += n
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

// sumKey says what a sum is of.
type sumKey struct {
	subject SubjectID
	region  uint16
	span    Span
	start   int64 // of the span, in seconds
}

// projection adds records up. The same records always give the same sums.
type projection struct {
	sums    map[sumKey]*tally
	changed []sumKey            // since the last checkpoint
	unsent  map[sumKey]struct{} // to the mirror; nil without one
	recent  map[place]*current
	used    map[account]*uint64 // of organizations in their periods
	refused map[refusalKey]*refusalTally
	lookup  func(SubjectID) Subject
	// adjusted are the records of adjustments, of which the first so many are in the
	// checkpoint.
	adjusted     []Record
	adjustedKept int

	last    uint64    // the Seq up to which they are
	latest  time.Time // the latest time of a record
	highest SubjectID // the highest number of a subject, plus 1
}

// account is an organization in one period.
type account struct {
	organization string
	start        int64 // of the period, in seconds
}

// tally is a sum, and the Seq of the last record in it.
type tally struct {
	Sums
	last    uint64
	changed bool // it is in changed
	unsent  bool // it is in unsent
}

// place is where the records of a sum come from.
type place struct {
	subject SubjectID
	region  uint16
}

// current is what the records of a place are added to, as long as the time is in
// the same period and hour.
type current struct {
	period, hour Period
	keys         [2]sumKey
	tallies      [2]*tally
	used         *uint64
}

func newProjection(lookup func(SubjectID) Subject) *projection {
	return &projection{
		sums: make(map[sumKey]*tally), recent: make(map[place]*current), used: make(map[account]*uint64),
		refused: make(map[refusalKey]*refusalTally), lookup: lookup,
	}
}

// add takes in a record. What it is about counts where it was admitted: At of
// every type is that time.
func (p *projection) add(r *Record) {
	p.last = r.Seq
	if r.At.After(p.latest) {
		p.latest = r.At
	}
	id := SubjectID(r.Subject)
	switch r.Type { //nolint:exhaustive // the others are about nobody
	case TypeAdmitted, TypeDone, TypeVoid:
		p.highest = max(p.highest, id+1)
		if r.adjusts() {
			p.adjusted = append(p.adjusted, *r)
		}
		p.apply(r, p.currentOf(place{id, r.Region}, r.At))
	case TypeRejected:
		p.highest = max(p.highest, id+1)
		p.refuse(r)
	}
}

// currentOf returns the sums of a place at a time.
func (p *projection) currentOf(of place, at time.Time) *current {
	c := p.recent[of]
	if c != nil && c.period.Contains(at) && c.hour.Contains(at) {
		return c
	}
	s := p.lookup(of.subject)
	c = &current{period: s.Cycle.At(at)}
	c.hour = hourOf(c.period, at)
	for i, start := range []sumKey{{span: Monthly, start: c.period.Start.Unix()}, {span: Hourly, start: c.hour.Start.Unix()}} {
		start.subject, start.region = of.subject, of.region
		c.keys[i], c.tallies[i] = start, p.sums[start]
		if c.tallies[i] == nil {
			c.tallies[i] = new(tally)
			p.sums[start] = c.tallies[i]
		}
	}
	c.used = p.usedBy(account{s.Organization, c.period.Start.Unix()})
	p.recent[of] = c
	return c
}

// hourOf is the hour that t is in, as far as it is in its billing period: a
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

func (p *projection) usedBy(of account) *uint64 {
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
	switch { // adjustments are no use of a quota
	case r.Type == TypeAdmitted:
		*c.used += n
	case r.Type == TypeVoid && !r.adjusts():
		*c.used -= n
	}
}

// mirrored begins to note what is not sent yet, or ends it.
func (p *projection) mirrored(by bool, now time.Time) {
	p.unsent = nil
	for _, t := range p.sums {
		t.unsent = false
	}
	if !by {
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

// sent notes that a sum was sent as it was up to a record.
func (p *projection) sent(key sumKey, high uint64) {
	if t := p.sums[key]; t.last <= high {
		t.unsent = false
		delete(p.unsent, key)
	}
}

// set puts in what was added up before.
func (p *projection) set(key sumKey, sums Sums) {
	p.sums[key] = &tally{Sums: sums} // before any record is read
	p.highest = max(p.highest, key.subject+1)
	if key.span == Monthly {
		*p.usedBy(account{p.lookup(key.subject).Organization, key.start}) += sums.Invocations
	}
}

// spent returns how many units an organization used in a period.
func (p *projection) spent(organization string, period Period) uint64 {
	if n := p.used[account{organization, period.Start.Unix()}]; n != nil {
		return *n
	}
	return 0
}
