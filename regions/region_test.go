package regions

import (
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions/geo"
)

func backends(t *testing.T, addresses ...string) []Backend {
	t.Helper()
	var list []Backend
	for _, address := range addresses {
		b, err := ParseBackend(address)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, b)
	}
	return list
}

func TestNewSetErrors(t *testing.T) {
	one := backends(t, "http://10.0.0.1:9000")
	named := func(name string) []Region { return []Region{{Name: name, Backends: one}} }
	berlin := geo.Coordinates{Latitude: 52.5, Longitude: 13.4}
	for _, tc := range []struct {
		name string
		in   []Region
		want string
	}{
		{"none", nil, "no region is configured: add `region NAME { backend http://HOST:PORT }`"},
		{"no name", named(""), `region "": the name is empty`},
		{"any", named("any"), `region "any": the name means every region in x-region and cannot be a region's own`},
		{"Any", named("Any"), `region "Any": the name means every region in x-region and cannot be a region's own`},
		{"comma", named("a,b"), `region "a,b": the name may have letters, digits, - and _ only`},
		{"space", named("a b"), `region "a b": the name may have letters, digits, - and _ only`},
		{"dot", named("a.b"), `region "a.b": the name may have letters, digits, - and _ only`},
		{"line break", named("a\r\nb"), `region "a\r\nb": the name may have letters, digits, - and _ only`},
		{"not ASCII", named("zürich"), `region "zürich": the name may have letters, digits, - and _ only`},
		{"long", named(strings.Repeat("x", 65)), `region "` + strings.Repeat("x", 65) + `": the name has 65 bytes, 64 are possible`},
		{"unknown place", named("lab"), "region \"lab\": the place of this name is not known: add `coordinates LAT LON`"},
		{"near miss", named("eu-west-9"), "region \"eu-west-9\": the place of this name is not known: add `coordinates LAT LON` (did you mean \"eu-west-1\"?)"},
		{"case", named("EU-NORTH-1"), "region \"EU-NORTH-1\": the place of this name is not known: add `coordinates LAT LON` (did you mean \"eu-north-1\"?)"},
		{"off the globe", []Region{{Name: "lab", Backends: one, Coordinates: geo.Coordinates{Latitude: 100, Longitude: 0}, HasCoordinates: true}}, `region "lab": latitude 100 is not within -90 to 90 degrees`},
		{"no backend", []Region{{Name: "lab", Coordinates: berlin, HasCoordinates: true}}, "region \"lab\": no backend: add `backend http://HOST:PORT`, or `dynamic` and where to find them"},
		{"twice the same backend", []Region{{Name: "us-east-1", Backends: append(one[:1:1], one[0])}}, `region "us-east-1": backend "http://10.0.0.1:9000" is listed twice`},
		{"two spellings of a backend", []Region{{Name: "us-east-1", Backends: backends(t, "http://A", "http://a:80")}}, `region "us-east-1": backend "http://a:80" is the same server as "http://A"`},
		{"twice the same name", append(named("us-east-1"), Region{Name: "us-east-1", Backends: backends(t, "http://b")}), `region "us-east-1": the name is used twice`},
		{
			"all problems at once",
			[]Region{{Name: "a b", HasCoordinates: true, Coordinates: geo.Coordinates{Latitude: 0, Longitude: 200}}, {Name: "us-east-1"}},
			`region "a b": the name may have letters, digits, - and _ only` + "\n" +
				`region "a b": longitude 200 is not within -180 to 180 degrees` + "\n" +
				"region \"a b\": no backend: add `backend http://HOST:PORT`, or `dynamic` and where to find them\n" +
				"region \"us-east-1\": no backend: add `backend http://HOST:PORT`, or `dynamic` and where to find them",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set, err := NewSet(tc.in)
			if set != nil {
				t.Errorf("a set beside the error")
			}
			checkError(t, err, tc.want)
		})
	}
}

func TestNewSetAccepts(t *testing.T) {
	set, err := NewSet([]Region{
		{Name: "Lab_1", Backends: backends(t, "http://a"), HasCoordinates: true},
		{Name: "us-east-1", Backends: backends(t, "http://a", "https://a", "http://a:81", "unix//run/a")},
		{Name: "eu-west-1", Backends: backends(t, "http://a"), Coordinates: geo.Coordinates{Latitude: 52.5, Longitude: 13.4}, HasCoordinates: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]geo.Coordinates{
		"Lab_1":     {},
		"us-east-1": {Latitude: 39.04, Longitude: -77.49},
		"eu-west-1": {Latitude: 52.5, Longitude: 13.4},
	} {
		r, ok := set.Lookup(name)
		if !ok || !r.HasCoordinates || r.Coordinates != want {
			t.Errorf("Lookup(%q) = %+v, %v, want coordinates %v", name, r, ok, want)
		}
		if p, ok := set.Place(name); !ok || p != (geo.Place{Region: name, Coordinates: want, Known: true}) {
			t.Errorf("Place(%q) = %+v, %v", name, p, ok)
		}
	}
}

func TestSetDoesNotShareWithItsInput(t *testing.T) {
	in := []Region{{Name: "us-east-1", Backends: backends(t, "http://a"), Bias: time.Second}}
	set, err := NewSet(in)
	if err != nil {
		t.Fatal(err)
	}
	in[0].Name, in[0].Backends[0].Address = "changed", "changed"
	r := set.All()[0]
	if r.Name != "us-east-1" || r.Backends[0].Address != "http://a" || r.Bias != time.Second {
		t.Errorf("the set changed with its input: %+v", r)
	}
}
