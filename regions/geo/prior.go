package geo

//go:generate go run ../internal/priorgen -in $PRIOR_CSV -out prior_rtt.go

import "time"

// Outside the measured table the prior is a linear fit over the distance, through
// the measured pairs.
const (
	priorFixed = 13500 * time.Microsecond
	// priorPerKm is 0.0155 ms per great-circle kilometre.
	priorPerKm = 15500 * time.Nanosecond
)

// sameMetroKm is how far configured coordinates may lie from the built-in ones of
// the same name for the measured table to apply. A more exact place of a known
// region keeps the table's numbers; another place with its name does not.
const sameMetroKm = 100

// priorIndex finds the row and column of a region in priorMicroseconds.
var priorIndex = func() map[string]int {
	index := make(map[string]int, len(priorNames))
	for i, name := range priorNames {
		index[name] = i
	}
	return index
}()

// Place is the place of a gateway or a region: the name of a region, or
// coordinates, or both. The zero value is an unknown place.
type Place struct {
	// Region is the region's name, empty if only the coordinates are known.
	Region string
	// Coordinates hold only if Known is true.
	Coordinates Coordinates
	// Known is true if Coordinates are set.
	Known bool
}

// PlaceOf returns the place of a built-in region. For the regions of a
// configuration, which may bring their own coordinates, use Place of the Set.
func PlaceOf(region string) (Place, bool) {
	known, ok := Known(region)
	if !ok {
		return Place{}, false
	}
	return Place{Region: region, Coordinates: known.Coordinates, Known: true}, true
}

// Prior returns the round trip to expect between two places before anything was
// measured. If both are in the built-in table of measured averages it is that
// average (the table's diagonal for a region and itself), else 13.5 ms + 0.0155 ms
// per kilometre of the great circle. It is false if one of the places is unknown.
// The table has a direction, but its two ways differ by a few milliseconds only.
func Prior(from, to Place) (rtt time.Duration, ok bool) {
	from, okFrom := from.resolve()
	to, okTo := to.resolve()
	if !okFrom || !okTo {
		return 0, false
	}
	i, measuredFrom := from.measured()
	j, measuredTo := to.measured()
	if measuredFrom && measuredTo {
		return time.Duration(priorMicroseconds[i][j]) * time.Microsecond, true
	}
	km := from.Coordinates.DistanceKm(to.Coordinates)
	return priorFixed + time.Duration(km*float64(priorPerKm)), true
}

// Locatable reports whether the coordinates of the place are known: set, or
// built in for its region's name.
func (p Place) Locatable() bool {
	_, ok := p.resolve()
	return ok
}

// resolve fills in the coordinates of a place that has only a known name.
func (p Place) resolve() (Place, bool) {
	if p.Known {
		return p, true
	}
	return PlaceOf(p.Region)
}

// measured returns the table's index of a resolved place.
func (p Place) measured() (int, bool) {
	i, ok := priorIndex[p.Region]
	if !ok {
		return 0, false
	}
	known, _ := Known(p.Region)
	if p.Coordinates != known.Coordinates && p.Coordinates.DistanceKm(known.Coordinates) > sameMetroKm {
		return 0, false
	}
	return i, true
}
