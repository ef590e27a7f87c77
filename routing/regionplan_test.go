package routing

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/geo"
	"github.com/edgegate/edgegate/routing/plan"
)

// Contract 2.1 to 2.4, 2.6, 2.7: the plan of a request, and the reason that
// holds for each region of it.
func TestAdmitPlan(t *testing.T) {
	const (
		explicit = regions.ReasonExplicit
		list     = regions.ReasonExplicitList
		nearest  = regions.ReasonNearest
		failover = regions.ReasonFailover
	)
	tests := []struct {
		name     string
		header   []string // values of x-region
		query    string
		names    string
		reason   regions.Reason // of the first
		last     regions.Reason
		strict   bool
		conflict bool
	}{
		{"contract 2.6 not named", nil, "", "eu-central-1 eu-west-1 us-east-1", nearest, failover, false, false},
		{"contract 2.1 any", []string{"any"}, "?forceFunctionRegion=any", "eu-central-1 eu-west-1 us-east-1", nearest, failover, false, false},
		{"contract 2.1 empty", []string{""}, "?forceFunctionRegion=", "eu-central-1 eu-west-1 us-east-1", nearest, failover, false, false},
		{"contract 2.1 header", []string{"us-east-1"}, "", "us-east-1", explicit, explicit, true, false},
		{"contract 2.1 query", nil, "?x&forceFunctionRegion=us-east-1", "us-east-1", explicit, explicit, true, false},
		{"contract 2.1 both, as supabase-js", []string{"us-east-1"}, "?forceFunctionRegion=us-east-1", "us-east-1", explicit, explicit, true, false},
		{"contract 2.2 header wins", []string{"us-east-1"}, "?forceFunctionRegion=eu-west-1", "us-east-1", explicit, explicit, true, true},
		{"contract 2.2 any leaves it to the query", []string{"any"}, "?forceFunctionRegion=eu-west-1", "eu-west-1", explicit, explicit, true, false},
		{"contract 2.2 empty leaves it to the query", []string{""}, "?forceFunctionRegion=eu-west-1", "eu-west-1", explicit, explicit, true, false},
		{"contract 2.2 first value, decoded", nil, "?forceFunctionRegion=eu%2Dwest-1&forceFunctionRegion=mars", "eu-west-1", explicit, explicit, true, false},
		{"contract 2.2 an unknown one in the query only conflicts", []string{"us-east-1"}, "?forceFunctionRegion=mars", "us-east-1", explicit, explicit, true, true},
		{"contract 2.3 list", []string{"us-east-1, eu-west-1"}, "", "us-east-1 eu-west-1", list, list, true, false},
		{"contract 2.3 list of two headers", []string{"us-east-1", "eu-west-1"}, "", "us-east-1 eu-west-1", list, list, true, false},
		{"contract 2.3 list, said twice", []string{"us-east-1,us-east-1,eu-west-1"}, "", "us-east-1 eu-west-1", list, list, true, false},
		{"contract 2.3 list in the query", nil, "?forceFunctionRegion=us-east-1%2C+eu-west-1", "us-east-1 eu-west-1", list, list, true, false},
		{"contract 2.3 ends in any", []string{"us-east-1, any"}, "", "us-east-1 eu-central-1 eu-west-1", list, failover, false, false},
		{"contract 2.3 all, then any", []string{"us-east-1,eu-west-1,eu-central-1,any"}, "", "us-east-1 eu-west-1 eu-central-1", list, list, false, false},
	}
	p := newFixture().pipeline(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var header []string
			for _, v := range tt.header {
				header = append(header, "X-Region", v)
			}
			inv := admit(t, p, request("/functions/v1/open"+tt.query, header...))
			plan := inv.Plan
			if got := strings.Join(names(plan), " "); got != tt.names {
				t.Errorf("regions %s, want %s", got, tt.names)
			}
			first, last := plan.Candidates[0].Reason, plan.Candidates[len(plan.Candidates)-1].Reason
			if first != tt.reason || last != tt.last {
				t.Errorf("contract 2.7: reasons %s to %s, want %s to %s", first, last, tt.reason, tt.last)
			}
			if plan.Strict != tt.strict || inv.Hint.Conflict != tt.conflict {
				t.Errorf("strict %v, conflict %v", plan.Strict, inv.Hint.Conflict)
			}
		})
	}
}

// Contract 2.4, 5.1: the 400 and its message, which lists what may be named.
func TestAdmitInvalidRegion(t *testing.T) {
	long := strings.Repeat("x", 60) + "äöü" + strings.Repeat("y", 60)
	tests := []struct {
		name, header, query string
		residency           []string
		message             string
	}{
		{"contract 2.4 unknown", "mars", "", nil, `Invalid region "mars". Valid regions: us-east-1, eu-west-1, eu-central-1`},
		{"contract 2.4 known out of the box, not configured", "ap-east-1", "", nil, `Invalid region "ap-east-1". Valid regions: us-east-1, eu-west-1, eu-central-1`},
		{"contract 2.3 case-sensitive", "US-EAST-1", "", nil, `Invalid region "US-EAST-1". Valid regions: us-east-1, eu-west-1, eu-central-1`},
		{"contract 2.3 one of a list", "us-east-1,mars", "", nil, `Invalid region "mars". Valid regions: us-east-1, eu-west-1, eu-central-1`},
		{"contract 2.4 in the query", "", "?forceFunctionRegion=mars", nil, `Invalid region "mars". Valid regions: us-east-1, eu-west-1, eu-central-1`},
		{"contract 2.3 any not last", "any, us-east-1", "", nil, "region \"us-east-1\": `any` may only be the last of a list. Valid regions: us-east-1, eu-west-1, eu-central-1"},
		{"contract 2.4 cut and made valid", long, "", nil, `Invalid region "` + long[:64] + `". Valid regions: us-east-1, eu-west-1, eu-central-1`},
		{"contract 2.4 quoted", `"<`, "", nil, `Invalid region "\"<". Valid regions: us-east-1, eu-west-1, eu-central-1`},
		{"contract 2.4 outside the residency list", "us-east-1", "", []string{"eu-west-1", "eu-central-1"}, `Invalid region "us-east-1". Valid regions: eu-west-1, eu-central-1`},
		{"contract 2.4 residency: unknown", "mars", "", []string{"eu-west-1"}, `Invalid region "mars". Valid regions: eu-west-1`},
		{"contract 2.4 residency lists a region that is not there", "ap-east-1", "", []string{"ap-east-1", "eu-west-1"}, `Invalid region "ap-east-1". Valid regions: eu-west-1`},
		{"contract 2.3 residency: any not last", "any,x", "", []string{"eu-west-1"}, "region \"x\": `any` may only be the last of a list. Valid regions: eu-west-1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture()
			f.residency = tt.residency
			r := request("/functions/v1/open"+tt.query, "X-Region", tt.header)
			refusal, inv := refused(t, f.pipeline(t), r, 400, CodeInvalidRegion)
			if refusal.Message != tt.message {
				t.Errorf("message %s, want %s", refusal.Message, tt.message)
			}
			if len(inv.Plan.Candidates) > 0 {
				t.Error("a plan is there")
			}
		})
	}
}

// Contract 2.4: what a client sent is cut between characters.
func TestBounded(t *testing.T) {
	if got, want := bounded(strings.Repeat("x", 63)+"äy"), strings.Repeat("x", 63); got != want {
		t.Errorf("got %q", got)
	}
	if got := bounded("a\xffb"); got != "ab" {
		t.Errorf("got %q", got)
	}
}

// Contract 2.4, 2.6: the residency list bounds every kind of plan.
func TestAdmitResidency(t *testing.T) {
	f := newFixture()
	f.residency = []string{"us-east-1", "eu-west-1", "ap-east-1"}
	p := f.pipeline(t)
	for header, want := range map[string]string{
		"":              "eu-west-1 us-east-1",
		"any":           "eu-west-1 us-east-1",
		"us-east-1":     "us-east-1",
		"us-east-1,any": "us-east-1 eu-west-1",
	} {
		inv := admit(t, p, request("/functions/v1/open", "X-Region", header))
		if got := strings.Join(names(inv.Plan), " "); got != want {
			t.Errorf("contract 2.4: x-region %q: %s, want %s", header, got, want)
		}
	}

	f.residency = []string{"ap-east-1"}
	before := time.Now().Truncate(time.Millisecond)
	homeless := f.pipeline(t)
	refusal, _ := refused(t, homeless, request("/functions/v1/open"), 503, CodeRegionUnavailable)
	since := refusal.Unavailable.Since
	want := `{"code":"REGION_UNAVAILABLE","message":"Region ap-east-1 is not available",` +
		`"region":"ap-east-1","state":"unknown","since":"` + since.Format(time.RFC3339Nano) + `","alternatives":[]}`
	if string(refusal.Body()) != want || refusal.RetryAfter <= 0 {
		t.Errorf("contract 2.5: body %s, want %s", refusal.Body(), want)
	}
	if since.Before(before) || since.After(time.Now()) {
		t.Errorf("contract 2.5: since %s, want the time when the pipeline was made, %s", since, before)
	}
	explained, err := homeless.Explain(homeless.network.View(), &plan.Query{Residency: f.residency})
	if err != nil || explained.Chosen != "" || !strings.Contains(explained.Why, "ap-east-1") || len(explained.Candidates) != 3 {
		t.Errorf("explain: %+v, %v", explained, err)
	}

	f.residency = []string{}
	if got := len(admit(t, f.pipeline(t), request("/functions/v1/open")).Plan.Candidates); got != 3 {
		t.Errorf("contract 2.4: an empty residency list leaves %d regions, want all", got)
	}
}

// Contract 2.7: `default` is the configuration's order, for a gateway that
// does not know where it is.
func TestAdmitPlanWithoutPlace(t *testing.T) {
	f := newFixture()
	f.from = geo.Place{}
	plan := admit(t, f.pipeline(t), request("/functions/v1/open")).Plan
	if got := strings.Join(names(plan), " "); got != "us-east-1 eu-west-1 eu-central-1" {
		t.Errorf("contract 2.7: regions %s", got)
	}
	if got := plan.Candidates[0].Reason; got != regions.ReasonDefault {
		t.Errorf("contract 2.7: %s", got)
	}
}

// Contract 2.5 to 2.7: plans as the transport carries them out when no
// backend accepts a connection.
func TestPlanWhenAllIsDown(t *testing.T) {
	tests := []struct {
		name, header   string
		region         string
		reason         regions.Reason
		alternatives   []string
		alreadyAvoided bool
	}{
		{"contract 2.5 named", "us-east-1", "us-east-1", regions.ReasonExplicit, []string{"eu-central-1", "eu-west-1"}, false},
		{"contract 2.3 a list names its first", "us-east-1,eu-central-1", "us-east-1", regions.ReasonExplicitList, []string{"eu-west-1"}, false},
		{"contract 2.6 not named", "", "eu-central-1", regions.ReasonFailOpen, []string{}, false},
		{"contract 2.6 not named, known to be down", "", "eu-central-1", regions.ReasonFailOpen, []string{}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newFixture().pipeline(t)
			if tt.alreadyAvoided {
				markDown(t, p, "us-east-1", "eu-west-1", "eu-central-1")
			}
			inv := admit(t, p, request("/functions/v1/open", "X-Region", tt.header))
			x, err := runPlan(t, p, inv.Plan)
			if !errors.Is(err, regions.ErrUnavailable) {
				t.Fatal(err)
			}
			if x.Region.Name != tt.region || x.Reason != tt.reason {
				t.Errorf("contract 2.7: %s for %s, want %s for %s", x.Reason, x.Region.Name, tt.reason, tt.region)
			}
			refusal := p.Failed(inv, err)
			if refusal.Status != 503 || refusal.Code != CodeRegionUnavailable || refusal.RetryAfter <= 0 {
				t.Fatalf("contract 2.5: %+v", refusal)
			}
			u := refusal.Unavailable
			if u.Region != tt.region || u.State != regions.StateDown || u.Since.IsZero() || !slices.Equal(u.Alternatives, tt.alternatives) {
				t.Errorf("contract 2.5: %+v, want region %s and alternatives %v", u, tt.region, tt.alternatives)
			}
		})
	}
}

// Contract 2.5: a named region that is known to be down is refused at once, and says so.
func TestAdmitNamedRegionDown(t *testing.T) {
	p := newFixture().pipeline(t)
	markDown(t, p, "us-east-1")
	for _, header := range []string{"us-east-1", "us-east-1,us-east-1"} {
		refusal, inv := refused(t, p, request("/functions/v1/open", "X-Region", header), 503, CodeRegionUnavailable)
		u := refusal.Unavailable
		if u.Region != "us-east-1" || u.State != regions.StateDown || u.Since.IsZero() || refusal.RetryAfter <= 0 {
			t.Errorf("%+v", u)
		}
		if want := []string{"eu-central-1", "eu-west-1"}; !slices.Equal(u.Alternatives, want) || inv.Plan.First().Name != "us-east-1" {
			t.Errorf("alternatives %v of %s, want %v", u.Alternatives, inv.Plan.First().Name, want)
		}
	}
	if inv := admit(t, p, request("/functions/v1/open", "X-Region", "us-east-1,eu-west-1")); inv.Plan.First().Name != "eu-west-1" {
		t.Errorf("contract 2.3: %v, want the one of the list that is up", names(inv.Plan))
	}
}

// Contract 2.4, 2.5: alternatives are regions that the project may use and
// that are not known to be down.
func TestUnavailableAlternatives(t *testing.T) {
	f := newFixture()
	f.residency = []string{"us-east-1", "eu-west-1"}
	p := f.pipeline(t)
	inv := admit(t, p, request("/functions/v1/open", "X-Region", "us-east-1"))
	if got := p.Failed(inv, regions.ErrUnavailable).Unavailable.Alternatives; !slices.Equal(got, []string{"eu-west-1"}) {
		t.Errorf("contract 2.4: alternatives %v", got)
	}
	markDown(t, p, "eu-west-1")
	if got := p.Failed(inv, regions.ErrUnavailable).Unavailable.Alternatives; len(got) > 0 {
		t.Errorf("contract 2.5: alternatives %v", got)
	}
}
