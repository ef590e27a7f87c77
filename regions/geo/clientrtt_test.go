package geo

import (
	"math"
	"slices"
	"testing"
	"time"
)

func knownPlace(t testing.TB, name string) Place {
	t.Helper()
	known, ok := Known(name)
	if !ok {
		t.Fatalf("%s is no known region", name)
	}
	return Place{Region: name, Coordinates: known.Coordinates, Known: true}
}

func tabulatedPlaces(t testing.TB) []Place {
	t.Helper()
	list := make([]Place, len(clientRegions))
	for i, name := range clientRegions {
		list[i] = knownPlace(t, name)
	}
	return list
}

// nearestTo returns the index of the region with the lowest round trip.
func nearestTo(t testing.TB, table *clientTable, c Client, list []Place) int {
	t.Helper()
	best, lowest := -1, time.Duration(math.MaxInt64)
	for i, r := range list {
		rtt, ok := table.rtt(&c, TargetOf(r))
		if !ok {
			t.Fatalf("nothing is known of %+v to %s", c, r.Region)
		}
		if rtt < lowest {
			best, lowest = i, rtt
		}
	}
	return best
}

// The gain that the table is there for: on cities that it has
// not seen it costs less than the great circle, and at most 10 ms.
func TestClientRTTBeatsTheGreatCircleOnCitiesItHasNotSeen(t *testing.T) {
	list := tabulatedPlaces(t)
	extra := func(expect func(country string, at Coordinates) int) float64 {
		var sum, weight float64
		for _, city := range holdoutCities {
			chosen := city.tenths[expect(city.country, city.at)]
			sum += city.weight * float64(chosen-slices.Min(city.tenths[:])) / 10
			weight += city.weight
		}
		return sum / weight
	}
	held := newClientTable(holdoutCountries)
	byCircle := extra(func(_ string, at Coordinates) int {
		best := 0
		for i, r := range list {
			if at.DistanceKm(r.Coordinates) < at.DistanceKm(list[best].Coordinates) {
				best = i
			}
		}
		return best
	})
	byCountry := extra(func(country string, _ Coordinates) int {
		return nearestTo(t, held, Client{Country: country}, list)
	})
	byPlace := extra(func(country string, at Coordinates) int {
		return nearestTo(t, held, Client{Country: country, Coordinates: at, HasCoordinates: true}, list)
	})
	t.Logf("mean extra: great circle %.2f ms, country %.2f ms, country and coordinates %.2f ms", byCircle, byCountry, byPlace)
	for how, mean := range map[string]float64{"country": byCountry, "country and coordinates": byPlace} {
		if !(mean < byCircle && mean <= 10) {
			t.Errorf("by %s the choice costs %.2f ms more than the best, by the great circle %.2f ms", how, mean, byCircle)
		}
	}
}

// The table could be corrected by the round trips that a gateway measures on clients' connections, the prior weighing as
// much as 20 observations. But a gateway measures the way to its own region only, and with it the client's last mile, which the
// table has not: at 20 ms of it the correction makes choices worse, though the gateway stands where it helps most. It
// would also let clients steer their country by answering late. So the table is not corrected.
func TestCorrectionByOneGatewayMisroutes(t *testing.T) {
	list := tabulatedPlaces(t)
	held := newClientTable(holdoutCountries)
	const prior = 20
	extra := func(observations, lastMile float64) float64 {
		var sum, weight float64
		for _, city := range holdoutCities {
			nearest := slices.Min(city.tenths[:])
			here := slices.Index(city.tenths[:], nearest)
			best, lowest := 0, math.Inf(1)
			for i, r := range list {
				rtt, _ := held.rtt(&Client{Country: city.country}, TargetOf(r))
				ms := float64(rtt) / float64(time.Millisecond)
				if i == here {
					ms = (prior*ms + observations*(float64(city.tenths[i])/10+lastMile)) / (prior + observations)
				}
				if ms < lowest {
					best, lowest = i, ms
				}
			}
			sum += city.weight * float64(city.tenths[best]-nearest) / 10
			weight += city.weight
		}
		return sum / weight
	}
	none, wired, mobile := extra(0, 0), extra(200, 0), extra(200, 20)
	t.Logf("mean extra: no correction %.2f ms, corrected %.2f ms, with a last mile of 20 ms %.2f ms", none, wired, mobile)
	if wired > none || mobile < none {
		t.Error("the correction is worth another look")
	}
}

func TestClientRTTColumnsAreThoseOfPrior(t *testing.T) {
	names := slices.Clone(priorNames[:])
	slices.Sort(names)
	if !slices.Equal(names, clientRegions[:]) {
		t.Errorf("columns %v, those of Prior are %v", clientRegions, names)
	}
}

func TestClientRTTByCountry(t *testing.T) {
	list := tabulatedPlaces(t)
	for _, tc := range []struct {
		name string
		c    Client
		want []string // any of them
	}{
		{"a country that was measured", Client{Country: "DE"}, []string{"eu-central-1"}},
		{"one that was not, and where the great circle leads elsewhere", Client{Country: "KE"}, []string{"eu-central-1", "eu-west-1", "eu-west-2", "eu-west-3"}},
		{"one that is known by its capital only", Client{Country: "PR"}, []string{"us-east-1", "ca-central-1"}},
		{"one of several regions", Client{Country: "US"}, []string{"us-east-1", "us-west-1", "us-west-2", "ca-central-1"}},
		{"its east coast", Client{Country: "US", Coordinates: Coordinates{40.7, -74.0}, HasCoordinates: true}, []string{"us-east-1", "ca-central-1"}},
		{"its west coast", Client{Country: "US", Coordinates: Coordinates{37.8, -122.4}, HasCoordinates: true}, []string{"us-west-1"}},
		{"coordinates alone", Client{Coordinates: Coordinates{-37.8, 145.0}, HasCoordinates: true}, []string{"ap-southeast-2"}},
		{"coordinates and a code of no country", Client{Country: "ZZ", Coordinates: Coordinates{48.9, 2.4}, HasCoordinates: true}, []string{"eu-west-3"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := list[nearestTo(t, clients, tc.c, list)].Region; !slices.Contains(tc.want, got) {
				t.Errorf("nearest is %s, want one of %v", got, tc.want)
			}
		})
	}
}

func TestClientRTTUnknown(t *testing.T) {
	region := knownPlace(t, "eu-west-1")
	for _, tc := range []struct {
		name string
		c    Client
		r    Place
	}{
		{"nowhere", Client{}, region},
		{"a code of no country", Client{Country: "ZZ"}, region},
		{"lower case", Client{Country: "de"}, region},
		{"no letters", Client{Country: "1!"}, region},
		{"a letter and what follows Z", Client{Country: "A["}, region},
		{"three letters", Client{Country: "DEU"}, region},
		{"a region without a place", Client{Country: "DE"}, Place{Region: "basement"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if rtt, ok := ClientRTT(tc.c, TargetOf(tc.r)); ok {
				t.Errorf("got %v, want nothing", rtt)
			}
		})
	}
}

func TestClientRTTToRegionsOutsideTheTable(t *testing.T) {
	near := func(t *testing.T, c Client, r Place, from, to time.Duration) {
		t.Helper()
		if rtt, ok := ClientRTT(c, TargetOf(r)); !ok || rtt < from || rtt > to {
			t.Errorf("%s to %s: %v, %v, want %v to %v", c.Country, r.Region, rtt, ok, from, to)
		}
	}
	frankfurt := Client{Country: "DE", Coordinates: Coordinates{50.11, 8.68}, HasCoordinates: true}
	t.Run("a known name near one of the table", func(t *testing.T) {
		known, _ := ClientRTT(Client{Country: "DE"}, TargetOf(knownPlace(t, "eu-central-1")))
		near(t, Client{Country: "DE"}, knownPlace(t, "eu-central-2"), known, known+20*time.Millisecond)
	})
	t.Run("the name of another place gets the other place's", func(t *testing.T) {
		moved := Place{Region: "eu-central-1", Coordinates: Coordinates{-33.87, 151.21}, Known: true}
		near(t, frankfurt, moved, 250*time.Millisecond, 350*time.Millisecond)
	})
	t.Run("a name of one's own in a city of the table is like it", func(t *testing.T) {
		sydney := knownPlace(t, "ap-southeast-2")
		own := Place{Region: "down-under", Coordinates: sydney.Coordinates, Known: true}
		want, _ := ClientRTT(frankfurt, TargetOf(sydney))
		near(t, frankfurt, own, want-time.Microsecond, want+time.Microsecond)
	})
	t.Run("coordinates alone follow the line", func(t *testing.T) {
		frankfurt.Country = ""
		own := Place{Region: "own", Coordinates: Coordinates{50.11, 8.68}, Known: true}
		near(t, frankfurt, own, 24100*time.Microsecond, 24101*time.Microsecond)
	})
}

// Light is the limit: no place in a country gets a round trip below it, however
// much nearer to the region than the country's middle it is.
func TestClientRTTIsNeverFasterThanLight(t *testing.T) {
	list := append(tabulatedPlaces(t), knownPlace(t, "eu-north-1"), knownPlace(t, "ap-east-1"))
	for _, country := range clientCountries {
		for lat := -90.0; lat <= 90; lat += 15 {
			for lon := -180.0; lon <= 180; lon += 15 {
				at := Coordinates{lat, lon}
				for _, r := range list {
					rtt, ok := ClientRTT(Client{Country: country.code, Coordinates: at, HasCoordinates: true}, TargetOf(r))
					if km := at.DistanceKm(r.Coordinates); !ok || rtt < time.Duration(lightPerKm*km*1e6)-time.Microsecond {
						t.Fatalf("%s at %v to %s, %.0f km: %v, %v", country.code, at, r.Region, km, rtt, ok)
					}
				}
			}
		}
	}
}

func TestUnitVectorsGiveTheSameDistances(t *testing.T) {
	points := []Coordinates{{0, 0}, {90, 0}, {-90, 12}, {50.11, 8.68}, {50.11, 8.681}, {-33.87, 151.21}, {33.87, -28.79}, {0, 180}, {0, -180}}
	for _, a := range points {
		for _, b := range points {
			from, to := unitOf(a), unitOf(b)
			if got, want := from.km(&to), a.DistanceKm(b); math.Abs(got-want) > 1e-3 {
				t.Errorf("%v to %v: %v km, want %v", a, b, got, want)
			}
		}
	}
}

func BenchmarkClientRTT(b *testing.B) {
	nairobi := Coordinates{-1.29, 36.82}
	for _, bc := range []struct {
		name, region string
		c            Client
	}{
		{"country", "eu-west-1", Client{Country: "KE"}},
		{"country_and_coordinates", "eu-west-1", Client{Country: "KE", Coordinates: nairobi, HasCoordinates: true}},
		{"coordinates", "eu-west-1", Client{Coordinates: nairobi, HasCoordinates: true}},
		{"region_outside_the_table", "eu-north-1", Client{Country: "KE", Coordinates: nairobi, HasCoordinates: true}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			to := TargetOf(knownPlace(b, bc.region))
			b.ReportAllocs()
			for b.Loop() {
				ClientRTT(bc.c, to)
			}
		})
	}
}
