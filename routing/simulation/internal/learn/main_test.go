package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/regions/geo"
)

// world is a small one: Frankfurt, three cities of two countries that reach
// Tokyo by 60 ms more than others do, and a country that nobody measured.
func world(t *testing.T) (cities, countries string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("city,country,lat,lon,ap-northeast-1,eu-central-1,own\n")
	for _, c := range []struct {
		name, country string
		at            geo.Coordinates
		detour        float64
	}{
		{"Berlin", "DE", geo.Coordinates{Latitude: 52.5, Longitude: 13.4}, 0},
		{"Munich", "DE", geo.Coordinates{Latitude: 48.1, Longitude: 11.6}, 0},
		{"Madrid", "ES", geo.Coordinates{Latitude: 40.4, Longitude: -3.7}, 0},
		{"Seoul", "KR", geo.Coordinates{Latitude: 37.6, Longitude: 127.0}, 60},
		{"Busan", "KR", geo.Coordinates{Latitude: 35.2, Longitude: 129.1}, 60},
		{"Taipei", "TW", geo.Coordinates{Latitude: 25.0, Longitude: 121.6}, 60},
		{"Sydney", "AU", geo.Coordinates{Latitude: -33.9, Longitude: 151.2}, 0},
		{"Perth", "AU", geo.Coordinates{Latitude: -31.9, Longitude: 115.9}, 0},
		{"Boston", "US", geo.Coordinates{Latitude: 42.4, Longitude: -71.1}, 0},
		{"Denver", "US", geo.Coordinates{Latitude: 39.7, Longitude: -105.0}, 0},
	} {
		tokyo, _ := geo.Known("ap-northeast-1")
		frankfurt, _ := geo.Known("eu-central-1")
		fmt.Fprintf(&b, "%s,%s,%.1f,%.1f,%.3f,%.3f,1\n", c.name, c.country, c.at.Latitude, c.at.Longitude,
			line(c.at, tokyo.Coordinates)+c.detour, line(c.at, frankfurt.Coordinates))
	}
	dir := t.TempDir()
	cities, countries = filepath.Join(dir, "cities.csv"), filepath.Join(dir, "countries.csv")
	write(t, cities, b.String())
	write(t, countries, `# source
iso2,iso3,name,population_2024,lat,lon,centroid_source
US,USA,United States,340000000,39,-98,360info
DE,DEU,Germany,83000000,51,10,360info
ES,ESP,Spain,48000000,40,-4,360info
KR,KOR,South Korea,51000000,36,128,360info
KP,PRK,North Korea,26000000,40,127,360info
AU,AUS,Australia,27000000,-25,134,360info
PS,PSE,Palestine,5000000,31.9,35.2,mledoze
ZW,ZWE,Zimbabwe,16000000,-19,30,mledoze
`)
	return cities, countries
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestModel(t *testing.T) {
	in, err := read(world(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(in.targets) != 2 || in.targets[0].Name != "ap-northeast-1" {
		t.Fatalf("targets %v, want the known regions, sorted", in.targets)
	}
	m, err := fit(in.cities, in.targets)
	if err != nil {
		t.Fatal(err)
	}
	tokyo := func(r row) float64 { return r.Milliseconds[0] - line(r.Place, in.targets[0].Place) }
	points := places(in.countries)
	korea, north := m.country("KR", points["KR"]), m.country("KP", points["KP"])
	germany, us := m.country("DE", points["DE"]), m.country("US", points["US"])
	if d := tokyo(korea); d < 45 || d > 62 {
		t.Errorf("a country with two cities has a detour of %.1f ms, theirs is 60", d)
	}
	if d := tokyo(north); d < 30 || d >= tokyo(korea) {
		t.Errorf("its neighbour has a detour of %.1f ms, want less than %.1f but near", d, tokyo(korea))
	}
	for _, far := range []row{germany, us} {
		if d := tokyo(far); d < -5 || d > 15 {
			t.Errorf("%s, far away, has a detour of %.1f ms, want about 0", far.Code, d)
		}
	}
	if germany.Place.DistanceKm(geo.Coordinates{Latitude: 50.3, Longitude: 12.5}) > 20 {
		t.Errorf("the middle of Berlin and Munich is %v", germany.Place)
	}
	if north.Place != points["KP"] {
		t.Errorf("a country without cities is at %v, want its centroid", north.Place)
	}
}

func TestShiftedFollowsTheLine(t *testing.T) {
	targets := []target{{"a", geo.Coordinates{}}}
	r := row{Place: geo.Coordinates{Latitude: 10}, Milliseconds: []float64{100}}
	farther := r.shifted(geo.Coordinates{Latitude: 20}, targets)[0]
	if want := 100 + linePerKm*1111.95; farther < want-0.1 || farther > want+0.1 {
		t.Errorf("ten degrees farther: %.2f ms, want %.2f", farther, want)
	}
}

func TestPlacesLeavesODbLOut(t *testing.T) {
	in, err := read(world(t))
	if err != nil {
		t.Fatal(err)
	}
	points := places(in.countries)
	if _, ok := points["ZW"]; ok {
		t.Error("a centroid under the ODbL is used")
	}
	if points["PS"] != capitals["PS"] || points["PS"] == (geo.Coordinates{}) {
		t.Errorf("PS is at %v, want its capital", points["PS"])
	}
	for code, c := range capitals {
		if len(code) != 2 || c.Valid() != nil {
			t.Errorf("%s: %v", code, c)
		}
	}
}

func TestRunWritesSource(t *testing.T) {
	cities, countries := world(t)
	dir := t.TempDir()
	out := func(name string) string { return filepath.Join(dir, name) }
	err := run([]string{"-cities", cities, "-countries", countries, "-table", out("table.go"), "-holdout", out("holdout.go"), "-populations", out("populations.go")}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"table.go":       {"package geo", "3179c6e", "MIT licence", "CC BY 4.0", "no\n// centroid under the ODbL", "\t\"ap-northeast-1\",\n\t\"eu-central-1\",\n}", `{"KP", Coordinates{40.00, 127.00}, [...]uint16{`, `{"TW", `},
		"holdout.go":     {"package geo", "MIT licence", "var holdoutCountries", "var holdoutCities"},
		"populations.go": {"package simulation", "ODC-PDDL", "\t{\"AU\", 27000000},\n\t{\"DE\", 83000000},"},
	} {
		source, err := os.ReadFile(out(name))
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if !ast.IsGenerated(file) {
			t.Errorf("%s is not marked as generated", name)
		}
		for _, part := range want {
			if !strings.Contains(string(source), part) {
				t.Errorf("%s: %q is missing in\n%s", name, part, source)
			}
		}
		if strings.Contains(string(source), filepath.Dir(cities)) {
			t.Errorf("%s has the path of the data", name)
		}
	}
}

// A held-out city that was learnt from would prove nothing.
func TestHoldoutLearnsFromTheOthersOnly(t *testing.T) {
	in, err := read(world(t))
	if err != nil {
		t.Fatal(err)
	}
	before, err := renderHoldout(in)
	if err != nil {
		t.Fatal(err)
	}
	rows := func(source []byte) string {
		text, _, _ := strings.Cut(string(source), "// holdoutCities")
		return text
	}
	held := 0
	for i := range in.cities {
		if _, list, _ := strings.Cut(string(before), "// holdoutCities"); strings.Contains(list, `"`+in.cities[i].Name+`"`) {
			in.cities[i].RTT["ap-northeast-1"] *= 2
			held++
		}
	}
	after, err := renderHoldout(in)
	if err != nil {
		t.Fatal(err)
	}
	if held == 0 || rows(before) != rows(after) || bytes.Equal(before, after) {
		t.Errorf("%d cities held out; rows the same: %v; all the same: %v", held, rows(before) == rows(after), bytes.Equal(before, after))
	}
}

func TestEvaluate(t *testing.T) {
	cities, countries := world(t)
	var out bytes.Buffer
	if err := run([]string{"-cities", cities, "-countries", countries, "-evaluate"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"least squares", "has not seen", "without CN", "table, country only", "great circle", "country centroid", "not in the table"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
}

func TestRunErrors(t *testing.T) {
	cities, countries := world(t)
	bad := filepath.Join(t.TempDir(), "bad.csv")
	write(t, bad, "iso2,iso3,name,population,lat,lon,source\nDE,DEU,Germany,many,1,2,x\n")
	strange := filepath.Join(t.TempDir(), "strange.csv")
	write(t, strange, "city,country,lat,lon,own\nA,DE,1,2,3\n")
	out := filepath.Join(t.TempDir(), "out.go")
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"no input", []string{"-table", out}, "both -cities FILE and -countries FILE are needed"},
		{"no such file", []string{"-cities", out, "-countries", countries}, "reading cities"},
		{"a population that is no number", []string{"-cities", cities, "-countries", bad, "-table", out}, "population of DE"},
		{"no region that is known", []string{"-cities", strange, "-countries", countries, "-table", out}, "none of the regions is a known one"},
		{"an unknown flag", []string{"-x"}, "parsing arguments"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := run(tc.args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
			if _, err := os.Stat(out); err == nil {
				t.Error("something was written")
			}
		})
	}
}
