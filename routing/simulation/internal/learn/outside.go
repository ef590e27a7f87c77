package main

import (
	"fmt"
	"io"
	"math"
)

// evaluateOutside prints how far off the round trips to a region are that is
// not in the table, by leaving each region out in its turn: by the line alone,
// with the detour to the nearest region left, and with that detour fading over
// a distance. geo.ClientRTT does the last.
func evaluateOutside(w io.Writer, in *input) {
	fmt.Fprintln(w, "\nregions that are not in the table, mean error over all cities")
	if len(in.targets) < 2 {
		fmt.Fprintln(w, "  needs two regions at least")
		return
	}
	for _, way := range []struct {
		name   string
		detour func(km float64) float64 // the part of the nearest region's
	}{
		{"line", func(float64) float64 { return 0 }},
		{"line and detour", func(float64) float64 { return 1 }},
		{"detour fading over 2000 km", func(km float64) float64 { return math.Exp(-km / 2000) }},
		{"detour fading over 4000 km", func(km float64) float64 { return math.Exp(-km / 4000) }},
		{"detour fading over 8000 km", func(km float64) float64 { return math.Exp(-km / 8000) }},
	} {
		var sum, n float64
		for i, left := range in.targets {
			near := nearest(in.targets, i)
			part := way.detour(near.Place.DistanceKm(left.Place))
			for j := range in.cities {
				c := &in.cities[j]
				detour := milliseconds(c, near) - line(c.Coordinates, near.Place)
				sum += math.Abs(line(c.Coordinates, left.Place) + part*detour - milliseconds(c, left))
				n++
			}
		}
		fmt.Fprintf(w, "  %-30s %6.1f ms\n", way.name, sum/n)
	}
}

// nearest returns the target next to targets[i].
func nearest(targets []target, i int) target {
	best := -1
	for j := range targets {
		if j != i && (best < 0 || targets[j].Place.DistanceKm(targets[i].Place) < targets[best].Place.DistanceKm(targets[i].Place)) {
			best = j
		}
	}
	return targets[best]
}
