package regions

import (
	"slices"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions/geo"
)

func newSet(t testing.TB, rs ...Region) *Set {
	t.Helper()
	for i := range rs {
		if rs[i].Backends == nil {
			rs[i].Backends = []Backend{{Address: "http://h", Scheme: "http", Network: "tcp", DialAddress: "h:80", Host: "h"}}
		}
	}
	set, err := NewSet(rs)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// Contract 2.3 and 2.4: names are case-sensitive, valid ones are those
// configured; their order is the configuration's.
func TestSetLookup(t *testing.T) {
	set := newSet(t, Region{Name: "us-east-1"}, Region{Name: "eu-west-1"}, Region{Name: "ap-south-1"})
	want := []string{"us-east-1", "eu-west-1", "ap-south-1"}
	if got := set.Names(); !slices.Equal(got, want) {
		t.Errorf("Names() = %q, want %q", got, want)
	}
	for i, r := range set.All() {
		if r.Name != want[i] {
			t.Errorf("All()[%d] = %s, want %s", i, r.Name, want[i])
		}
		if got, ok := set.Lookup(want[i]); !ok || got != r {
			t.Errorf("Lookup(%q) = %v, %v, want the region of All", want[i], got, ok)
		}
	}
	for _, name := range []string{"", "any", "US-EAST-1", "us-east-2", "us-east-1 "} {
		if r, ok := set.Lookup(name); ok || r != nil {
			t.Errorf("Lookup(%q) = %v, %v", name, r, ok)
		}
	}
}

func TestSetPlace(t *testing.T) {
	moved := geo.Coordinates{Latitude: 52.5, Longitude: 13.4}
	set := newSet(t, Region{Name: "us-east-1", Coordinates: moved, HasCoordinates: true})
	for _, tc := range []struct {
		name string
		want geo.Coordinates
		ok   bool
	}{
		{"us-east-1", moved, true},
		{"eu-west-1", geo.Coordinates{Latitude: 53.35, Longitude: -6.26}, true},
		{"lab", geo.Coordinates{}, false},
	} {
		if got, ok := set.Place(tc.name); ok != tc.ok || got.Coordinates != tc.want || got.Known != tc.ok {
			t.Errorf("Place(%q) = %+v, %v", tc.name, got, ok)
		}
	}
}

func TestOrder(t *testing.T) {
	three := []Region{{Name: "us-east-1"}, {Name: "ap-south-1"}, {Name: "eu-west-1"}}
	biased := func(bias time.Duration) []Region {
		rs := slices.Clone(three)
		rs[2].Bias = bias
		return rs
	}
	lab := Region{Name: "lab", Coordinates: geo.Coordinates{Latitude: 52.5, Longitude: 13.4}, HasCoordinates: true}
	twin := lab
	twin.Name = "twin"
	for _, tc := range []struct {
		name    string
		regions []Region
		from    geo.Place
		want    []string
	}{
		{"from Frankfurt", three, geo.Place{Region: "eu-central-1"}, []string{"eu-west-1", "us-east-1", "ap-south-1"}},
		{"from Tokyo", three, geo.Place{Region: "ap-northeast-1"}, []string{"ap-south-1", "us-east-1", "eu-west-1"}},
		{"own region", three, geo.Place{Region: "us-east-1"}, []string{"us-east-1", "eu-west-1", "ap-south-1"}},
		{"from coordinates", three, geo.Place{Coordinates: geo.Coordinates{Latitude: -1.29, Longitude: 36.82}, Known: true}, []string{"ap-south-1", "eu-west-1", "us-east-1"}},
		{"bias not enough", biased(60 * time.Millisecond), geo.Place{Region: "eu-central-1"}, []string{"eu-west-1", "us-east-1", "ap-south-1"}},
		{"bias enough", biased(70 * time.Millisecond), geo.Place{Region: "eu-central-1"}, []string{"us-east-1", "eu-west-1", "ap-south-1"}},
		{"bias that attracts", biased(-200 * time.Millisecond), geo.Place{Region: "us-east-1"}, []string{"eu-west-1", "us-east-1", "ap-south-1"}},
		{"region without built-in coordinates", append([]Region{{Name: "us-east-1"}}, lab), geo.Place{Region: "eu-central-1"}, []string{"lab", "us-east-1"}},
		{"equals keep the configuration's order", []Region{twin, lab}, geo.Place{Region: "eu-central-1"}, []string{"twin", "lab"}},
		{"equals the other way round", []Region{lab, twin}, geo.Place{Region: "eu-central-1"}, []string{"lab", "twin"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set := newSet(t, slices.Clone(tc.regions)...)
			order, ranked := set.Order(tc.from)
			if !ranked {
				t.Fatal("not ranked")
			}
			var got []string
			for i, r := range order {
				got = append(got, r.Region.Name)
				prior, ok := geo.Prior(tc.from, r.Region.Place())
				if !ok || r.Prior != prior || r.Score != prior+r.Region.Bias {
					t.Errorf("%s: prior %v, score %v, want %v and the bias %v", r.Region.Name, r.Prior, r.Score, prior, r.Region.Bias)
				}
				if i > 0 && order[i-1].Score > r.Score {
					t.Errorf("%s is before one with a better score", order[i-1].Region.Name)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// Contract 2.7: without a location or a measurement the order is the
// configuration's, and the reason will be `default`.
func TestOrderFromNowhere(t *testing.T) {
	set := newSet(t, Region{Name: "us-east-1", Bias: time.Second}, Region{Name: "eu-west-1"})
	for _, from := range []geo.Place{{}, {Region: "lab"}} {
		order, ranked := set.Order(from)
		if ranked {
			t.Errorf("%+v: ranked", from)
		}
		want := []Ranked{{Region: set.All()[0]}, {Region: set.All()[1]}}
		if !slices.Equal(order, want) {
			t.Errorf("%+v: got %+v", from, order)
		}
	}
}

func TestOrderIsTheCallers(t *testing.T) {
	set := newSet(t, Region{Name: "us-east-1"}, Region{Name: "eu-west-1"})
	order, _ := set.Order(geo.Place{Region: "eu-west-2"})
	clear(order)
	if again, _ := set.Order(geo.Place{Region: "eu-west-2"}); again[0].Region == nil || again[0].Region.Name != "eu-west-1" {
		t.Errorf("a caller changed the order: %+v", again)
	}
	if got := set.Names(); !slices.Equal(got, []string{"us-east-1", "eu-west-1"}) {
		t.Errorf("ordering changed the set: %q", got)
	}
}

func BenchmarkOrder(b *testing.B) {
	var rs []Region
	for _, name := range geo.KnownNames() {
		rs = append(rs, Region{Name: name})
	}
	set := newSet(b, rs...)
	from, _ := geo.PlaceOf("eu-central-1")
	b.ReportAllocs()
	for b.Loop() {
		set.Order(from)
	}
}

func BenchmarkLookup(b *testing.B) {
	set := newSet(b, Region{Name: "us-east-1"}, Region{Name: "eu-west-1"}, Region{Name: "ap-south-1"})
	b.ReportAllocs()
	for b.Loop() {
		set.Lookup("eu-west-1")
	}
}
