package spelling

import (
	"strings"
	"testing"
)

func TestClosestName(t *testing.T) {
	for _, tc := range []struct {
		name, typed string
		among       []string
		want        string
	}{
		{"wrong digit", "eu-west-4", []string{"us-east-1", "eu-west-1", "eu-west-2"}, "eu-west-1"},
		{"transposed", "eu-ewst-2", []string{"eu-west-1", "eu-west-2"}, "eu-west-2"},
		{"dashes forgotten", "useast1", []string{"us-west-1", "us-east-1"}, "us-east-1"},
		{"upper case", "EU-CENTRAL-1", []string{"eu-central-2", "eu-central-1"}, "eu-central-1"},
		{"option with a letter too many", "backends", []string{"bias", "backend"}, "backend"},
		{"itself", "lab", []string{"lap", "lab"}, "lab"},
		{"first of equals", "lax", []string{"lab", "lap"}, "lab"},
		{"short names must be closer", "lab", []string{"fra"}, ""},
		{"nothing near", "frankfurt", []string{"eu-central-1"}, ""},
		{"none to choose from", "eu-west-1", nil, ""},
		{"empty", "", []string{"eu-west-1"}, ""},
		{"far longer", strings.Repeat("x", 1<<20), []string{"eu-west-1"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, ok := ClosestName(tc.typed, tc.among)
			if got != tc.want || ok != (tc.want != "") {
				t.Errorf("got %q, %v, want %q", got, ok, tc.want)
			}
		})
	}
}

func TestEdits(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"same", "same", 0},
	} {
		if got := edits(tc.a, tc.b); got != tc.want {
			t.Errorf("edits(%q, %q) = %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	for _, tc := range []struct {
		name, typed string
		want        string
	}{
		{"near", "eu-wst-1", ` (did you mean "eu-west-1"?)`},
		{"another case", "EU-WEST-1", ` (did you mean "eu-west-1"?)`},
		{"the name itself", "eu-west-1", ""},
		{"nothing near", "mars", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := DidYouMean(tc.typed, []string{"eu-west-1"}); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
