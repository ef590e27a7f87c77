package projects

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func mustNew(t testing.TB, cfg ProjectConfig) *Project {
	t.Helper()
	p, _, err := testBuilder(t).Project(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What is not written down has its default, and nothing is shared with what was.
func TestProjectDefaults(t *testing.T) {
	regions := []string{"us-east-1"}
	p := mustNew(t, ProjectConfig{Regions: regions, Functions: []FunctionConfig{{Slug: "a"}}})
	regions[0] = "changed"
	if !slices.Equal(p.Regions, []string{"us-east-1"}) || p.Auth == nil {
		t.Errorf("project %+v", p)
	}
	if a, ok := p.Function("a"); !ok || *a != (Function{Slug: "a", VerifyJWT: true}) {
		t.Errorf("contract 3.1, 4.1: defaults %+v", a)
	}
	// Contract 2.4: a residency list of nothing is no list.
	if empty := mustNew(t, ProjectConfig{Regions: []string{}}); empty.Regions != nil || empty.CORS != nil || empty.Functions() != 0 || empty.WallClock != 0 {
		t.Errorf("contract 2.4: empty project %+v", empty)
	}
}

// Contract 1.4, 1.6: which function a slug names.
func TestFunction(t *testing.T) {
	listed := []FunctionConfig{{Slug: "hello"}, {Slug: "gone", Status: "REMOVED"}}
	plain := mustNew(t, ProjectConfig{Functions: listed})
	wild := mustNew(t, ProjectConfig{Functions: append(listed, FunctionConfig{Slug: Wildcard})})
	off := mustNew(t, ProjectConfig{Functions: append(listed, FunctionConfig{Slug: Wildcard, Status: "REMOVED"})})
	tests := []struct {
		name    string
		project *Project
		slug    string
		want    string // slug of the entry; "" means not found
	}{
		{"contract 1.4 listed", plain, "hello", "hello"},
		{"contract 1.4 other case", plain, "Hello", ""},
		{"contract 1.4 not listed", plain, "other", ""},
		{"contract 1.4 removed", plain, "gone", ""},
		{"contract 1.4 the wildcard's own name", plain, "*", ""},
		{"contract 1.4 listed beside a wildcard", wild, "hello", "hello"},
		{"contract 1.4 by wildcard", wild, "Hello", Wildcard},
		{"contract 1.4 removed stays removed", wild, "gone", ""},
		{"contract 1.4 the wildcard is no slug", wild, "*", ""},
		{"contract 1.4 empty", wild, "", ""},
		{"contract 1.4 not a slug", wild, "a.b", ""},
		{"contract 1.6 reserved", wild, "_internal", ""},
		{"contract 1.6 reserved in capitals", wild, "_Internal", ""},
		{"contract 1.6 only that name", wild, "_internals", Wildcard},
		{"contract 1.4 removed wildcard", off, "other", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, ok := tt.project.Function(tt.slug)
			if ok != (tt.want != "") || ok && f.Slug != tt.want {
				t.Errorf("Function(%q) = %+v, %v, want %q", tt.slug, f, ok, tt.want)
			}
		})
	}
}

// Contract 9.7: no name that a client chooses under a wildcard is of unbounded length.
func TestSlugLength(t *testing.T) {
	for n, want := range map[int]bool{0: false, 1: true, MaxSlug: true, MaxSlug + 1: false, 64 << 10: false} {
		if got := ValidSlug(strings.Repeat("a", n)); got != want {
			t.Errorf("%d characters: %v, want %v", n, got, want)
		}
	}
}

// Contract 1.4: ValidSlug is the contract's pattern, byte by byte.
func TestValidSlug(t *testing.T) {
	if ValidSlug("") {
		t.Error("contract 1.4: the empty slug is valid")
	}
	for c := range 256 {
		slug := string([]byte{'a', byte(c), 'z'})
		if got, want := ValidSlug(slug), regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(slug); got != want {
			t.Errorf("contract 1.4: ValidSlug(%q) = %v, want %v", slug, got, want)
		}
	}
}
