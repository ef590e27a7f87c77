package projects

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Contract 1.1, 1.2, 1.7: which project a host belongs to, and in which form.
func TestSnapshotFind(t *testing.T) {
	s, _ := mustBuild(t, testBuilder(t), `{"projects":[
		{"ref":"`+refB+`","domains":["api.acme.org","Bücher.test","api.example.com","192.0.2.1","x_y.test"]},
		{"ref":"`+refA+`","domains":["www.functions.test"]}]}`)
	tests := []struct {
		name, host, ref  string
		shared, hostForm bool
	}{
		{"contract 1.1 ref", refA + ".example.com", refA, true, false},
		{"contract 1.1 capitals", "ABCDEFGHIJKLMNOPQRST.Example.COM", refA, true, false},
		{"contract 1.1 port", refB + ".example.com:8443", refB, true, false},
		{"contract 1.1 trailing dot and port", refB + ".example.com.:443", refB, true, false},
		{"contract 1.2 host form", refA + ".functions.example.com", refA, true, true},
		{"contract 1.2 capitals, dot, port", "ABCDEFGHIJKLMNOPQRST.FUNCTIONS.example.com.:80", refA, true, true},
		{"contract 1.1 own domain", "api.acme.org", refB, false, false},
		{"contract 1.1 own domain, otherwise written", "API.acme.org.:443", refB, false, false},
		{"contract 1.1 own domain in ASCII", "xn--bcher-kva.test", refB, false, false},
		{"contract 1.1 own domain in ASCII and capitals", "XN--BCHER-KVA.test", refB, false, false},
		{"contract 1.1 own domain below the apex", "api.example.com", refB, false, false},
		{"contract 1.1 own address", "192.0.2.1:80", refB, false, false},
		{"contract 1.1 underscore", "x_y.test", refB, false, false},
		{"contract 1.2 own domain that looks like the host form", "www.functions.test", refA, false, false},
		{"contract 1.7 unknown ref", refC + ".example.com", "", false, false},
		{"contract 1.7 unknown ref in the host form", refC + ".functions.example.com", "", false, false},
		{"contract 1.7 not a ref", "abc.example.com", "", false, false},
		{"contract 1.7 the apex", "example.com", "", false, false},
		{"contract 1.7 the functions label alone", "functions.example.com", "", false, false},
		{"contract 1.7 below a ref", "x." + refA + ".example.com", "", false, false},
		{"contract 1.7 below the host form", "x." + refA + ".functions.example.com", "", false, false},
		{"contract 1.7 twice functions", refA + ".functions.functions.example.com", "", false, false},
		{"contract 1.7 another apex", refA + ".example.net", "", false, false},
		{"contract 1.7 a longer apex", refA + ".example.com.evil.test", "", false, false},
		{"contract 1.7 no dot before the apex", refA + "example.com", "", false, false},
		{"contract 1.7 below an own domain", "x.api.acme.org", "", false, false},
		{"contract 1.7 the ref alone", refA, "", false, false},
		{"contract 1.7 no host", "", "", false, false},
		{"contract 1.7 brackets", "[::1]", "", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, ok := s.Find(tt.host)
			if ok != (tt.ref != "") || ok && (m.Project.Ref != tt.ref || m.Shared != tt.shared || m.HostForm != tt.hostForm) {
				t.Errorf("Find(%q) = %+v, %v, want %s", tt.host, m, ok, tt.ref)
			}
		})
	}
	for _, host := range []string{"api.acme.org:443", refA + ".functions.example.com", "nobody.test"} {
		if allocs := testing.AllocsPerRun(100, func() { s.Find(host) }); allocs > 0 {
			t.Errorf("%v allocations for %s", allocs, host)
		}
	}
}

func TestSnapshotLists(t *testing.T) {
	s, report := mustBuild(t, testBuilder(t), `{"organizations":[{"id":"nobody"}],"projects":[{"ref":"`+refC+`"},{"ref":"`+refA+`"},{"ref":"`+refB+`"}]}`)
	var refs []string
	for p := range s.All() {
		refs = append(refs, p.Ref)
	}
	if want := []string{refA, refB, refC}; !slices.Equal(refs, want) || s.Len() != 3 || report.Projects != 3 {
		t.Errorf("refs %v, %d of them, report %+v", refs, s.Len(), report)
	}
	for p := range s.All() {
		if p.Ref != refA {
			t.Error("the loop was left and went on")
		}
		break
	}
	if p, ok := s.Lookup(refB); !ok || p.Ref != refB {
		t.Errorf("Lookup: %+v", p)
	}
	if _, ok := s.Lookup(strings.ToUpper(refB)); ok {
		t.Error("a ref in capitals was found")
	}
	if o, ok := s.Organization("nobody"); !ok || o.Plan != nil {
		t.Errorf("an organization without projects and plan: %+v, %v", o, ok)
	}
	if _, ok := s.Organization(""); ok {
		t.Error("no id was found")
	}
}

// A catalogue finds nothing before it has something, and always all of one
// snapshot.
func TestCatalogue(t *testing.T) {
	var c Catalogue
	if _, ok := c.Find(refA + ".example.com"); ok || c.Load() != nil {
		t.Error("the zero catalogue finds something")
	}
	b := testBuilder(t)
	first, _ := mustBuild(t, b, `{"projects":[{"ref":"`+refA+`"}]}`)
	second, _ := mustBuild(t, b, `{"projects":[{"ref":"`+refB+`"}]}`)
	if old := c.Swap(first); old != nil {
		t.Errorf("before the first there was %v", old)
	}
	if m, ok := c.Find(refA + ".example.com"); !ok || m.Project.Ref != refA {
		t.Errorf("%+v, %v", m, ok)
	}
	if old := c.Swap(second); old != first || c.Load() != second {
		t.Error("Swap does not return what was there")
	}
	if _, ok := c.Find(refA + ".example.com"); ok {
		t.Error("contract 1.7: a project that is gone was found")
	}
}

// Contract 7.6: functions beyond the plan are left out in file order, whatever
// else would serve them; removed ones do not count.
func TestBuildPlanFunctions(t *testing.T) {
	config := testConfig()
	config.Plans = map[string]Plan{"tiny": {Functions: 2, WallClock: time.Minute}, "open": {}}
	functions := `"functions":[{"slug":"z"},{"slug":"gone","status":"REMOVED"},{"slug":"*"},{"slug":"b"},{"slug":"a","status":"THROTTLED"}]`
	file := func(organization, members string) string {
		return `{"organizations":[{"id":"tiny","plan":"tiny"},{"id":"open","plan":"open"},{"id":"none"}],"projects":[{"ref":"` + refA + `",` +
			organization + functions + members + `}]}`
	}
	tests := []struct {
		name, organization, members string
		leftOut                     int
		wallClock                   time.Duration
	}{
		{"contract 7.6 beyond the plan", `"organization":"tiny",`, "", 2, time.Minute},
		{"contract 7.6 unlimited plan", `"organization":"open",`, "", 0, 0},
		{"contract 7.3 organization without a plan", `"organization":"none",`, "", 0, 0},
		{"contract 7.3 no organization", "", "", 0, 0},
		{"contract 6.2 the project's wall clock", `"organization":"tiny",`, `,"wall_clock":"7s"`, 2, 7 * time.Second},
		{"contract 6.2 longer than the plan's", `"organization":"tiny",`, `,"wall_clock":"2m"`, 2, 2 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := NewBuilder(config)
			if err != nil {
				t.Fatal(err)
			}
			s, report := mustBuild(t, b, file(tt.organization, tt.members))
			p, _ := s.Lookup(refA)
			if p.LeftOut() != tt.leftOut || report.OverPlan != tt.leftOut || p.Functions() != 5-tt.leftOut || report.Functions != p.Functions() {
				t.Errorf("left out %d, report %+v, functions %d", p.LeftOut(), report, p.Functions())
			}
			if p.WallClock != tt.wallClock {
				t.Errorf("wall clock %v, want %v", p.WallClock, tt.wallClock)
			}
			for _, slug := range []string{"a", "b"} {
				if f, ok := p.Function(slug); ok != (tt.leftOut == 0) || ok && f.Slug != slug {
					t.Errorf("contract 7.6: %s is %+v, %v", slug, f, ok)
				}
			}
			if f, ok := p.Function("other"); !ok || f.Slug != Wildcard {
				t.Errorf("the wildcard is within the plan: %+v, %v", f, ok)
			}
			want := `projects[0].functions: 4 functions, plan "tiny" has 2: left out and answered 404 are b, a; remove functions or change the organization's plan`
			if tt.leftOut == 0 {
				want = ""
			}
			if got := fmt.Sprint(report.Problems); strings.Trim(got, "[]") != strings.Trim(want, "[]") {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// Contract 6.2, 7.6: the plans that are built in.
func TestBuiltinPlans(t *testing.T) {
	plans := BuiltinPlans()
	type plan struct {
		name      string
		functions int
		wallClock time.Duration
		quota     int64
		price     string
		spendCap  bool
	}
	for _, want := range []plan{
		{"free", 100, 150 * time.Second, 500_000, "", false},
		{"pro", 500, 400 * time.Second, 2_000_000, "2.00 per 1000000", true},
		{"team", 1000, 400 * time.Second, 2_000_000, "2.00 per 1000000", false},
		{"enterprise", 0, 400 * time.Second, -1, "", false},
	} {
		p := plans[want.name]
		got := plan{name: p.Name, functions: p.Functions, wallClock: p.WallClock, quota: -1, spendCap: p.SpendCap}
		if p.Quota != nil {
			got.quota = *p.Quota
		}
		if p.Overage != nil {
			got.price = fmt.Sprintf("%s per %d", p.Overage.Price, p.Overage.Package)
		}
		if got != want {
			t.Errorf("contract 7.3, 7.6: %+v, want %+v", got, want)
		}
	}
	if len(plans) != 4 {
		t.Errorf("contract 7.3: %d plans", len(plans))
	}
}

// A throttled function is found: the pipeline answers for it.
func TestFunctionSettings(t *testing.T) {
	s, _ := mustBuild(t, testBuilder(t), inProject(`"functions":[
		{"slug":"t","status":"THROTTLED","websocket_token":"query","event_source_token":"query","expose":["x-a","x-b"],"verify_jwt":false,"wall_clock":"2s","html":"keep","cors":"function"},
		{"slug":"r","status":"REMOVED","websocket_token":"subprotocol"}, {"slug":"n","id":null,"version":null}]`))
	p, _ := s.Lookup(refA)
	want := Function{Slug: "t", Status: StatusThrottled, WebSocketToken: TokenQuery, EventSourceToken: TokenQuery, Exposed: "x-a, x-b", WallClock: 2 * time.Second, HTML: HTMLKeep, CORS: CORSFunction}
	if f, ok := p.Function("t"); !ok || *f != want {
		t.Errorf("%+v, %v", f, ok)
	}
	if f, ok := p.Function("r"); ok || f.WebSocketToken != TokenSubprotocol {
		t.Errorf("removed: %+v, %v", f, ok)
	}
	if f, ok := p.Function("n"); !ok || *f != (Function{Slug: "n", VerifyJWT: true}) {
		t.Errorf("contract 3.1 defaults: %+v, %v", f, ok)
	}
	var slugs []string
	for f := range p.EachFunction() {
		slugs = append(slugs, f.Slug)
	}
	if !slices.Equal(slugs, []string{"n", "r", "t"}) {
		t.Errorf("functions %v", slugs)
	}
}
