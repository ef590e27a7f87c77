package routing

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/regions"
)

// An explanation is the plan of the code that serves requests, BEHAVIOUR 2.1 to
// 2.7, with the states that are known.
func TestExplain(t *testing.T) {
	tests := []struct {
		name, hint string
		nowhere    bool
		down       string // regions, separated by spaces
		chosen     string
		reason     regions.Reason
		candidates string
	}{
		{"2.6 not named", "", false, "", "eu-central-1", regions.ReasonNearest, "eu-central-1 eu-west-1 us-east-1"},
		{"2.1 any", "any", false, "", "eu-central-1", regions.ReasonNearest, "eu-central-1 eu-west-1 us-east-1"},
		{"2.7 nowhere", "", true, "", "us-east-1", regions.ReasonDefault, "us-east-1 eu-west-1 eu-central-1"},
		{"2.7 nearest down", "", false, "eu-central-1", "eu-west-1", regions.ReasonFailover, "eu-central-1 eu-west-1 us-east-1"},
		{"2.7 all but one down", "", false, "eu-central-1 eu-west-1", "us-east-1", regions.ReasonFailover, "eu-central-1 eu-west-1 us-east-1"},
		{"2.7 nowhere and first down", "", true, "us-east-1", "eu-west-1", regions.ReasonFailover, "us-east-1 eu-west-1 eu-central-1"},
		{"2.7 all down", "", false, "eu-central-1 eu-west-1 us-east-1", "", regions.ReasonFailOpen, "eu-central-1 eu-west-1 us-east-1"},
		{"2.1 named", "us-east-1", false, "", "us-east-1", regions.ReasonExplicit, "us-east-1 eu-central-1 eu-west-1"},
		{"2.5 named and down", "us-east-1", false, "us-east-1", "", regions.ReasonExplicit, "us-east-1 eu-central-1 eu-west-1"},
		{"2.3 list", "us-east-1,eu-west-1", false, "", "us-east-1", regions.ReasonExplicitList, "us-east-1 eu-west-1 eu-central-1"},
		{"2.3 list, first down", "us-east-1,eu-west-1", false, "us-east-1", "eu-west-1", regions.ReasonExplicitList, "us-east-1 eu-west-1 eu-central-1"},
		{"2.3 list with any, first down", "us-east-1,any", false, "us-east-1", "eu-central-1", regions.ReasonFailover, "us-east-1 eu-central-1 eu-west-1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture()
			if tt.nowhere {
				f.from = regions.Place{}
			}
			p := f.pipeline(t)
			markDown(t, p, strings.Fields(tt.down)...)
			e, err := p.Explain(f.from, tt.hint)
			if err != nil {
				t.Fatal(err)
			}
			if e.Mode != "gateway" || e.Chosen != tt.chosen || e.Reason != tt.reason {
				t.Errorf("chosen %q for %s, want %q for %s", e.Chosen, e.Reason, tt.chosen, tt.reason)
			}
			var listed []string
			for _, c := range e.Candidates {
				listed = append(listed, c.Region)
				checkCandidate(t, c, tt.chosen, strings.Contains(tt.down, c.Region), !tt.nowhere)
			}
			if got := strings.Join(listed, " "); got != tt.candidates {
				t.Errorf("candidates %s, want %s", got, tt.candidates)
			}
			checkAgainstPlan(t, p, tt.hint, tt.down, e)
		})
	}
}

func checkCandidate(t *testing.T, c ExplainedOutcome, chosen string, down, placed bool) {
	t.Helper()
	state, share := regions.StateUnknown, 0.0
	if down {
		state = regions.StateDown
	}
	if c.Region == chosen {
		share = 1
	}
	if c.State != state || c.Health != state || c.Share != share || c.Why == "" {
		t.Errorf("%s: %+v", c.Region, c)
	}
	if (c.RTT != nil) != placed || (c.Score != nil) != placed {
		t.Errorf("%s: rtt %v, score %v", c.Region, c.RTT, c.Score)
	}
	if placed && (*c.RTT <= 0 || *c.Score != *c.RTT) {
		t.Errorf("%s: rtt %v, score %v", c.Region, *c.RTT, *c.Score)
	}
}

// checkAgainstPlan compares with Admit: the chosen region is the first of its
// plan that is not down.
func checkAgainstPlan(t *testing.T, p *Pipeline, hint, down string, e *Explanation) {
	t.Helper()
	want := ""
	for _, name := range names(admit(t, p, request("/functions/v1/open", "X-Region", hint)).Plan) {
		if want == "" && !strings.Contains(down, name) {
			want = name
		}
	}
	if e.Chosen != want {
		t.Errorf("chosen %q, the plan says %q", e.Chosen, want)
	}
}

// BEHAVIOUR 2.3, 2.4: a hint that would be refused explains itself by the
// client's message.
func TestExplainRefusesHints(t *testing.T) {
	p := newFixture().pipeline(t)
	for hint, want := range map[string]string{
		"mars":          `Invalid region "mars". Valid regions: us-east-1, eu-west-1, eu-central-1`,
		"any,us-east-1": "region \"us-east-1\": `any` may only be the last of a list. Valid regions: us-east-1, eu-west-1, eu-central-1",
	} {
		if e, err := p.Explain(frankfurt, hint); err == nil || err.Error() != want {
			t.Errorf("2.4: hint %q: %v, %v, want %s", hint, e, err, want)
		}
	}
}

// BEHAVIOUR 2.7, INTERFACE.md: the members of explain, null where nothing is
// measured.
func TestExplainJSON(t *testing.T) {
	p := newFixture().pipeline(t)
	e, err := p.Explain(frankfurt, "eu-central-1")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	head := `{"mode":"gateway","chosen":"eu-central-1","reason":"explicit","client":{"country":null,"source":"unknown"},` +
		`"candidates":[{"region":"eu-central-1","rtt_ms":`
	if !strings.HasPrefix(string(text), head) {
		t.Errorf("got %s, want it to start %s", text, head)
	}
	if want := `"base_ms":null,"fast_ms":null,"health":"unknown","load":null,"state":"unknown","score":`; !strings.Contains(string(text), want) {
		t.Errorf("got %s, want in it %s", text, want)
	}
}
