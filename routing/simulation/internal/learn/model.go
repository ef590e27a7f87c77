package main

import (
	"fmt"
	"math"

	"github.com/edgegate/edgegate/regions/geo"
	"github.com/edgegate/edgegate/routing/simulation"
)

// A round trip is taken to be a line through the great circle's length, the
// same as package regions falls back to, plus a detour. Detours are alike in
// places that are near one another, and a little more so within one country:
// a Gaussian process says how much. A country with many cities so gets its own
// average, one with a single city is drawn towards its neighbours, and one with
// none gets theirs; far from everything it is the line that is left. The
// variances are near the maximum of the likelihood over a grid; what they are
// exactly changes the choice of region for next to nobody.
const (
	lineFixed = 24.1   // ms
	linePerKm = 0.0167 // ms

	detourKm        = 8000 // over which detours stop being alike
	detourVariance  = 3200 // ms^2, over the world
	countryVariance = 200  // ms^2, of a country as a whole
	cityVariance    = 200  // ms^2, of one city and its measurement
)

func line(from, to geo.Coordinates) float64 {
	return lineFixed + linePerKm*from.DistanceKm(to)
}

// row is what is learnt of a country: a round trip in milliseconds a region,
// and the place that it is for.
type row struct {
	Code         string
	Place        geo.Coordinates
	Milliseconds []float64
}

// shifted returns the round trips for a place in the country, by the same rule
// as geo.ClientRTT.
func (r *row) shifted(place geo.Coordinates, targets []target) []float64 {
	ms := make([]float64, len(targets))
	for i, t := range targets {
		ms[i] = r.Milliseconds[i] + line(place, t.Place) - line(r.Place, t.Place)
	}
	return ms
}

// target is a region that round trips are learnt to.
type target struct {
	Name  string
	Place geo.Coordinates
}

// model is a Gaussian process over the cities that it was fitted to.
type model struct {
	cities  []simulation.City
	targets []target
	weights [][]float64 // by target, then city
}

func fit(cities []simulation.City, targets []target) (*model, error) {
	covariances := make([][]float64, len(cities))
	for i := range cities {
		covariances[i] = make([]float64, i+1)
		for j := range covariances[i] {
			covariances[i][j] = covariance(cities[i].Country, cities[i].Coordinates, &cities[j])
		}
		covariances[i][i] += cityVariance
	}
	if err := decompose(covariances); err != nil {
		return nil, err
	}
	m := &model{cities: cities, targets: targets, weights: make([][]float64, len(targets))}
	for t := range targets {
		detours := make([]float64, len(cities))
		for i := range cities {
			detours[i] = milliseconds(&cities[i], targets[t]) - line(cities[i].Coordinates, targets[t].Place)
		}
		m.weights[t] = solve(covariances, detours)
	}
	return m, nil
}

// at returns the round trips to expect from a place.
func (m *model) at(code string, place geo.Coordinates) []float64 {
	ms := make([]float64, len(m.targets))
	for t := range m.targets {
		ms[t] = line(place, m.targets[t].Place)
	}
	for i := range m.cities {
		k := covariance(code, place, &m.cities[i])
		for t := range ms {
			ms[t] += k * m.weights[t][i]
		}
	}
	return ms
}

// country returns the average over a country's cities, or, where there is none,
// what to expect at the given point.
func (m *model) country(code string, point geo.Coordinates) row {
	var x, y, z, n float64
	sum := make([]float64, len(m.targets))
	for i := range m.cities {
		c := &m.cities[i]
		if c.Country != code {
			continue
		}
		sinLat, cosLat := math.Sincos(c.Coordinates.Latitude * math.Pi / 180)
		sinLon, cosLon := math.Sincos(c.Coordinates.Longitude * math.Pi / 180)
		x, y, z, n = x+cosLat*cosLon, y+cosLat*sinLon, z+sinLat, n+1
		for t, ms := range m.at(code, c.Coordinates) {
			sum[t] += ms
		}
	}
	if n == 0 {
		return row{Code: code, Place: point, Milliseconds: m.at(code, point)}
	}
	for t := range sum {
		sum[t] /= n
	}
	middle := geo.Coordinates{
		Latitude:  math.Atan2(z, math.Hypot(x, y)) * 180 / math.Pi,
		Longitude: math.Atan2(y, x) * 180 / math.Pi,
	}
	return row{Code: code, Place: middle, Milliseconds: sum}
}

func milliseconds(c *simulation.City, t target) float64 {
	return c.RTT[t.Name].Seconds() * 1000
}

func covariance(code string, place geo.Coordinates, other *simulation.City) float64 {
	k := detourVariance * math.Exp(-place.DistanceKm(other.Coordinates)/detourKm)
	if code == other.Country {
		k += countryVariance
	}
	return k
}

// decompose replaces the lower half of a symmetric positive matrix by its
// Cholesky factor.
func decompose(a [][]float64) error {
	for i := range a {
		for j := range a[i] {
			sum := a[i][j]
			for k := range j {
				sum -= a[i][k] * a[j][k]
			}
			if i != j {
				a[i][j] = sum / a[j][j]
				continue
			}
			if !(sum > 0) {
				return fmt.Errorf("the covariances are not positive: pivot %d is %v", i, sum)
			}
			a[i][i] = math.Sqrt(sum)
		}
	}
	return nil
}

// solve returns x of L L' x = b, L being what decompose leaves.
func solve(l [][]float64, b []float64) []float64 {
	x := append([]float64(nil), b...)
	for i := range x {
		for k := range i {
			x[i] -= l[i][k] * x[k]
		}
		x[i] /= l[i][i]
	}
	for i := len(x) - 1; i >= 0; i-- {
		for k := i + 1; k < len(x); k++ {
			x[i] -= l[k][i] * x[k]
		}
		x[i] /= l[i][i]
	}
	return x
}
