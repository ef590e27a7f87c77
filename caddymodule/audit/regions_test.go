package audit

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// A list of backends that cannot be looked up is a finding, graver where there is none and less so where a part is missing.
func TestBackendLists(t *testing.T) {
	failed := errors.New("SERVFAIL").Error()
	found := ofRegions(&Regions{Lists: []List{
		{Region: "a", Source: "a runtime:9000", Age: 90 * time.Second, Error: failed},
		{Region: "b", Source: "srv x", Error: failed},
		{Region: "c", Source: "srv y", Age: time.Second, Error: failed, Incomplete: true},
	}})
	if len(found) != 3 {
		t.Fatalf("%+v", found)
	}
	for i, want := range []struct {
		severity Severity
		subject  string
		says     string
	}{
		{Medium, "region a", "a runtime:9000 is 1m30s old: SERVFAIL"},
		{High, "region b", "there is no list of backends of srv x: SERVFAIL"},
		{Low, "region c", "a part of the list of backends of srv y could not be looked up: SERVFAIL"},
	} {
		if f := found[i]; f.Severity != want.severity || f.Subject != want.subject || !strings.Contains(f.Message, want.says) || f.Remedy == "" {
			t.Errorf("%+v, want %+v", f, want)
		}
	}
}

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
