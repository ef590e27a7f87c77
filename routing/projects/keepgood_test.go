package projects

import (
	"fmt"
	"strings"
	"testing"
)

// Records that are written one by one: one in error must not take the others
// down, nor what it said before.

// written makes an Input of what each ref or id has.
func written(organizations, projects map[string]string, order ...string) Input {
	in := Input{KeepGood: true}
	for _, key := range order {
		if text, ok := organizations[key]; ok {
			in.Organizations = append(in.Organizations, Record{Path: "o " + key, Key: key, JSON: []byte(text)})
		}
		if text, ok := projects[key]; ok {
			in.Projects = append(in.Projects, Record{Path: "p " + key[:1], Key: key, JSON: []byte(text)})
		}
	}
	return in
}

func TestBuildKeepGood(t *testing.T) {
	type texts = map[string]string
	const bad = `{"domains":["a b"]}`
	tests := []struct {
		name          string
		before, after texts
		order         []string
		hosts         string // host=ref of what is found after, by a space; host= for not found
		errors        string
		kept, dropped int
	}{
		{"good", nil, texts{refA: `{"domains":["x.test"]}`}, nil, "x.test=" + refA, "", 0, 0},
		{"the ref may be said twice", nil, texts{refA: `{"ref":"` + refA + `","domains":["x.test"]}`}, nil, "x.test=" + refA, "", 0, 0},
		{
			"never good", nil,
			texts{refA: bad, refB: `{"domains":["x.test"]}`},
			nil, "x.test=" + refB + " " + refA + ".example.com=",
			`p a.domains[0]: "a b": must be a bare host name, without scheme, port or wildcard`, 0, 1,
		},
		{
			"good before",
			texts{refA: `{"domains":["x.test"]}`},
			texts{refA: bad, refB: `{}`},
			nil, "x.test=" + refA + " " + refB + ".example.com=" + refB,
			`p a.domains[0]: "a b": must be a bare host name, without scheme, port or wildcard`, 1, 0,
		},
		{
			"not even JSON",
			texts{refA: `{"domains":["x.test"]}`},
			texts{refA: `{`},
			nil, "x.test=" + refA,
			`p a: line 1, column 1: unexpected end of JSON input`, 1, 0,
		},
		{
			"not JSON, not known", nil,
			texts{refA: ``, refB: `{}`},
			nil, refB + ".example.com=" + refB,
			`p a: line 1, column 1: unexpected end of JSON input`, 0, 1,
		},
		{
			"under another's ref",
			texts{refA: `{"domains":["x.test"]}`},
			texts{refA: `{"ref":"` + refB + `","domains":["y.test"]}`},
			nil, "x.test=" + refA + " y.test= " + refB + ".example.com=",
			`p a.ref: "` + refB + `": it is filed under "` + refA + `"`, 1, 0,
		},
		{"gone", texts{refA: `{}`, refB: `{}`}, texts{refB: `{}`}, nil, refA + ".example.com= " + refB + ".example.com=" + refB, "", 0, 0},
		{
			"a domain is not taken over",
			texts{refB: `{"domains":["x.test"]}`},
			texts{refA: `{"domains":["x.test"]}`, refB: `{"domains":["x.test"]}`},
			nil,
			"x.test=" + refB + " " + refA + ".example.com=", `p a.domains[0]: "x.test": listed twice, first at p b.domains[0]`, 0, 1,
		},
		{
			"nor by a known project",
			texts{refA: `{"domains":["y.test"]}`, refB: `{"domains":["x.test"]}`},
			texts{refA: `{"domains":["x.test"]}`, refB: `{"domains":["x.test"],"max_body":1}`},
			nil,
			"y.test=" + refA + " x.test=" + refB, `p a.domains[0]: "x.test": listed twice, first at p b.domains[0]`, 1, 0,
		},
		{"a domain moves", texts{refA: `{"domains":["x.test"]}`, refB: `{}`}, texts{refA: `{}`, refB: `{"domains":["x.test"]}`}, nil, "x.test=" + refB, "", 0, 0},
		{"a domain moves, the other way round", texts{refA: `{"domains":["x.test"]}`, refB: `{}`}, texts{refA: `{}`, refB: `{"domains":["x.test"]}`}, []string{refB, refA}, "x.test=" + refB, "", 0, 0},
		{"domains change places", texts{refA: `{"domains":["x.test"]}`, refB: `{"domains":["y.test"]}`}, texts{refA: `{"domains":["y.test"]}`, refB: `{"domains":["x.test"]}`}, nil, "x.test=" + refB + " y.test=" + refA, "", 0, 0},
		// b gets x.test, which a gives up for y.test, which c has: a goes back to
		// x.test, so b does not get it.
		{
			"one falls back on another",
			texts{refA: `{"domains":["x.test"]}`, refB: `{}`, refC: `{"domains":["y.test"]}`},
			texts{refA: `{"domains":["y.test"]}`, refB: `{"domains":["x.test"]}`, refC: `{"domains":["y.test"]}`},
			[]string{refB, refA, refC},
			"x.test=" + refA + " y.test=" + refC + " " + refB + ".example.com=" + refB,
			"p a.domains[0]: \"y.test\": listed twice, first at p c.domains[0]\np b.domains[0]: \"x.test\": listed twice, first at p a.domains[0]", 2, 0,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			order := tt.order
			if order == nil {
				order = []string{refA, refB, refC}
			}
			b := testBuilder(t)
			if _, report, err := b.Build(written(nil, tt.before, order...)); err != nil || report.Errors != nil {
				t.Fatal(err, report)
			}
			for range 2 { // the second finds what the first left
				s, report, err := b.Build(written(nil, tt.after, order...))
				if err != nil {
					t.Fatal(err)
				}
				for pair := range strings.SplitSeq(tt.hosts, " ") {
					host, ref, _ := strings.Cut(pair, "=")
					m, ok := s.Find(host)
					if ok != (ref != "") || ok && m.Project.Ref != ref {
						t.Errorf("%s is of %+v, want %s", host, m.Project, ref)
					}
				}
				var got string
				if report.Errors != nil {
					got = report.Errors.Error()
				}
				if got != tt.errors {
					t.Errorf("errors %s\nwant   %s", got, tt.errors)
				}
				if report.Kept != tt.kept || report.Dropped != tt.dropped {
					t.Errorf("kept %d, dropped %d", report.Kept, report.Dropped)
				}
			}
		})
	}
}

func TestBuildKeepGoodOrganizations(t *testing.T) {
	b := testBuilder(t)
	projects := map[string]string{refA: `{"organization":"acme"}`}
	order := []string{"acme", refA}
	plan := func(organizations map[string]string) (string, Report) {
		t.Helper()
		s, report, err := b.Build(written(organizations, projects, order...))
		if err != nil {
			t.Fatal(err)
		}
		p, ok := s.Lookup(refA)
		if !ok {
			return "no project", report
		}
		o, _ := s.Organization("acme")
		if o != nil && o != p.Organization {
			t.Error("the project has another version of its organization")
		}
		return p.Organization.Plan.Name, report
	}
	steps := []struct {
		name, organization, want string
		kept, dropped, reused    int
	}{
		{"unknown at first", "", "no project", 0, 1, 0},
		{"there", `{"plan":"free"}`, "free", 0, 0, 0},
		{"the same", `{"plan":"free"}`, "free", 0, 0, 1},
		{"another plan reaches the project", `{"plan":"pro"}`, "pro", 0, 0, 0},
		{"wrong", `{"plan":"rpo"}`, "pro", 1, 0, 1},
		{"gone", "", "pro", 1, 0, 0},
		{"back", `{"plan":"team"}`, "team", 0, 0, 0},
	}
	for _, step := range steps {
		organizations := map[string]string{}
		if step.organization != "" {
			organizations["acme"] = step.organization
		}
		got, report := plan(organizations)
		if got != step.want || report.Kept != step.kept || report.Dropped != step.dropped || report.Reused != step.reused {
			t.Errorf("%s: plan %s, report %+v", step.name, got, report)
		}
	}
}

// A source that files records under no key can have two of one ref: the first
// counts.
func TestBuildKeepGoodTwice(t *testing.T) {
	record := func(path, text string) Record { return Record{Path: path, JSON: []byte(text)} }
	s, report, err := testBuilder(t).Build(Input{
		KeepGood:      true,
		Organizations: []Record{record("o1", `{"id":"acme","plan":"pro"}`), record("o2", `{"id":"acme"}`), record("o3", `[]`)},
		Projects:      []Record{record("p1", `{"ref":"`+refA+`","max_body":1}`), record("p2", `{"ref":"`+refA+`"}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	o, _ := s.Organization("acme")
	p, _ := s.Lookup(refA)
	if o.Plan == nil || p.MaxBody != 1 || s.Len() != 1 || report.Dropped != 3 {
		t.Errorf("%+v, %+v, report %+v", o, p, report)
	}
	want := `o2.id: "acme": listed twice, first at o1` + "\no3: must be an object\n" + `p2.ref: "` + refA + `": listed twice, first at p1`
	if got := report.Errors.Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Without KeepGood a mistake refuses all, and what was built before is still
// what the next Build is compared to.
func TestBuildReuses(t *testing.T) {
	b := testBuilder(t)
	file := func(limit string) string {
		return fmt.Sprintf(`{"organizations":[{"id":"acme","plan":"pro"}],"projects":[{"ref":%q,"organization":"acme"},{"ref":%q,"max_body":%s}]}`, refA, refB, limit)
	}
	first, _ := mustBuild(t, b, file("1"))
	if _, _, err := build(t, b, file(`"x"`)); err == nil {
		t.Fatal("accepted")
	}
	second, report := mustBuild(t, b, file("2"))
	a1, _ := first.Lookup(refA)
	a2, _ := second.Lookup(refA)
	b2, _ := second.Lookup(refB)
	if report.Reused != 1 || a1 != a2 || b2.MaxBody != 2 {
		t.Errorf("reused %d, the same project: %v, changed: %+v", report.Reused, a1 == a2, b2)
	}
	// Its place in the file is no part of a project.
	third, report := mustBuild(t, b, `{"projects":[{"ref":"`+refB+`","max_body":2}]}`)
	if b3, _ := third.Lookup(refB); report.Reused != 1 || b3 != b2 {
		t.Errorf("reused %d", report.Reused)
	}
}
