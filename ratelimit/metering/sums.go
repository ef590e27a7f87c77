package metering

import "time"

// Span is the length of time that a sum is of.
type Span uint8

// The spans of sums.
const (
	Monthly Span = 'm' // a billing period
	Hourly  Span = 'h' // an hour in UTC
)

// Sums are cumulative counts of units.
type Sums struct {
	Invocations uint64 // admitted and not voided
	Completed   uint64 // of which ended; the others run, or were cut off
	Voided      uint64 // admitted, and given back since nothing was sent
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
	changed map[sumKey]struct{} // since the last checkpoint
	unsent  map[sumKey]struct{} // to the mirror; nil without one
	periods map[SubjectID]Period
	used    map[account]uint64 // of organizations in their periods
	lookup  func(SubjectID) Subject
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
	last uint64
}

func newProjection(lookup func(SubjectID) Subject) *projection {
	return &projection{
		sums: make(map[sumKey]*tally), changed: make(map[sumKey]struct{}),
		periods: make(map[SubjectID]Period), used: make(map[account]uint64), lookup: lookup,
	}
}

// period returns the billing period of a subject that t is in.
func (p *projection) period(id SubjectID, t time.Time) Period {
	known, ok := p.periods[id]
	if !ok || !known.Contains(t) {
		known = p.lookup(id).Cycle.At(t)
		p.periods[id] = known
	}
	return known
}

// add takes in a record. What it is about counts where it was admitted: At of
// every type is that time.
func (p *projection) add(r *Record) {
	p.last = r.Seq
	if r.At.After(p.latest) {
		p.latest = r.At
	}
	if r.Type != TypeAdmitted && r.Type != TypeDone && r.Type != TypeVoid {
		return
	}
	id := SubjectID(r.Subject)
	p.highest = max(p.highest, id+1)
	p.apply(r, sumKey{id, r.Region, Monthly, p.period(id, r.At).Start.Unix()})
	p.apply(r, sumKey{id, r.Region, Hourly, r.At.Truncate(time.Hour).Unix()})
}

func (p *projection) apply(r *Record, key sumKey) {
	sums := p.sums[key]
	if sums == nil {
		sums = new(tally)
		p.sums[key] = sums
	}
	sums.last = r.Seq
	p.changed[key] = struct{}{}
	if p.unsent != nil {
		p.unsent[key] = struct{}{}
	}
	n, used := uint64(r.Units), account{}
	if key.span == Monthly && r.Type != TypeDone {
		used = account{p.lookup(key.subject).Organization, key.start}
	}
	switch r.Type { //nolint:exhaustive // add lets only these pass
	case TypeAdmitted:
		sums.Invocations += n
		p.use(used, n)
	case TypeDone:
		sums.Completed += n
	case TypeVoid:
		sums.Invocations -= n
		p.use(used, -n)
		sums.Voided += n
	}
}

func (p *projection) use(of account, n uint64) {
	if of.start != 0 {
		p.used[of] += n
	}
}

// set puts in what was added up before.
func (p *projection) set(key sumKey, sums Sums) {
	p.sums[key] = &tally{Sums: sums}
	p.highest = max(p.highest, key.subject+1)
	if key.span == Monthly {
		p.used[account{p.lookup(key.subject).Organization, key.start}] += sums.Invocations
	}
}

// spent returns how many units an organization used in a period.
func (p *projection) spent(organization string, period Period) uint64 {
	return p.used[account{organization, period.Start.Unix()}]
}
