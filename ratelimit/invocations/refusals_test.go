package invocations_test

import (
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/invocations"
)

func refusal(project, function string, at time.Time) *invocations.Refusal {
	return &invocations.Refusal{At: at, Project: project, Function: function, Status: 429, Code: "RATE_LIMITED", RequestID: "id"}
}

// Refused requests stand among invocations. What callers choose takes no more memory than there is for it.
func TestRefusals(t *testing.T) {
	l := open(t, t.TempDir())
	someCalls(t, l)
	refused := invocations.NewRefusals()
	refused.Add(refusal("shop", "hello", noon.Add(90*time.Second)))
	refused.Add(refusal("shop", strings.Repeat("x", 1<<20), noon.Add(-time.Hour)))
	if got := of(list(t, l, refused, invocations.Query{Project: "shop", Function: "hello"})); got != "hello:404 hello:429 hello:200" {
		t.Errorf("among invocations: %s", got)
	}
	a := list(t, l, refused, invocations.Query{Status: invocations.Statuses{First: 429, Last: 429}})
	i := a.Invocations[0]
	if len(a.Invocations) != 2 || i.LedgerRecordID != nil || *i.Outcome != "refused" || *i.SBErrorCode != "RATE_LIMITED" || i.Region != nil || i.Gateway != l.Instance() {
		t.Errorf("refused: %+v", i)
	}
	if n := len(*a.Invocations[1].Function); n != 64 {
		t.Errorf("a name of %d bytes is kept", n)
	}
}

// A flood of one project leaves the refused requests of others where they are, and what was dropped is said.
func TestRefusalsFlood(t *testing.T) {
	l := open(t, t.TempDir())
	refused := invocations.NewRefusals()
	begun := time.Now()
	refused.Add(refusal("blog", "feed", begun))
	for i := range 10_000 {
		refused.Add(refusal("shop", "hello", begun.Add(time.Duration(i)*time.Second)))
	}
	if got := of(list(t, l, refused, invocations.Query{Project: "blog"})); got != "feed:429" {
		t.Errorf("of the other project: %q", got)
	}
	a := list(t, l, refused, invocations.Query{Project: "shop"})
	if len(a.Invocations) != 128 || a.Invocations[0].Timestamp <= a.Invocations[1].Timestamp || !a.RefusalsFrom.Equal(begun.Add(9_872*time.Second)) {
		t.Errorf("%d are kept, from %v", len(a.Invocations), a.RefusalsFrom.Sub(begun))
	}
	one := refusal("shop", "hello", begun)
	if n := testing.AllocsPerRun(100, func() { refused.Add(one) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
