package geo

import (
	"math"
	"testing"
	"time"
)

func place(t *testing.T, name string) Place {
	t.Helper()
	p, ok := PlaceOf(name)
	if !ok {
		t.Fatalf("%s is not known", name)
	}
	return p
}

// The properties any table of round trips has; a shifted column or another
// unit breaks them.
func TestPriorTableIsPlausible(t *testing.T) {
	for i, from := range priorNames {
		if own := priorMicroseconds[i][i]; own == 0 || own >= 6000 {
			t.Errorf("%s to itself: %d us, want less than 6 ms", from, own)
		}
		a, ok := Known(from)
		if !ok {
			t.Errorf("%s is in the table but not known", from)
		}
		for j, to := range priorNames {
			there, back := float64(priorMicroseconds[i][j]), float64(priorMicroseconds[j][i])
			if math.Abs(there-back) > 3000 {
				t.Errorf("%s to %s takes %v us, back %v us", from, to, there, back)
			}
			b, _ := Known(to)
			// Light in fibre covers 200 km a millisecond, so 100 km of round trip.
			if least := a.Coordinates.DistanceKm(b.Coordinates) * 10; there < least {
				t.Errorf("%s to %s: %v us is faster than light in fibre, %.0f us", from, to, there, least)
			}
		}
	}
}

func TestPriorTableHasTheRegionsOfTheSDK(t *testing.T) {
	if len(priorIndex) != 14 {
		t.Errorf("%d different regions in the table, want 14", len(priorIndex))
	}
	for _, name := range []string{"us-east-2", "eu-north-1", "eu-central-2", "ap-east-1"} {
		if _, ok := priorIndex[name]; ok {
			t.Errorf("%s was not measured but is in the table", name)
		}
	}
}

func TestPrior(t *testing.T) {
	frankfurt := Coordinates{50.11, 8.68}
	line := func(a, b Coordinates) time.Duration {
		return time.Duration((13.5 + 0.0155*a.DistanceKm(b)) * float64(time.Millisecond))
	}
	at := func(c Coordinates) Place { return Place{Coordinates: c, Known: true} }
	stockholm := place(t, "eu-north-1")
	for _, tc := range []struct {
		name     string
		from, to Place
		want     time.Duration
	}{
		{"both in the table", place(t, "eu-central-1"), place(t, "eu-west-3"), 10560 * time.Microsecond},
		{"the table has a direction", place(t, "eu-west-3"), place(t, "eu-central-1"), 10940 * time.Microsecond},
		{"same region is the diagonal", place(t, "us-east-1"), place(t, "us-east-1"), 5060 * time.Microsecond},
		{"name without coordinates", Place{Region: "sa-east-1"}, Place{Region: "us-east-1"}, 116920 * time.Microsecond},
		{"one end not in the table", place(t, "eu-central-1"), stockholm, line(frankfurt, stockholm.Coordinates)},
		{"no end in the table", place(t, "eu-central-2"), stockholm, line(Coordinates{47.37, 8.54}, stockholm.Coordinates)},
		{"same region outside the table", stockholm, stockholm, 13500 * time.Microsecond},
		{"coordinates only", at(frankfurt), place(t, "eu-west-3"), line(frankfurt, Coordinates{48.86, 2.35})},
		{"the zero coordinates are a place", at(Coordinates{}), at(Coordinates{}), 13500 * time.Microsecond},
		{
			"a known name stated more exactly keeps the table",
			Place{Region: "eu-central-1", Coordinates: Coordinates{50.05, 8.9}, Known: true},
			place(t, "eu-west-3"), 10560 * time.Microsecond,
		},
		{
			"a known name moved elsewhere leaves the table",
			Place{Region: "us-east-1", Coordinates: frankfurt, Known: true},
			place(t, "eu-west-3"), line(frankfurt, Coordinates{48.86, 2.35}),
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, ok := Prior(tc.from, tc.to)
			if d := (got - tc.want).Abs(); !ok || d > time.Microsecond {
				t.Errorf("got %v, %v, want %v", got, ok, tc.want)
			}
		})
	}
}

func TestPriorOfUnknownPlaces(t *testing.T) {
	known := place(t, "eu-west-1")
	for _, tc := range []struct {
		name  string
		place Place
	}{
		{"nowhere", Place{}},
		{"unknown name", Place{Region: "lab"}},
		{"coordinates that are not set", Place{Coordinates: Coordinates{52.5, 13.4}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if rtt, ok := Prior(tc.place, known); ok || rtt != 0 {
				t.Errorf("from it: %v, %v", rtt, ok)
			}
			if rtt, ok := Prior(known, tc.place); ok || rtt != 0 {
				t.Errorf("to it: %v, %v", rtt, ok)
			}
		})
	}
}

func BenchmarkPrior(b *testing.B) {
	from, _ := PlaceOf("eu-central-1")
	to, _ := PlaceOf("eu-north-1")
	b.ReportAllocs()
	for b.Loop() {
		Prior(from, to)
	}
}
