package projects

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/routing/auth"
	"github.com/edgegate/edgegate/routing/cors"
)

const ref = "abcdefghijklmnopqrst"

func mustNew(t testing.TB, cfg Config) *Project {
	t.Helper()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Each mistake is an error that says where it is.
func TestNewRefuses(t *testing.T) {
	key := auth.APIKey{Name: "web", Type: auth.Publishable, Key: "sb_publishable_0123456789"}
	function := func(f Function) Config { return Config{Ref: ref, Functions: []Function{f}} }
	tests := []struct {
		name string
		cfg  Config
		want string
	}{
		{"no ref", Config{}, `ref "": must be twenty lower-case letters`},
		{"short ref", Config{Ref: "abc"}, `ref "abc": must be twenty lower-case letters`},
		{"ref with a capital", Config{Ref: "A" + ref[1:]}, "must be twenty lower-case letters"},
		{"ref with a line behind", Config{Ref: ref + "\n"}, "must be twenty lower-case letters"},
		{"negative max_body", Config{Ref: ref, MaxBody: -1}, "max_body: must not be negative"},
		{"negative wall_clock", Config{Ref: ref, WallClock: -time.Second}, "wall_clock: must not be negative"},
		{"weak secret", Config{Ref: ref, Auth: auth.Config{Secrets: [][]byte{[]byte("short")}}}, "HMAC secret 1"},
		{"key twice", Config{Ref: ref, Auth: auth.Config{APIKeys: []auth.APIKey{key, key}}}, "API key 2"},
		{"4.6 cors", Config{Ref: ref, CORS: &cors.Config{Credentials: true}}, "cors: "},
		{"domain with scheme", Config{Ref: ref, Domains: []string{"https://x.test"}}, `domain "https://x.test": must be a bare host name`},
		{"domain with port", Config{Ref: ref, Domains: []string{"x.test:80"}}, "must be a bare host name"},
		{"domain with path", Config{Ref: ref, Domains: []string{"x.test/a"}}, "must be a bare host name"},
		{"domain with wildcard", Config{Ref: ref, Domains: []string{"*.x.test"}}, "must be a bare host name"},
		{"domain empty", Config{Ref: ref, Domains: []string{""}}, "must be a bare host name"},
		{"domain twice", Config{Ref: ref, Domains: []string{"x.test", "X.TEST"}}, `domain "X.TEST": listed twice`},
		{"1.4 empty slug", function(Function{}), `function "": a slug is made of`},
		{"1.4 slug with a slash", function(Function{Slug: "a/b"}), `function "a/b": a slug is made of`},
		{"1.4 slug with a dot", function(Function{Slug: ".."}), "a slug is made of"},
		{"1.4 slug with a line behind", function(Function{Slug: "a\n"}), "a slug is made of"},
		{"1.4 slug outside ASCII", function(Function{Slug: "ä"}), "a slug is made of"},
		{"1.6 reserved slug", function(Function{Slug: "_internal"}), `function "_internal": reserved`},
		{"1.6 in capitals", function(Function{Slug: "_INTERNAL"}), `function "_INTERNAL": reserved`},
		{"6.2 function wall_clock", function(Function{Slug: "a", WallClock: -1}), `function "a": wall_clock: must not be negative`},
		{"slug twice", Config{Ref: ref, Functions: []Function{{Slug: "a"}, {Slug: "a"}}}, `function "a": listed twice`},
		{"wildcard twice", Config{Ref: ref, Functions: []Function{{Slug: "*"}, {Slug: "*"}}}, `function "*": listed twice`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := New(tt.cfg)
			if err == nil || p != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want in it %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), key.Key) {
				t.Errorf("the error has a key in it: %v", err)
			}
		})
	}
}

// All that is wrong is said at once.
func TestNewJoinsErrors(t *testing.T) {
	_, err := New(Config{Ref: "x", MaxBody: -1, WallClock: -1, Domains: []string{"*", "/"}, Functions: []Function{{}, {Slug: "_internal"}}})
	if err == nil || len(strings.Split(err.Error(), "\n")) != 7 {
		t.Errorf("got %v, want seven errors", err)
	}
}

func TestNewDefaults(t *testing.T) {
	regions := []string{"us-east-1"}
	p := mustNew(t, Config{
		Ref: ref, Domains: []string{"API.Example.org"}, Regions: regions, MaxBody: 5, WallClock: time.Minute,
		CORS:      &cors.Config{Origins: []string{"https://app.test"}},
		Functions: []Function{{Slug: "a"}, {Slug: Wildcard}, {Slug: "b", CORS: CORSFunction, HTML: HTMLKeep, Status: StatusRemoved}},
	})
	regions[0] = "changed"
	if p.Ref != ref || p.MaxBody != 5 || p.WallClock != time.Minute || p.Auth == nil || !p.CORS.Allowed("https://app.test") {
		t.Errorf("project %+v", p)
	}
	if !slices.Equal(p.Domains, []string{"api.example.org"}) || !slices.Equal(p.Regions, []string{"us-east-1"}) {
		t.Errorf("domains %v, regions %v", p.Domains, p.Regions)
	}
	if a, ok := p.Function("a"); !ok || a.CORS != CORSAuto || a.Status != StatusActive || a.HTML != HTMLBySite {
		t.Errorf("4.1: defaults %+v", a)
	}
	if p.Functions() != 3 {
		t.Errorf("%d functions, want 3", p.Functions())
	}
	// BEHAVIOUR 2.4: a residency list of nothing is no list.
	if empty := mustNew(t, Config{Ref: ref, Regions: []string{}}); empty.Regions != nil || empty.CORS != nil || empty.Functions() != 0 {
		t.Errorf("2.4: empty project %+v", empty)
	}
}

// BEHAVIOUR 1.4, 1.6: which function a slug names.
func TestFunction(t *testing.T) {
	listed := []Function{{Slug: "hello"}, {Slug: "gone", Status: StatusRemoved}}
	plain := mustNew(t, Config{Ref: ref, Functions: listed})
	wild := mustNew(t, Config{Ref: ref, Functions: append(listed, Function{Slug: Wildcard})})
	off := mustNew(t, Config{Ref: ref, Functions: append(listed, Function{Slug: Wildcard, Status: StatusRemoved})})
	tests := []struct {
		name    string
		project *Project
		slug    string
		want    string // slug of the entry; "" means not found
	}{
		{"1.4 listed", plain, "hello", "hello"},
		{"1.4 other case", plain, "Hello", ""},
		{"1.4 not listed", plain, "other", ""},
		{"1.4 removed", plain, "gone", ""},
		{"1.4 the wildcard's own name", plain, "*", ""},
		{"1.4 listed beside a wildcard", wild, "hello", "hello"},
		{"1.4 by wildcard", wild, "Hello", Wildcard},
		{"1.4 removed stays removed", wild, "gone", ""},
		{"1.4 the wildcard is no slug", wild, "*", ""},
		{"1.4 empty", wild, "", ""},
		{"1.4 not a slug", wild, "a.b", ""},
		{"1.6 reserved", wild, "_internal", ""},
		{"1.6 reserved in capitals", wild, "_Internal", ""},
		{"1.6 only that name", wild, "_internals", Wildcard},
		{"1.4 removed wildcard", off, "other", ""},
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

// BEHAVIOUR 1.4: ValidSlug is the contract's pattern, byte by byte.
func TestValidSlug(t *testing.T) {
	if ValidSlug("") {
		t.Error("1.4: the empty slug is valid")
	}
	for c := range 256 {
		slug := string([]byte{'a', byte(c), 'z'})
		if got, want := ValidSlug(slug), regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(slug); got != want {
			t.Errorf("1.4: ValidSlug(%q) = %v, want %v", slug, got, want)
		}
	}
}
