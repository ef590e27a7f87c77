package simulation

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/routing/plan"
)

func TestReadScenario(t *testing.T) {
	s, err := ReadScenario(strings.NewReader(`
name: all # of it
about: every field
duration: 10m
warmup: 30s
rate: 100.5
regions: [eu-central-1, us-east-1]
backends: 4
gateways: [eu-central-1, 52.4 4.9]
service: 10ms
post: 0.5
named: 0.2
misrouted: 0.1
noise: 0.05
headroom: 3
nearest: client
locate: coordinates
events:
  - {kind: down, at: 1m, for: 1m, region: each, every: 2m, backends: 2}
  - {kind: load, at: 5m, for: 1m, factor: 1.5}
`))
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "all" || s.Duration != 10*time.Minute || s.Rate != 100.5 || s.Nearest != plan.NearClient || s.Locate != LocateCoordinates {
		t.Errorf("%+v", s)
	}
	if want := (Event{Kind: KindDown, At: time.Minute, For: time.Minute, Region: "each", Every: 2 * time.Minute, Backends: 2}); len(s.Events) != 2 || s.Events[0] != want {
		t.Errorf("events %+v, want %+v first", s.Events, want)
	}
	cities, err := BuiltInCities()
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(s, cities, PolicyEdgegate)
	if err != nil || r.Automatic == 0 || r.Detected+r.Missed != 0 { // half of the backends are no outage
		t.Errorf("%+v, %v", r, err)
	}
}

func TestReadScenarioDefaults(t *testing.T) {
	s, err := ReadScenario(strings.NewReader("name: short"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Duration != 5*time.Minute || len(s.Regions) != 14 || s.Nearest != plan.NearGateway {
		t.Errorf("%+v", s)
	}
}

func TestReadScenarioErrors(t *testing.T) {
	event := func(fields string) string { return "name: x\nevents:\n  - {" + fields + "}" }
	for text, want := range map[string]string{
		"":                                "line 1: the file is empty; write at least `name: NAME`",
		"a: [":                            "reading YAML: yaml: line 1",
		"name: x\n---\nname: y":           "line 1: there is more than one document",
		"- x":                             "line 1: is no object; write `name: value` lines",
		"rate: 5":                         "line 1: name: is missing",
		"name:":                           "line 1: name: needs a single value",
		"name: [x]":                       "line 1: name: needs a single value",
		"name: x\nrats: 5":                "line 2: rats: no such field (did you mean rate?); there are name, about",
		"name: x\nzzzzzzzzz: 5":           "line 2: zzzzzzzzz: no such field; there are name, about",
		"name: x\nname: y":                "line 2: name: was given on line 1 already",
		"name: x\nrate: many":             `line 2: rate: "many" is no number; allowed is 0.1 to 5000`,
		"name: x\nrate: .nan":             `line 2: rate: ".nan" is no number; allowed is 0.1 to 5000`,
		"name: x\nrate: NaN":              `line 2: rate: NaN is not within 0.1 to 5000`,
		"name: x\nrate: 0":                "line 2: rate: 0 is not within 0.1 to 5000",
		"name: x\nduration: 60":           `line 2: duration: "60" is no duration; write one as 90s, 2m30s or 20ms`,
		"name: x\nduration: 48h":          "line 2: duration: 48h is not within 1s to 24h0m0s",
		"name: x\nwarmup: 5m":             "line 2: warmup: 5m0s is not less than the duration, 5m0s",
		"name: x\nbackends: 2.5":          `line 2: backends: "2.5" is no number from 1 to 16`,
		"name: x\nbackends: {}":           "line 2: backends: needs a single value",
		"name: x\nnearest: me":            `line 2: nearest: "me" is not possible; allowed are gateway, client`,
		"name: x\nnearest: [me]":          "line 2: nearest: needs a single value",
		"name: x\nrate: [1]":              "line 2: rate: needs a single value",
		"name: x\nwarmup: [1]":            "line 2: warmup: needs a single value",
		"name: x\nregions: eu-central-1":  "line 2: regions: is no list; write it as [one, two]",
		"name: x\nregions: []":            "line 2: regions: is no list; write it as [one, two]",
		"name: x\nregions: [[]]":          "line 2: regions[0]: needs a single value",
		"name: x\nregions: [us]":          `line 2: regions[0]: "us" is not in the built-in table; allowed are ap-northeast-1, `,
		"name: x\nregions: [sa, sa]":      `line 2: regions[1]: "sa" is listed twice`,
		"name: x\ngateways:\n  - 5":       `line 3: gateways[0]: "5" is neither a region nor coordinates; allowed are ap-northeast-1, `,
		"name: x\ngateways: [95 5]":       `line 2: gateways[0]: "95 5" is neither a region nor coordinates`,
		"name: x\nevents: 5":              "line 2: events: is no list; write `- kind: ...` below it",
		"name: x\nevents: [5]":            "line 2: events[0]: is no object; write `name: value` lines",
		event("for: 1m"):                  "line 3: events[0].kind: is missing; allowed are down, blackhole",
		event("kind: up, for: 1m"):        `line 3: events[0].kind: "up" is not possible; allowed are down, blackhole`,
		event("kind: down, region: each"): "line 3: events[0].for: is missing\nline 3: events[0].every: goes with `region: each`, and only with it",
		event("kind: down, for: 1m"):      `line 3: events[0].region: "" is not possible; allowed are each, ap-northeast-1, `,
		event("kind: slow, for: 1m, region: us-east-1"):                     "line 3: events[0].factor: is missing; slow needs it",
		event("kind: down, for: 1m, region: us-east-1, percent: 5"):         "line 3: events[0].percent: means nothing with kind down",
		event("kind: load, for: 1m, factor: 2, region: us-east-1"):          "line 3: events[0].region: means nothing with kind load",
		event("kind: load, for: 1m, factor: 2, backends: 1"):                "line 3: events[0].backends: means nothing with kind load",
		event("kind: down, for: 1m, region: us-east-1, backends: 3"):        "line 3: events[0].backends: 3 is more than the 2 of a region",
		event("kind: down, at: 4m30s, for: 1m, region: us-east-1"):          "line 3: events[0].for: ends after 5m30s, the run after 5m0s",
		event("kind: down, for: 1m, region: each, every: 2m"):               "line 3: events[0].for: ends after 27m0s, the run after 5m0s",
		event("kind: down, for: 1m, region: us-east-1") + "\n  - {kind: 5}": `line 4: events[1].kind: "5" is not possible`,
	} {
		_, err := ReadScenario(strings.NewReader(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestScenarioErrorUnwraps(t *testing.T) {
	_, err := ReadScenario(strings.NewReader("name: x\nrats: 5\nrate: 0"))
	problem, ok := errors.AsType[*ScenarioError](err)
	if !ok || problem.Line != 2 || problem.Field != "rats" || problem.Unwrap() == nil {
		t.Errorf("%v", err)
	}
	if n := strings.Count(err.Error(), "line "); n != 2 {
		t.Errorf("%d problems told, want both: %v", n, err)
	}
}

func FuzzReadScenario(f *testing.F) {
	for _, name := range Names() {
		text, err := library.ReadFile("scenarios/" + name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("name: &a [*a]")
	f.Add("a: &a\n  <<: *a")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ReadScenario(strings.NewReader(text))
		if (s == nil) != (err != nil) {
			t.Fatalf("%v and %v", s, err)
		}
		if s != nil && (s.Name == "" || s.Warmup >= s.Duration || len(s.Regions) == 0) {
			t.Fatalf("%+v", s)
		}
	})
}

func TestLoad(t *testing.T) {
	for _, name := range Names() {
		s, err := Load(name)
		if err != nil || s.Name != name || s.About == "" {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	for name, want := range map[string]string{
		"normla": `no scenario has the name "normla"; did you mean normal?`,
		"x":      `no scenario has the name "x"; there are normal, client, `,
	} {
		if _, err := Load(name); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	if files, err := library.ReadDir("scenarios"); err != nil || len(files) != len(Names()) {
		t.Errorf("%d files, %d names, %v", len(files), len(Names()), err)
	}
}
