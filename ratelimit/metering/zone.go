package metering

import (
	"maps"
	"slices"
	"sync"
	"time"
)

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
