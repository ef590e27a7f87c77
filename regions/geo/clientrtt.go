package geo

//go:generate go run ../../routing/simulation/internal/learn -cities $CITIES_CSV -countries $COUNTRIES_CSV -table clientrtt_table.go -holdout clientrtt_holdout_test.go -populations ../../routing/simulation/populations.go

import (
	"math"
	"slices"
	"time"
)

// Where nothing was learnt, the round trip from a client is a straight line
// through what measured pairs of a city and a region cost by distance.
const (
	clientFixed = 24.1   // ms
	clientPerKm = 0.0167 // ms
)

const (
	// clientDetourKm is over which distance a region stops being reached by the
	// same detours as another. Of the regions of the table, estimated as if they
	// weren't in it: the line alone is 35 ms off on the average, the nearest
	// region's detour 27 ms, and that detour fading by distance 24 ms; 3000 to
	// 6000 km are alike.
	clientDetourKm = 4000

	// lightPerKm is 0.01 ms, what light in fibre takes there and back.
	lightPerKm = 0.01
)

// ClientRTT returns the round trip to expect between a client and a region
// before anything was measured. It is false where the client's country and
// coordinates are unknown, or to is nil.
//
// For a region of the built-in table it is what was learnt for the client's
// country; how much nearer or farther than the country's middle the client is,
// where its coordinates are known, is added at 0.0167 ms per kilometre. A
// region that is not in the table, and one that has the name but lies
// elsewhere, gets the line of 24.1 ms + 0.0167 ms per kilometre, and the
// country's detour to the nearest region in the table, the less of it the
// farther that is. Clients of unknown countries get the line alone.
func ClientRTT(c Client, to *Target) (rtt time.Duration, ok bool) {
	return clients.rtt(&c, to)
}

// clientCountry is what was learnt of a country.
type clientCountry struct {
	code   string
	place  Coordinates // the middle of its measured cities, else its centroid
	tenths [len(clientRegions)]uint16
}

// clientTable answers by country without allocating.
type clientTable struct {
	countries []clientCountry
	places    []unit                        // of countries
	detours   [][len(clientRegions)]float64 // ms above the line, by country
	rows      [26 * 26]int16                // by code, one above the index; 0 for none
}

var clients = newClientTable(clientCountries)

func newClientTable(countries []clientCountry) *clientTable {
	t := &clientTable{
		countries: countries,
		places:    make([]unit, len(countries)),
		detours:   make([][len(clientRegions)]float64, len(countries)),
	}
	for i, c := range countries {
		slot, _ := countrySlot(c.code)
		t.rows[slot] = int16(i + 1)
		t.places[i] = unitOf(c.place)
		for j := range clientColumns {
			t.detours[i][j] = float64(c.tenths[j])/10 - clientLine(t.places[i].km(&clientColumns[j].at))
		}
	}
	return t
}

// ClientRTTs is ClientRTT for one client and several regions: what depends on
// the client alone is computed once.
type ClientRTTs struct {
	table   *clientTable
	row     int
	known   bool // the country is in row
	located bool // at are the client's own coordinates
	at      unit
}

// ClientRTTsOf prepares them.
func ClientRTTsOf(c *Client) ClientRTTs { return clients.of(c) }

func (t *clientTable) of(c *Client) ClientRTTs {
	e := ClientRTTs{table: t, located: c.HasCoordinates}
	e.row, e.known = t.row(c.Country)
	switch {
	case e.located:
		e.at = unitOf(c.Coordinates)
	case e.known:
		e.at = t.places[e.row]
	}
	return e
}

// To returns what ClientRTT does.
func (e *ClientRTTs) To(to *Target) (rtt time.Duration, ok bool) {
	if to == nil || !e.known && !e.located {
		return 0, false
	}
	if to.tabulated() && e.known && !e.located {
		return time.Duration(e.table.countries[e.row].tenths[to.column]) * (time.Millisecond / 10), true
	}
	km := e.at.km(&to.at)
	ms := clientLine(km)
	if e.known {
		ms += to.detour * e.table.detours[e.row][to.column]
	}
	return time.Duration(max(ms, lightPerKm*km) * float64(time.Millisecond)), true
}

func (t *clientTable) rtt(c *Client, to *Target) (time.Duration, bool) {
	e := t.of(c)
	return e.To(to)
}

func clientLine(km float64) float64 { return clientFixed + clientPerKm*km }

func (t *clientTable) row(country string) (int, bool) {
	slot, ok := countrySlot(country)
	if !ok || t.rows[slot] == 0 {
		return 0, false
	}
	return int(t.rows[slot]) - 1, true
}

// countrySlot numbers the codes AA to ZZ.
func countrySlot(code string) (int, bool) {
	if len(code) != 2 {
		return 0, false
	}
	// What is below A wraps around to above 25.
	a, b := code[0]-'A', code[1]-'A'
	if a > 25 || b > 25 {
		return 0, false
	}
	return int(a)*26 + int(b), true
}

// Target is the place of a region, prepared for ClientRTT: the table's column
// for it is looked up once. It is immutable.
type Target struct {
	at          unit
	coordinates Coordinates
	column      int     // the region's own, else the nearest one's
	detour      float64 // the part of the column's detours to count, 1 for its own
}

func (t *Target) tabulated() bool { return t.detour == 1 }

// clientColumns are the places of clientRegions.
var clientColumns = func() (columns [len(clientRegions)]Target) {
	for i, name := range clientRegions {
		known, _ := Known(name)
		columns[i] = Target{at: unitOf(known.Coordinates), coordinates: known.Coordinates, column: i, detour: 1}
	}
	return columns
}()

// clientKnown are the places of knownRegions, in their order.
var clientKnown = func() []Target {
	targets := make([]Target, len(knownRegions))
	for i, known := range knownRegions {
		if column := slices.Index(clientRegions[:], known.Name); column >= 0 {
			targets[i] = clientColumns[column]
		} else {
			targets[i] = targetNear(known.Coordinates)
		}
	}
	return targets
}()

// TargetOf prepares a place. It returns nil where the place is unknown. As for
// Prior, a known name for another place doesn't get the table's numbers.
func TargetOf(p Place) *Target {
	for i := range knownRegions {
		if knownRegions[i].Name != p.Region {
			continue
		}
		known := &clientKnown[i]
		if !p.Known || p.Coordinates == known.coordinates || p.Coordinates.DistanceKm(known.coordinates) <= sameMetroKm {
			return known
		}
		break
	}
	if !p.Known {
		return nil
	}
	near := targetNear(p.Coordinates)
	return &near
}

// targetNear returns a place that no column is for: detours to it are
// those to the nearest region that has one, fading with the distance.
func targetNear(c Coordinates) Target {
	at := unitOf(c)
	best, cos := 0, -2.0
	for i := range clientColumns {
		if other := at.dot(&clientColumns[i].at); other > cos {
			best, cos = i, other
		}
	}
	fading := math.Exp(-at.km(&clientColumns[best].at) / clientDetourKm)
	return Target{at: at, coordinates: c, column: best, detour: min(fading, math.Nextafter(1, 0))}
}

// unit is a point of the earth as a vector of length one: distances between
// points that are kept as such cost no sines.
type unit [3]float64

func unitOf(c Coordinates) unit {
	sinLat, cosLat := math.Sincos(c.Latitude * math.Pi / 180)
	sinLon, cosLon := math.Sincos(c.Longitude * math.Pi / 180)
	return unit{cosLat * cosLon, cosLat * sinLon, sinLat}
}

func (u *unit) dot(v *unit) float64 { return u[0]*v[0] + u[1]*v[1] + u[2]*v[2] }

// km returns the great-circle distance. By the chord it is exact for points
// next to each other, where by the cosine it is not.
func (u *unit) km(v *unit) float64 {
	x, y, z := u[0]-v[0], u[1]-v[1], u[2]-v[2]
	return 2 * earthRadiusKm * math.Asin(min(1, math.Sqrt(x*x+y*y+z*z)/2))
}
