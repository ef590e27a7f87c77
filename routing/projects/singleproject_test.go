package projects

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// A single project is built by the same rules, with paths of its own.
func TestBuilderProject(t *testing.T) {
	off := false
	p, problems, err := testBuilder(t).Project(ProjectConfig{
		Domains: []string{"API.example.org"}, Regions: []string{"us-east-1", "lab"}, MaxBody: 5, WallClock: Duration(time.Minute),
		JWT: &JWTConfig{Secret: "{env.SECRET}"}, CORS: &CORSConfig{Origins: []string{"https://app.test"}},
		Functions: []FunctionConfig{{Slug: Wildcard}, {Slug: "a", VerifyJWT: &off}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if p.Ref != DefaultRef || p.MaxBody != 5 || p.WallClock != time.Minute || p.Organization != nil || !p.CORS.Allowed("https://app.test") {
		t.Errorf("project %+v", p)
	}
	if !slices.Equal(p.Domains, []string{"api.example.org"}) || p.Functions() != 2 {
		t.Errorf("domains %v, %d functions", p.Domains, p.Functions())
	}
	if f, ok := p.Function("a"); !ok || f.VerifyJWT {
		t.Errorf("contract 3.1: %+v", f)
	}
	if len(problems) != 1 || problems[0].Path != "regions[1]" {
		t.Errorf("contract 2.4: problems %v", problems)
	}
}

func TestBuilderProjectRefuses(t *testing.T) {
	tests := []struct {
		name string
		cfg  ProjectConfig
		want string
	}{
		{"another ref", ProjectConfig{Ref: refA}, `ref: "` + refA + `": the only project is called default`},
		{"organization", ProjectConfig{Organization: "acme"}, `organization: "acme": there are no organizations beside a single project`},
		{"negative max_body", ProjectConfig{MaxBody: -1}, "max_body: must not be negative"},
		{"negative wall_clock", ProjectConfig{WallClock: -1}, "wall_clock: must not be negative"},
		{"negative leeway", ProjectConfig{JWT: &JWTConfig{Leeway: -1}}, "jwt.leeway: must not be negative"},
		{"contract 6.2 function's wall_clock", ProjectConfig{Functions: []FunctionConfig{{Slug: "a", WallClock: -1}}}, "functions[0].wall_clock: must not be negative"},
		{"contract 3.14 secret", ProjectConfig{JWT: &JWTConfig{Secrets: []string{"short"}}}, "jwt.secrets[0]: it has 5 bytes, HS256 needs at least 32; `openssl rand -base64 32` makes one"},
		{"contract 3.14 inline keys", ProjectConfig{JWT: &JWTConfig{JWKS: []byte("{")}}, "jwt.jwks: it is not a JSON object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, _, err := testBuilder(t).Project(tt.cfg)
			if p != nil || err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

// The names that operators write are the ones that are shown.
func TestNames(t *testing.T) {
	for i, name := range corsNames {
		if m, err := ParseCORSMode(name); err != nil || int(m) != i || m.String() != name {
			t.Errorf("contract 4.1: %q is %v, %v", name, m, err)
		}
	}
	for i, name := range htmlNames {
		if m, err := ParseHTMLMode(name); err != nil || int(m) != i || m.String() != name {
			t.Errorf("contract 6.3: %q is %v, %v", name, m, err)
		}
	}
	for i, name := range statusNames {
		if s, err := ParseStatus(name); err != nil || int(s) != i || s.String() != name {
			t.Errorf("%q is %v, %v", name, s, err)
		}
	}
	for i, name := range tokenNames {
		if s, err := ParseTokenSource(name); err != nil || int(s) != i || s.String() != name {
			t.Errorf("contract 3.15: %q is %v, %v", name, s, err)
		}
	}
	if m, err := ParseCORSMode(""); err != nil || m != CORSAuto {
		t.Errorf("contract 4.1: the default is %v, %v", m, err)
	}
	if s, err := ParseStatus(""); err != nil || s != StatusActive {
		t.Errorf("the default is %v, %v", s, err)
	}
}

// Contract 6.2, 7.6: a plan holds for a single project as for others.
func TestBuilderProjectOf(t *testing.T) {
	cfg := ProjectConfig{Functions: []FunctionConfig{{Slug: "a"}, {Slug: "b"}}}
	builder, err := NewBuilder(BuilderConfig{Plans: map[string]Plan{"tiny": {Functions: 1, WallClock: time.Second}}})
	if err != nil {
		t.Fatal(err)
	}
	p, problems, err := builder.ProjectOf(cfg, &OrganizationConfig{ID: DefaultRef, Plan: "tiny"})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := p.Function("b"); ok || p.LeftOut() != 1 || p.WallClock != time.Second || p.Organization.ID != DefaultRef || len(problems) != 1 {
		t.Errorf("%+v, problems %v", p, problems)
	}
	if _, _, err := builder.ProjectOf(ProjectConfig{Organization: "acme"}, nil); err == nil {
		t.Error("an organization beside a single project was accepted")
	}
	if _, _, err := builder.ProjectOf(cfg, &OrganizationConfig{ID: "acme", Plan: "tinny", TimeZone: "Local"}); err == nil ||
		!strings.Contains(err.Error(), `did you mean "tiny"?`) || !strings.Contains(err.Error(), "must be an IANA time zone") {
		t.Errorf("%v", err)
	}
}

// Contract 7.3: which quotas end invocations.
func TestAllowance(t *testing.T) {
	plans, yes, no, ten := BuiltinPlans(), true, false, int64(10)
	named := func(name string) *Plan { p := plans[name]; return &p }
	for _, tc := range []struct {
		name  string
		of    Organization
		quota int64
		hard  bool
	}{
		{"no plan", Organization{}, -1, false},
		{"no plan, a quota", Organization{Quota: &ten}, 10, true},
		{"free", Organization{Plan: named("free")}, 500_000, true},
		{"free without a cap", Organization{Plan: named("free"), SpendCap: &no}, 500_000, true},
		{"pro", Organization{Plan: named("pro")}, 2_000_000, true},
		{"pro without a cap", Organization{Plan: named("pro"), SpendCap: &no}, 2_000_000, false},
		{"team", Organization{Plan: named("team")}, 2_000_000, false},
		{"team with a cap", Organization{Plan: named("team"), SpendCap: &yes}, 2_000_000, true},
		{"team with a quota", Organization{Plan: named("team"), Quota: &ten}, 10, false},
		{"enterprise", Organization{Plan: named("enterprise")}, -1, false},
		{"enterprise with a quota", Organization{Plan: named("enterprise"), Quota: &ten}, 10, true},
	} {
		if quota, hard := tc.of.Allowance(); quota != tc.quota || hard != tc.hard {
			t.Errorf("%s: %d, hard %t, want %d, %t", tc.name, quota, hard, tc.quota, tc.hard)
		}
	}
}
