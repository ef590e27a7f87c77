package geo

import (
	"math"
	"testing"
)

func TestCoordinatesValid(t *testing.T) {
	for _, tc := range []struct {
		name string
		c    Coordinates
		want string
	}{
		{"origin", Coordinates{0, 0}, ""},
		{"corners", Coordinates{-90, 180}, ""},
		{"other corners", Coordinates{90, -180}, ""},
		{"latitude above", Coordinates{90.01, 0}, "latitude 90.01 is not within -90 to 90 degrees"},
		{"latitude below", Coordinates{-91, 0}, "latitude -91 is not within -90 to 90 degrees"},
		{"longitude above", Coordinates{0, 181}, "longitude 181 is not within -180 to 180 degrees"},
		{"latitude not a number", Coordinates{math.NaN(), 0}, "latitude NaN is not within -90 to 90 degrees"},
		{"longitude infinite", Coordinates{0, math.Inf(-1)}, "longitude -Inf is not within -180 to 180 degrees"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkError(t, tc.c.Valid(), tc.want)
		})
	}
}

func TestDistanceKm(t *testing.T) {
	half := math.Pi * earthRadiusKm
	for _, tc := range []struct {
		name       string
		a, b       Coordinates
		want, give float64
	}{
		{"same point", Coordinates{50.11, 8.68}, Coordinates{50.11, 8.68}, 0, 0},
		{"a degree of the equator", Coordinates{0, 0}, Coordinates{0, 1}, 2 * half / 360, 1e-6},
		{"a degree of a meridian", Coordinates{50, 9}, Coordinates{51, 9}, 2 * half / 360, 1e-6},
		{"over the date line", Coordinates{0, 179.5}, Coordinates{0, -179.5}, 2 * half / 360, 1e-6},
		{"pole to pole", Coordinates{90, 0}, Coordinates{-90, 77}, half, 1e-6},
		{"antipodes", Coordinates{51.51, -0.13}, Coordinates{-51.51, 179.87}, half, 1e-3},
		{"London to New York", Coordinates{51.5074, -0.1278}, Coordinates{40.7128, -74.0060}, 5570, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, got := range []float64{tc.a.DistanceKm(tc.b), tc.b.DistanceKm(tc.a)} {
				// Written so that NaN fails too.
				if !(math.Abs(got-tc.want) <= tc.give) {
					t.Errorf("got %v km, want %v within %v", got, tc.want, tc.give)
				}
			}
		})
	}
}

// checkError compares an error with its exact text, "" for none.
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("error\n got: %s\nwant: %s", got, want)
	}
}
