package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/edgegate/edgegate/regions/geo"
	"github.com/edgegate/edgegate/routing/simulation"
)

const (
	folds = 10
	// noticeable is by how many milliseconds a choice must be worse than the
	// best to be counted.
	noticeable = 5
)

// score sums what a way of choosing regions costs, weighted by population.
type score struct {
	weight, extra, wrong, noticed float64
}

// add counts a choice: the region that is expected to be nearest, by what was
// measured from the city.
func (s *score) add(weight float64, measured, expected []float64) {
	extra := measured[lowest(expected)] - measured[lowest(measured)]
	s.weight += weight
	s.extra += weight * extra
	if extra > 0 {
		s.wrong += weight
	}
	if extra > noticeable {
		s.noticed += weight
	}
}

func (s *score) String() string {
	return fmt.Sprintf("%6.1f ms extra  %4.1f %% wrong region  %4.1f %% more than %d ms",
		s.extra/s.weight, 100*s.wrong/s.weight, 100*s.noticed/s.weight, noticeable)
}

func lowest(ms []float64) int {
	best := 0
	for i := range ms {
		if ms[i] < ms[best] {
			best = i
		}
	}
	return best
}

// method is a way to expect round trips from a city that was not learnt from.
type method struct {
	name   string
	expect func(c *simulation.City, learnt *row) []float64
}

func methods(targets []target, points map[string]geo.Coordinates) []method {
	byLine := func(from geo.Coordinates) []float64 {
		ms := make([]float64, len(targets))
		for i, t := range targets {
			ms[i] = line(from, t.Place)
		}
		return ms
	}
	return []method{
		{"table, coordinates known", func(c *simulation.City, learnt *row) []float64 {
			return learnt.shifted(c.Coordinates, targets)
		}},
		{"table, country only", func(_ *simulation.City, learnt *row) []float64 { return learnt.Milliseconds }},
		// A line rises with distance, so it chooses as the great circle does.
		{"great circle and fitted line", func(c *simulation.City, _ *row) []float64 { return byLine(c.Coordinates) }},
		{"country centroid", func(c *simulation.City, _ *row) []float64 {
			point, ok := points[c.Country]
			if !ok {
				point = c.Coordinates
			}
			return byLine(point)
		}},
	}
}

// evaluate prints what the choices cost that are made for cities by a table
// learnt from the others: k-fold over cities, over whole countries, and both
// without China, which has a quarter of the weight and three cities that agree
// in nothing.
func evaluate(w io.Writer, in *input) error {
	fixed, perKm := leastSquares(in)
	fmt.Fprintf(w, "least squares over all pairs: %.1f ms + %.4f ms/km; used: %.1f + %.4f\n", fixed, perKm, lineFixed, linePerKm)
	for _, split := range []struct {
		name string
		fold []int
	}{
		{"cities that the table has not seen", foldsBy(in.cities, func(c *simulation.City) string { return c.Name + c.Country })},
		{"cities of countries that it has not seen", foldsBy(in.cities, func(c *simulation.City) string { return c.Country })},
	} {
		for _, without := range []string{"", "CN"} {
			fmt.Fprintf(w, "\n%s, %d folds%s\n", split.name, folds, map[bool]string{true: ", without " + without}[without != ""])
			if err := crossValidate(w, in, split.fold, without); err != nil {
				return err
			}
		}
	}
	evaluateOutside(w, in)
	return nil
}

// foldsBy deals the cities out to the folds, those of one key to the same.
func foldsBy(cities []simulation.City, key func(*simulation.City) string) []int {
	var keys []string
	for i := range cities {
		if k := key(&cities[i]); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	//nolint:gosec // a shuffle that must be the same each time
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	fold := make([]int, len(cities))
	for i := range cities {
		fold[i] = slices.Index(keys, key(&cities[i])) % folds
	}
	return fold
}

func crossValidate(w io.Writer, in *input, fold []int, without string) error {
	points := places(in.countries)
	ways := methods(in.targets, points)
	scores := make([]score, len(ways))
	weights := in.weights()
	for f := range folds {
		var train, test []simulation.City
		for i, c := range in.cities {
			if fold[i] == f {
				test = append(test, c)
			} else {
				train = append(train, c)
			}
		}
		m, err := fit(train, in.targets)
		if err != nil {
			return err
		}
		for i := range test {
			c := &test[i]
			point, ok := points[c.Country]
			if !ok {
				point = c.Coordinates
			}
			learnt := m.country(c.Country, point)
			if c.Country == without {
				continue
			}
			for j := range ways {
				scores[j].add(weights[c.Country], in.measured(c), ways[j].expect(c, &learnt))
			}
		}
	}
	for j := range ways {
		fmt.Fprintf(w, "  %-30s %v\n", ways[j].name, &scores[j])
	}
	return nil
}

// leastSquares returns the straight line through all pairs of a city and a
// region.
func leastSquares(in *input) (fixed, perKm float64) {
	var n, x, y, xx, xy float64
	for i := range in.cities {
		for _, t := range in.targets {
			km, ms := in.cities[i].Coordinates.DistanceKm(t.Place), milliseconds(&in.cities[i], t)
			n, x, y, xx, xy = n+1, x+km, y+ms, xx+km*km, xy+km*ms
		}
	}
	perKm = (n*xy - x*y) / (n*xx - x*x)
	return (y - perKm*x) / n, perKm
}
