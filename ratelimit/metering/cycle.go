package metering

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Cycle says when the billing periods of an organization begin. The zero Cycle
// is the calendar month in UTC.
type Cycle struct {
	// Anchor is the start of any period: its day of the month and its time of
	// day in Zone are those of all. A day that a month does not have is its last.
	// Zero: the first of the month, 00:00.
	Anchor time.Time
	Zone   *time.Location // nil: UTC
}

// Period is one billing period, from Start to before End.
type Period struct {
	ID         string // 2026-11, or with an anchor or a zone 20261105+Europe/Paris
	Start, End time.Time
}

// Contains reports whether t is in the period.
func (p Period) Contains(t time.Time) bool { return !t.Before(p.Start) && t.Before(p.End) }

func (c Cycle) zone() *time.Location {
	if c.Zone == nil {
		return time.UTC
	}
	return c.Zone
}

// At returns the period that contains t. The result depends on the cycle and t
// alone: every gateway and every later reader finds the same.
func (c Cycle) At(t time.Time) Period {
	local := t.In(c.zone())
	year, month, _ := local.Date()
	start := c.start(year, month)
	if t.Before(start) {
		year, month, _ = time.Date(year, month-1, 1, 0, 0, 0, 0, time.UTC).Date()
		start = c.start(year, month)
	}
	end := c.start(year, month+1)
	if !t.Before(end) { // the zone skips the hours around the start
		year, month, _ = time.Date(year, month+1, 1, 0, 0, 0, 0, time.UTC).Date()
		start, end = end, c.start(year, month+1)
	}
	return Period{ID: c.id(start, year, month), Start: start.UTC(), End: end.UTC()}
}

// start returns the start of the period that begins in a month. month may be 13.
func (c Cycle) start(year int, month time.Month) time.Time {
	if c.Anchor.IsZero() {
		return time.Date(year, month, 1, 0, 0, 0, 0, c.zone())
	}
	anchor := c.Anchor.In(c.zone())
	last := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
	hour, minute, second := anchor.Clock()
	return time.Date(year, month, min(anchor.Day(), last), hour, minute, second, 0, c.zone())
}

func (c Cycle) id(start time.Time, year int, month time.Month) string {
	// The months of an unknown zone may or may not be those of UTC.
	if start.Equal(time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)) && c.Known() {
		return fmt.Sprintf("%04d-%02d", year, month)
	}
	layout := "20060102"
	if hour, minute, second := start.Clock(); hour+minute+second != 0 {
		layout = "20060102T150405"
	}
	return start.Format(layout) + "+" + c.zone().String()
}

// Next returns the period after p.
func (c Cycle) Next(p Period) Period { return c.At(p.End) }

// Named returns the period with an id, false if this cycle has none with it.
func (c Cycle) Named(id string) (Period, bool) {
	_, p, ok := CycleOf(id)
	if !ok {
		return Period{}, false
	}
	own := c.At(p.Start)
	return own, own.ID == id
}

// CycleOf derives a cycle and a period from the id of a period, false if it is not
// an id. If the period begins late in a month, its end may differ from that of the
// cycle that the id was made by.
func CycleOf(id string) (Cycle, Period, bool) {
	if month, err := time.Parse("2006-01", id); err == nil {
		return Cycle{}, Cycle{}.At(month), true
	}
	at, name, ok := strings.Cut(id, "+")
	if !ok {
		return Cycle{}, Period{}, false
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return Cycle{}, Period{}, false
	}
	layout := "20060102"
	if len(at) > len(layout) {
		layout = "20060102T150405"
	}
	start, err := time.ParseInLocation(layout, at, zone)
	if err != nil {
		return Cycle{}, Period{}, false
	}
	c := Cycle{Anchor: start, Zone: zone}
	return c, c.At(start), true
}

// Equal reports whether both have the same periods.
func (c Cycle) Equal(other Cycle) bool {
	return c.Anchor.Equal(other.Anchor) && (c.Zone == other.Zone || c.zone().String() == other.zone().String())
}

// standIns maps names of time zones that this machine does not know to locations
// with that name.
var standIns = struct {
	sync.Mutex // guards the map
	named      map[string]*time.Location
}{named: make(map[string]*time.Location)}

// zoneNamed returns the time zone with a name. If the machine does not know it, the
// result has the name and the offset of UTC, so that the ledger can still be
// opened and written; Cycle.Known reports false then.
func zoneNamed(name string) *time.Location {
	if zone, err := time.LoadLocation(name); err == nil {
		return zone
	}
	standIns.Lock()
	defer standIns.Unlock()
	if standIns.named[name] == nil {
		standIns.named[name] = time.FixedZone(name, 0)
	}
	return standIns.named[name]
}

// Known reports whether this machine knows the cycle's time zone. If not, the
// periods that At returns are off by hours: they can be shown, but nothing may be
// billed by them.
func (c Cycle) Known() bool {
	if c.Zone == nil {
		return true
	}
	standIns.Lock()
	defer standIns.Unlock()
	return standIns.named[c.Zone.String()] != c.Zone
}

// UnknownZone is a time zone in a ledger that this machine does not know.
type UnknownZone struct {
	Zone          string
	Organizations []string // those with this zone, sorted
}

// UnknownZones returns the time zones that this machine does not know, sorted by
// name. Usage counted by such a cycle is kept, and not billed until its zone is
// known.
func (l *Ledger) UnknownZones() []UnknownZone {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := make(map[string][]string)
	for _, b := range l.logs() {
		for _, s := range b.dictionary.all() {
			if !s.Cycle.Known() {
				found[s.Cycle.Zone.String()] = append(found[s.Cycle.Zone.String()], s.Organization)
			}
		}
	}
	zones := make([]UnknownZone, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		organizations := found[name]
		slices.Sort(organizations)
		zones = append(zones, UnknownZone{name, slices.Compact(organizations)})
	}
	return zones
}
