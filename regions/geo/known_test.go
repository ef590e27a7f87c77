package geo

import (
	"slices"
	"testing"
)

// Contract 2.4: the 14 regions of the SDK are known with coordinates out of
// the box, and four more.
func TestKnownRegions(t *testing.T) {
	want := []string{
		"ap-east-1", "ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
		"ca-central-1", "eu-central-1", "eu-central-2", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3",
		"sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2",
	}
	names := KnownNames()
	if !slices.Equal(names, want) {
		t.Fatalf("got %q, want %q", names, want)
	}
	places := make(map[Coordinates]string)
	for _, name := range names {
		r, ok := Known(name)
		if !ok || r.Name != name || r.City == "" || len(r.Country) != 2 {
			t.Errorf("Known(%q) = %+v, %v", name, r, ok)
		}
		if err := r.Coordinates.Valid(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if other, twice := places[r.Coordinates]; twice {
			t.Errorf("%s and %s are at the same place", name, other)
		}
		places[r.Coordinates] = name
	}
	for name, want := range map[string]KnownRegion{
		"us-east-2":      {"us-east-2", "Columbus", "US", Coordinates{39.96, -83.00}},
		"eu-north-1":     {"eu-north-1", "Stockholm", "SE", Coordinates{59.33, 18.07}},
		"eu-central-2":   {"eu-central-2", "Zurich", "CH", Coordinates{47.37, 8.54}},
		"ap-east-1":      {"ap-east-1", "Hong Kong", "HK", Coordinates{22.32, 114.17}},
		"ap-southeast-2": {"ap-southeast-2", "Sydney", "AU", Coordinates{-33.87, 151.21}},
	} {
		if got, _ := Known(name); got != want {
			t.Errorf("Known(%q) = %+v, want %+v", name, got, want)
		}
	}
}

func TestKnownRefusesOtherNames(t *testing.T) {
	for _, name := range []string{"", "any", "EU-WEST-1", "eu-west-1 ", "eu-west", "us-west-3", "zz"} {
		if r, ok := Known(name); ok {
			t.Errorf("Known(%q) = %+v", name, r)
		}
	}
}

func TestKnownNamesIsTheCallers(t *testing.T) {
	KnownNames()[0] = "changed"
	if got := KnownNames()[0]; got != "ap-east-1" {
		t.Errorf("a caller changed the built-in names: %q", got)
	}
}
