package metering

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The layouts of hours in field names. A time within an hour, where a billing period
// begins or ends, has the minute and second too.
const (
	wholeHour = "2006010215"
	partHour  = "20060102150405"
)

func hourID(start time.Time) string {
	if start.Equal(start.Truncate(time.Hour)) {
		return start.Format(wholeHour)
	}
	return start.Format(partHour)
}

// windowID is hourID of an hour that may end early, where its period does.
func windowID(hour Period) string {
	id := hourID(hour.Start)
	if !hour.End.Equal(hour.Start.Truncate(time.Hour).Add(time.Hour)) {
		id += "-" + hour.End.Format(partHour)
	}
	return id
}

func parseHour(id string) (time.Time, error) {
	layout := wholeHour
	if len(id) == len(partHour) {
		layout = partHour
	}
	at, err := time.Parse(layout, id)
	if err != nil {
		return at, fmt.Errorf("reading the hour %q of a sum: %w", id, err)
	}
	return at, nil
}

// Entry is a sum in Redis.
type Entry struct {
	Instance string
	Span     Span
	ID       string // the id of the billing period, or the hour as 2006010215
	Period   string // of an hour: the id of its billing period; "" if an older build wrote it
	Subject  Subject
	Region   string
	Sums
	Origin Origin
	AsOf   uint64 // the number of the last record in the sums of its log in Redis

	// periods are those that an hour without Period may be in: its gateway has sums of
	// them too. The one that began last stands first.
	periods []string
}

// Hour returns the hour of an hourly sum and the billing period it is in. The hour is
// shorter where a period begins or ends within it. Older builds did not write the
// period: it is that of cycle c then, unless the gateway has sums of other periods only.
// So what it counted stays where it was when the cycle changes, also if it left and
// writes nothing any more.
func (e *Entry) Hour(c Cycle) (hour, period Period, err error) {
	first, last, cut := strings.Cut(e.ID, "-")
	if hour.Start, err = parseHour(first); err != nil {
		return hour, period, err
	}
	if e.Period == "" {
		period = c.At(hour.Start)
		if len(e.periods) > 0 && !slices.Contains(e.periods, period.ID) {
			_, period, _ = CycleOf(e.periods[0])
		}
		return hourFrom(period, hour.Start), period, nil
	}
	hour.End = hour.Start.Truncate(time.Hour).Add(time.Hour)
	if cut {
		if hour.End, err = parseHour(last); err != nil {
			return hour, period, err
		}
	}
	period, named := c.Named(e.Period)
	if !named {
		_, period, _ = CycleOf(e.Period)
	}
	period.ID = e.Period
	return hour, period, nil
}

// Hour returns the hour of an hourly sum and its billing period.
func (u *Usage) Hour() (hour, period Period) {
	period = u.Cycle.At(u.Start)
	return hourFrom(period, u.Start), period
}

// hourFrom returns the part of an hour that begins at a start, as far as the billing
// period allows: where terms end it is not known here.
func hourFrom(p Period, start time.Time) Period {
	hour := hourOf(p, start)
	hour.Start = start
	return hour
}

// spanName returns how a field name says what time a sum is of, and of which origin.
func spanName(span Span, s *Subject, at time.Time, of Origin) string {
	period := s.Cycle.At(at)
	if span == Monthly {
		return period.ID
	}
	return strings.Join([]string{windowID(hourFrom(period, at)), period.ID, of.Ledger, strconv.Itoa(int(of.Form))}, ";")
}

// fields returns the names and values of a sum in Redis. Sums of one subject that
// differ in their cycles share a name where their periods are called the same; fields
// adds them up. Older builds, for which form is FormHour, know hours of one ledger
// without a period: there are none of others for them.
func (b *instanceLog) fields(key sumKey, form Form, shared string) []any {
	subject, at, origin := b.dictionary.lookup(key.subject), time.Unix(key.start, 0).UTC(), b.dictionary.originOf(key.subject)
	span := spanName(key.span, &subject, at, origin)
	old := key.span == Hourly && form == FormHour
	if old && origin != (Origin{shared, FormHour}) {
		return nil
	}
	var sums Sums
	for _, id := range b.dictionary.siblings(key.subject) {
		other := b.projection.sums[sumKey{id, key.region, key.span, key.start}]
		if other == nil {
			continue
		}
		sibling, from := b.dictionary.lookup(id), b.dictionary.originOf(id)
		if old && from != origin || !old && spanName(key.span, &sibling, at, from) != span {
			continue
		}
		sums.add(&other.Sums)
	}
	if old {
		span = hourID(at)
	}
	name := strings.Join([]string{
		string(rune(key.span)), span, subject.Organization, subject.Project, subject.Function, b.dictionary.regionName(key.region), "",
	}, "|")
	fields := []any{name + "invocations", sums.Invocations, name + "completed", sums.Completed}
	if key.span == Hourly {
		fields = append(fields, name+"first", sums.First)
	}
	if sums.Voided > 0 {
		fields = append(fields, name+"voided", sums.Voided)
	}
	if sums.Added > 0 {
		fields = append(fields, name+"added", sums.Added)
	}
	if sums.Deducted > 0 {
		fields = append(fields, name+"deducted", sums.Deducted)
	}
	return fields
}

// add adds other sums of one log.
func (s *Sums) add(other *Sums) {
	s.Invocations += other.Invocations
	s.Completed += other.Completed
	s.Voided += other.Voided
	s.Added += other.Added
	s.Deducted += other.Deducted
	if s.First == 0 || other.First != 0 && other.First < s.First {
		s.First = other.First
	}
}

// schemaField says in a hash which form its hours have. Hours of the other form do not
// count: they are of a push that is not complete, or not removed yet.
const schemaField = "_s"

// fieldName is the name of a field with a count of a sum.
type fieldName struct {
	sum   string // the name without the count
	count string
	form  Form // of an hour
	Entry
}

// parseField parses the name of a field. ok is false if it is not that of a sum.
func parseField(name string) (f fieldName, ok bool) {
	parts := strings.Split(name, "|")
	if len(parts) != 7 || len(parts[0]) != 1 {
		return f, false
	}
	f.sum, f.count, f.form = strings.Join(parts[:6], "|"), parts[6], FormHour
	f.Entry = Entry{
		Span:    Span(parts[0][0]),
		ID:      parts[1],
		Subject: Subject{Organization: parts[2], Project: parts[3], Function: parts[4]},
		Region:  parts[5],
		Origin:  Origin{Form: FormHour},
	}
	if f.Span != Hourly || !strings.Contains(parts[1], ";") {
		return f, true
	}
	of := strings.Split(parts[1], ";")
	if len(of) != 4 {
		return f, false
	}
	form, err := strconv.ParseUint(of[3], 10, 8)
	f.ID, f.Period, f.Origin, f.form = of[0], of[1], Origin{of[2], Form(form)}, FormPeriod
	return f, err == nil && f.Origin.Form >= FormHour && f.Origin.Form <= FormPeriod
}

// entriesOf reads the fields of a hash with sums. What older builds wrote is of the
// ledger that gateways share.
func entriesOf(instance, shared string, fields map[string]string) ([]Entry, error) {
	asOf, _ := strconv.ParseUint(fields["_h"], 10, 64)
	form, _ := strconv.ParseUint(cmp.Or(fields[schemaField], "1"), 10, 8)
	if Form(form) > FormPeriod {
		return nil, laterSchema(fields[schemaField])
	}
	byName := make(map[string]*Entry)
	for field, value := range fields {
		if strings.HasPrefix(field, "_") {
			continue
		}
		f, ok := parseField(field)
		n, err := strconv.ParseUint(value, 10, 64)
		if !ok || err != nil {
			return nil, fmt.Errorf("the field %q with the value %q is not a sum", field, value)
		}
		if f.Span == Hourly && f.form != Form(form) {
			continue
		}
		e := byName[f.sum]
		if e == nil {
			e = &f.Entry
			e.Instance, e.AsOf, e.Origin.Ledger = instance, asOf, cmp.Or(e.Origin.Ledger, shared)
			byName[f.sum] = e
		}
		switch f.count {
		case "invocations":
			e.Invocations = n
		case "completed":
			e.Completed = n
		case "voided":
			e.Voided = n
		case "added":
			e.Added = n
		case "deducted":
			e.Deducted = n
		case "first":
			e.First = n
		}
	}
	entries := make([]Entry, 0, len(byName))
	for _, e := range byName {
		if e.Span == Hourly && e.Period == "" {
			e.periods = periodsOf(e, byName)
		}
		entries = append(entries, *e)
	}
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Period, b.Period)) })
	return entries, nil
}

// periodsOf returns the ids of the billing periods that have an hour and of which its
// gateway has sums, the latest first.
func periodsOf(hour *Entry, all map[string]*Entry) (ids []string) {
	start, err := parseHour(hour.ID)
	if err != nil {
		return nil
	}
	var periods []Period
	for _, e := range all {
		if e.Span != Monthly || e.Subject != hour.Subject || e.Region != hour.Region {
			continue
		}
		_, p, ok := CycleOf(e.ID)
		if ok && !start.Before(p.Start) && start.Before(p.End) {
			p.ID = e.ID
			periods = append(periods, p)
		}
	}
	slices.SortFunc(periods, func(a, b Period) int { return cmp.Or(b.Start.Compare(a.Start), cmp.Compare(a.ID, b.ID)) })
	for _, p := range periods {
		ids = append(ids, p.ID)
	}
	return ids
}
