package audit

import "testing"

// Contract 9.6: without a capacity, nothing but in_flight keeps one of many projects from taking a region.
func TestRegions(t *testing.T) {
	for name, tc := range map[string]struct {
		in    Regions
		found int
	}{
		"many projects":     {Regions{ManyProjects: true, Unbounded: []string{"unbounded"}}, 1},
		"one project":       {Regions{Unbounded: []string{"unbounded"}}, 0},
		"in_flight project": {Regions{ManyProjects: true, CapPerProject: true, Unbounded: []string{"unbounded"}}, 0},
		"all have a limit":  {Regions{ManyProjects: true}, 0},
	} {
		found := ofRegions(&tc.in)
		if len(found) != tc.found || tc.found > 0 && found[0].Subject != "region unbounded" {
			t.Errorf("%s: %+v", name, found)
		}
	}
}
