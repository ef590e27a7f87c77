package billing

import (
	"fmt"
	"testing"
)

// Contract 7.7: what a wildcard matched is counted by name up to 200 names of a
// project, those of the ledger among them, then as *.
func TestFunctionNames(t *testing.T) {
	recorded := map[string][]string{"old": {"a", "b"}}
	names := newFunctionNames(func(project string) []string { return recorded[project] })
	for project, free := range map[string]int{"new": 200, "old": 198} {
		for i := range 300 {
			slug := fmt.Sprintf("f%d", i)
			want := slug
			if i >= free {
				want = Wildcard
			}
			if got := names.counted(project, Wildcard, slug); got != want {
				t.Fatalf("%s: the call %d, of %s, is counted as %s, want %s", project, i, slug, got, want)
			}
		}
		if got := names.counted(project, Wildcard, "f7"); got != "f7" {
			t.Errorf("%s: a name that was counted became %s", project, got)
		}
	}
	if got := names.counted("old", Wildcard, "b"); got != "b" {
		t.Errorf("a name of the ledger is counted as %s", got)
	}
	if got := names.counted("new", "hello", "hello"); got != "hello" {
		t.Errorf("a function that is listed is counted as %s", got)
	}
}
