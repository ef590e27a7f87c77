package simulation

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions/geo"
)

const twoCities = `# source: somewhere
# another comment
city,country,lat,lon,eu-west-1,own
Nairobi,KE,-1.29,36.82,152.125,0.0
"Fort, The",GB,51.5,-0.13,11.4321,2000
`

func TestReadCities(t *testing.T) {
	cities, err := ReadCities(strings.NewReader(twoCities))
	if err != nil {
		t.Fatal(err)
	}
	if len(cities) != 2 {
		t.Fatalf("%d cities, want 2", len(cities))
	}
	nairobi, fort := cities[0], cities[1]
	if nairobi.Name != "Nairobi" || nairobi.Country != "KE" || nairobi.Coordinates != (geo.Coordinates{Latitude: -1.29, Longitude: 36.82}) {
		t.Errorf("got %+v", nairobi)
	}
	if nairobi.RTT["eu-west-1"] != 152125*time.Microsecond || nairobi.RTT["own"] != 0 || len(nairobi.RTT) != 2 {
		t.Errorf("Nairobi: %v", nairobi.RTT)
	}
	if fort.Name != "Fort, The" || fort.RTT["eu-west-1"] != 11432*time.Microsecond || fort.RTT["own"] != 2*time.Second {
		t.Errorf("got %+v", fort)
	}
	client := fort.Client()
	if client.Country != "GB" || client.Coordinates != fort.Coordinates || !client.HasCoordinates {
		t.Errorf("client %+v", client)
	}
}

func TestReadCitiesErrors(t *testing.T) {
	const head = "# a comment\ncity,country,lat,lon,eu-west-1\n"
	for _, tc := range []struct{ name, csv, want string }{
		{"empty", "# nothing\n", "the file has no lines; write city,country,lat,lon and the regions' names in the first"},
		{"no cities", head, "the file has no cities; write one a line after the first"},
		{"no regions", "city,country,lat,lon\n", "line 1: the first line must be city,country,lat,lon and at least one region's name"},
		{"other columns", "# a comment\ncity,cc,lat,lon,a\n", "line 2: the first line must be city,country,lat,lon and at least one region's name"},
		{"a region twice", "city,country,lat,lon,a,a\n", `line 1: region "a" is empty or twice there; each needs one name of its own`},
		{"a region without a name", "city,country,lat,lon,\n", `line 1: region "" is empty or twice there; each needs one name of its own`},
		{"a value missing", head + "A,DE,1,2\n", "line 3: 4 values, want 5 as in the first line"},
		{"no city", head + ",DE,1,2,3\n", `line 3, column city: "" is empty; write the city's name`},
		{"a country's name", head + "A,DE,1,2,3\nB,Germany,1,2,3\n", `line 4, column country: "Germany" is no country; write two capital letters (ISO 3166-1 alpha-2)`},
		{"a latitude in words", head + "A,DE,50N,2,3\n", `line 3, column lat: "50N" is no number; write decimal degrees`},
		{"a longitude first", head + "A,DE,139.7,35.7,3\n", `line 3, column lat: "139.7" is not on earth; write decimal degrees, latitude before longitude`},
		{"a longitude off the earth", head + "A,DE,1,181,3\n", `line 3, column lon: "181" is not on earth; write decimal degrees, latitude before longitude`},
		{"no round trip", head + "A,DE,1,2,\n", `line 3, column eu-west-1: "" is no number; write milliseconds`},
		{"with a unit", head + "A,DE,1,2,3ms\n", `line 3, column eu-west-1: "3ms" is no number; write milliseconds`},
		{"below zero", head + "A,DE,1,2,-1\n", `line 3, column eu-west-1: "-1" is not within 0 to 2000; write milliseconds`},
		{"microseconds", head + "A,DE,1,2,12345\n", `line 3, column eu-west-1: "12345" is not within 0 to 2000; write milliseconds`},
		{"not a number", head + "A,DE,1,2,NaN\n", `line 3, column eu-west-1: "NaN" is not within 0 to 2000; write milliseconds`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ReadCities(strings.NewReader(tc.csv))
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
	t.Run("of CSV itself", func(t *testing.T) {
		_, err := ReadCities(strings.NewReader(head + "A,DE,\"1,2,3\n"))
		if err == nil || !strings.Contains(err.Error(), "line 3") {
			t.Errorf("got %v, want the line", err)
		}
	})
	t.Run("with its place", func(t *testing.T) {
		_, err := ReadCities(strings.NewReader(head + "A,DE,1,2,x\n"))
		var wrong *CSVError
		if !errors.As(err, &wrong) || wrong.Line != 3 || wrong.Column != "eu-west-1" || wrong.Cell != "x" {
			t.Errorf("got %+v", wrong)
		}
	})
}

// What the reader lets pass can be replayed: places on earth, round trips of
// every region, none below zero.
func FuzzReadCities(f *testing.F) {
	f.Add(twoCities)
	f.Add("city,country,lat,lon,a\nA,DE,NaN,1e400,0x1p-2\n")
	f.Fuzz(func(t *testing.T, text string) {
		cities, err := ReadCities(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, c := range cities {
			if c.Coordinates.Valid() != nil || len(c.Country) != 2 || len(c.RTT) != len(cities[0].RTT) {
				t.Fatalf("%+v", c)
			}
			for region, rtt := range c.RTT {
				if rtt < 0 || rtt > 2*time.Second {
					t.Fatalf("%s: %v", region, rtt)
				}
			}
		}
	})
}

func TestPopulations(t *testing.T) {
	people := Populations()
	var world int64
	for code, n := range people {
		if !isCountry(code) || n <= 0 {
			t.Errorf("%q: %d", code, n)
		}
		world += n
	}
	if world < 7.5e9 || world > 9e9 {
		t.Errorf("%d people in the world", world)
	}
	if !slices.IsSortedFunc(populations[:], func(a, b struct {
		country string
		people  int64
	},
	) int {
		return strings.Compare(a.country, b.country)
	}) {
		t.Error("populations are not sorted")
	}
}
