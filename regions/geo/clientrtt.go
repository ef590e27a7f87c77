package geo

//go:generate go run ../../routing/simulation/internal/learn -cities $CITIES_CSV -countries $COUNTRIES_CSV -table clientrtt_table.go -holdout clientrtt_holdout_test.go -populations ../../routing/simulation/populations.go

import (
	"math"
	"slices"
	"time"
)

// Where nothing was learnt, the round trip from a client is a linear fit over the
// distance, through the measured pairs of a city and a region.
const (
	clientFixed = 24.1   // ms
	clientPerKm = 0.0167 // ms
)

const (
	// clientDetourKm is the distance over which the detour to one region fades as an
	// estimate for another. For the regions of the table, estimated as if they
	// weren't in it, the mean error is 35 ms by the line alone, 27 ms with the
	// nearest region's detour, and 24 ms with that detour fading; 3000 to 6000 km
	// give the same.
	clientDetourKm = 4000

	// lightPerKm is 0.01 ms, the time of light in fibre for a kilometre and back.
	lightPerKm = 0.01
)

// ClientRTT returns the round trip to expect between a client and a region
// before anything was measured. It is false where the client's country and
// coordinates are unknown, or to is nil.
//
// For a region of the built-in table it is the value learnt for the client's
// country. If the client's coordinates are known, 0.0167 ms are added per
// kilometre that it is farther away than the country's middle. A region that is
// not in the table, or that has a name of the table but lies elsewhere, gets
// 24.1 ms + 0.0167 ms per kilometre plus the country's detour to the nearest
// region in the table, which fades with the distance between the two. Clients of
// unknown countries get the line alone.
func ClientRTT(c Client, to *Target) (rtt time.Duration, ok bool) {
	return clients.rtt(&c, to)
}

// clientCountry has the learnt round trips of a country.
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

// ClientRTTs is ClientRTT for one client and several regions: the part that depends
// on the client alone is computed once.
type ClientRTTs struct {
	table   *clientTable
	row     int
	known   bool // the country is in row
	located bool // at are the client's own coordinates
	at      unit
}

// ClientRTTsOf prepares the round trips of a client.
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

// To returns the round trip to a region, as ClientRTT does.
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
	// Bytes below A wrap around to above 25.
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
	detour      float64 // the fraction of the column's detours that counts, 1 for its own
}

func (t *Target) tabulated() bool { return t.detour == 1 }

// clientColumns are the places of clientRegions.
var clientColumns = func() (columns [len(clientRegions)]Target) {
	for i, name := range clientRegions {
		known, _ := Known(name)
		columns[i] = Target{
			at:          unitOf(known.Coordinates),
			coordinates: known.Coordinates,
			column:      i,
			detour:      1,
		}
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

// targetNear returns the target of a place without a column: its detours are those
// of the nearest column, fading with the distance.
func targetNear(c Coordinates) Target {
	at := unitOf(c)
	best, cos := 0, -2.0
	for i := range clientColumns {
		if other := at.dot(&clientColumns[i].at); other > cos {
			best, cos = i, other
		}
	}
	fading := math.Exp(-at.km(&clientColumns[best].at) / clientDetourKm)
	return Target{
		at:          at,
		coordinates: c,
		column:      best,
		detour:      min(fading, math.Nextafter(1, 0)),
	}
}

// unit is a point of the earth as a vector of length one: distances between such
// points need no sines.
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
