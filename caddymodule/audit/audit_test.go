package audit

import (
	"slices"
	"testing"
)

// auditor has findings of its own.
type auditor []Finding

func (a auditor) Audit() []Finding { return a }

// The most severe findings are first; medium and high ones are not OK.
func TestFind(t *testing.T) {
	safe := map[string]any{"logging": map[string]any{"logs": map[string]any{"default": map[string]any{"writer": map[string]any{"output": "discard"}}}}}
	in := &Input{Config: safe, Projects: Projects{InForce: built(t, `{"projects":[]}`).All()}}
	if answer := Find(t.Context(), in); !answer.OK || answer.Findings == nil || len(answer.Findings) != 0 {
		t.Errorf("of nothing: %+v", answer)
	}
	in.Auditors = []Auditor{auditor{{Severity: Info, Check: "a"}, {Severity: Low, Check: "b"}}, auditor{{Severity: Info, Check: "c"}}}
	answer := Find(t.Context(), in)
	var order []string
	for _, f := range answer.Findings {
		order = append(order, f.Check)
	}
	if !answer.OK || !slices.Equal(order, []string{"b", "a", "c"}) {
		t.Errorf("%t, %v", answer.OK, order)
	}
	for _, severity := range []Severity{Medium, High} {
		in.Auditors = []Auditor{auditor{{Severity: severity}}}
		if Find(t.Context(), in).OK {
			t.Errorf("%s is OK", severity)
		}
	}
}

func TestUnencrypted(t *testing.T) {
	for url, want := range map[string]bool{
		"http://example.com": true, "http://10.0.0.1:80/x": true, "https://example.com": false, "http://localhost:80": false,
		"http://127.0.0.1": false, "http://[::1]:80": false, "/etc/keys.json": false, "http://a b": false,
	} {
		if got := Unencrypted(url); got != want {
			t.Errorf("%s: %t, want %t", url, got, want)
		}
	}
}
