package metering

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// standIns are the locations that stand for zones which this machine does not
// know, by name.
var standIns = struct {
	sync.Mutex // guards the map
	named      map[string]*time.Location
}{named: make(map[string]*time.Location)}

// zoneNamed returns the zone that a ledger names. A ledger must open, and be
// written on, also where a zone is not known: there its name stays, at an offset
// of zero, and Cycle.Known tells.
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

// Known reports whether it is known when the periods of the cycle begin. Where
// its time zone is unknown, At returns periods that are off by hours: they are
// good for showing what was counted, and nothing may be billed by them.
func (c Cycle) Known() bool {
	if c.Zone == nil {
		return true
	}
	standIns.Lock()
	defer standIns.Unlock()
	return standIns.named[c.Zone.String()] != c.Zone
}

// UnknownZone is a time zone of a ledger that this machine does not know.
type UnknownZone struct {
	Zone          string
	Organizations []string // that had it, sorted
}

// UnknownZones returns the time zones that are not known, by name. What was
// counted of their organizations by these cycles is kept and not billed until
// they are.
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
