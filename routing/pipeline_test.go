package routing

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing/cors"
	"github.com/edgegate/edgegate/routing/projects"
)

// Contract 1.1 to 1.3: what the backend gets of a target, byte for byte.
func TestAdmitTarget(t *testing.T) {
	p := newFixture().pipeline(t)
	tests := []struct{ name, host, target, want string }{
		{"contract 1.1 shared host", sharedHost, "/functions/v1/open", "/open"},
		{"contract 1.1 own host", ownHost, "/functions/v1/open/x?y=z", "/open/x?y=z"},
		{"contract 1.1 ref host", "abcdefghijklmnopqrst.example.com", "/functions/v1/open", "/open"},
		{"contract 1.2 host form", hostFormHost, "/open/x?y", "/open/x?y"},
		{"contract 1.2 host form with port and capitals", strings.ToUpper(hostFormHost) + ".:8443", "/open", "/open"},
		{"contract 1.3 rest and query stay raw", sharedHost, "/functions/v1/open/%41//ä|[]?q=%zz&a+b;c%23d", "/open/%41//ä|[]?q=%zz&a+b;c%23d"},
		{"contract 1.3 empty query stays", sharedHost, "/functions/v1/open?", "/open?"},
		{"contract 1.3 dots in the query", sharedHost, "/functions/v1/open?/../..%00", "/open?/../..%00"},
		{"contract 1.3 forceFunctionRegion stays", sharedHost, "/functions/v1/open?forceFunctionRegion=us-east-1", "/open?forceFunctionRegion=us-east-1"},
		{"contract 1.3 absolute form", sharedHost, "http://ignored/functions/v1/open/a?b", "/open/a?b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request(tt.target)
			r.Host = tt.host
			if inv := admit(t, p, r); inv.Target != tt.want || inv.Slug != "open" {
				t.Errorf("target %q of %q, want %q", inv.Target, inv.Slug, tt.want)
			}
		})
	}
}

// Contract 1.2, 1.4, 1.6, 1.7, 5.6: paths of no function.
func TestAdmitNotFound(t *testing.T) {
	f := newFixture()
	f.functions = append(f.functions, projects.Function{Slug: "functions"})
	p := f.pipeline(t)
	tests := []struct{ name, host, target string }{
		{"contract 1.2 host form on an own host", ownHost, "/open"},
		{"contract 1.2 host form on a shared host", sharedHost, "/open"},
		{"contract 1.2 host form two labels deep", "a.b.functions.example.com", "/open"},
		{"contract 1.2 host form without label", ".functions.example.com", "/open"},
		{"contract 1.4 unknown", sharedHost, "/functions/v1/nobody"},
		{"contract 1.4 other case", sharedHost, "/functions/v1/Hello"},
		{"contract 1.4 encoded", sharedHost, "/functions/v1/hel%6Co"},
		{"contract 1.4 empty", sharedHost, "/functions/v1/"},
		{"contract 1.4 empty and more", sharedHost, "/functions/v1//open"},
		{"contract 1.4 dot", sharedHost, "/functions/v1/./open"},
		{"contract 1.4 dot dot", sharedHost, "/functions/v1/../open"},
		{"contract 1.4 no slash", sharedHost, "/functions/v1"},
		{"contract 1.4 removed", sharedHost, "/functions/v1/gone"},
		{"contract 1.6 the runtime's own", sharedHost, "/functions/v1/_internal/health"},
		{"contract 1.6 at the root", sharedHost, "/_internal/health"},
		{"contract 1.6 in the host form", hostFormHost, "/_internal/health"},
		{"contract 1.7 root", sharedHost, "/"},
		{"contract 1.7 other path", sharedHost, "/rest/v1/open"},
		{"contract 1.7 asterisk", sharedHost, "*"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request(tt.target)
			r.Host = tt.host
			refusal, _ := refused(t, p, r, 404, CodeNotFound)
			if want := `{"code":"NOT_FOUND","message":"Requested function was not found"}`; string(refusal.Body()) != want {
				t.Errorf("body %s, want %s", refusal.Body(), want)
			}
		})
	}
	r := request("/functions/v1/x")
	r.Host = hostFormHost
	if inv := admit(t, p, r); inv.Slug != "functions" || inv.Target != "/functions/v1/x" {
		t.Errorf("contract 1.2: slug %q, target %q", inv.Slug, inv.Target)
	}
}

// Contract 1.4, 1.6: `function *` answers for any slug but the runtime's own.
func TestAdmitWildcard(t *testing.T) {
	f := newFixture()
	f.functions = append(f.functions, projects.Function{Slug: projects.Wildcard})
	p := f.pipeline(t)
	inv := admit(t, p, request("/functions/v1/Anything_else-1/x"))
	if inv.Slug != "Anything_else-1" || inv.Function.Slug != projects.Wildcard {
		t.Errorf("contract 1.4: slug %q by %q", inv.Slug, inv.Function.Slug)
	}
	refused(t, p, request("/functions/v1/gone"), 404, CodeNotFound)
	for _, slug := range []string{"_internal", "_INTERNAL", "_Internal", "_internaL", "%5finternal", "_internal%2f", "_internal;", `_internal\`, "*", ""} {
		refused(t, p, request("/functions/v1/"+slug+"/health"), 404, CodeNotFound)
	}
	for _, rest := range []string{"/../_internal", "/..%2f_internal", "/%2e%2e/_internal", `/..\_internal`, "/a%2fb/../../_internal"} {
		refused(t, p, request("/functions/v1/x"+rest+"/health"), 400, CodeInvalidURL)
	}
	// Inside a function the name is the function's own business.
	admit(t, p, request("/functions/v1/x/_internal/health"))
}

// Contract 5.8: 405 outside the six methods, with Allow.
func TestAdmitMethod(t *testing.T) {
	p := newFixture().pipeline(t)
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		r := request("/functions/v1/open")
		r.Method = method
		admit(t, p, r)
	}
	for _, method := range []string{"HEAD", "CONNECT", "TRACE", "PROPFIND", "get", ""} {
		r := request("/functions/v1/open")
		r.Method = method
		refusal, _ := refused(t, p, r, 405, CodeMethodNotAllowed)
		if refusal.Allow != "GET, POST, PUT, PATCH, DELETE, OPTIONS" {
			t.Errorf("contract 5.8: Allow %q", refusal.Allow)
		}
	}
}

// Contract 4.1, 4.2, 4.7: who answers which OPTIONS.
func TestAdmitOptions(t *testing.T) {
	p := newFixture().pipeline(t)
	origin := []string{"Origin", "https://app.test"}
	method := []string{"Access-Control-Request-Method", "POST"}
	both := slices.Concat(origin, method)
	const function = AnswerNone
	tests := []struct {
		name, method, target string
		header               []string
		answer               Answer
		preflight            bool
	}{
		{"contract 4.2 auto", "OPTIONS", "/functions/v1/hello", both, AnswerPreflight, false},
		{"contract 4.2 verify_jwt off", "OPTIONS", "/functions/v1/open", both, AnswerPreflight, false},
		{"contract 4.2 no Origin", "OPTIONS", "/functions/v1/hello", method, AnswerOptions, false},
		{"contract 4.2 no method asked for", "OPTIONS", "/functions/v1/hello", origin, AnswerOptions, false},
		{"contract 4.2 plain OPTIONS needs no token", "OPTIONS", "/functions/v1/hello", nil, AnswerOptions, false},
		{"contract 4.2 nor a good key", "OPTIONS", "/functions/v1/hello", []string{"Apikey", "sb_secret_unknown"}, AnswerOptions, false},
		{"contract 4.2 another method", "GET", "/functions/v1/open", both, function, false},
		{"contract 4.1 cors function", "OPTIONS", "/functions/v1/own-cors", both, function, true},
		{"contract 4.1 without keys", "OPTIONS", "/functions/v1/own-cors", append([]string{"Apikey", "sb_secret_unknown"}, both...), function, true},
		{"contract 4.2 cors function: checked", "OPTIONS", "/functions/v1/own-cors", []string{"Apikey", publishableKey}, function, false},
		{"contract 4.7 unknown function", "OPTIONS", "/functions/v1/nobody", both, AnswerPreflight, false},
		{"contract 4.7 removed function", "OPTIONS", "/functions/v1/gone", both, AnswerPreflight, false},
		{"contract 4.7 no function", "OPTIONS", "/functions/v1/", both, AnswerPreflight, false},
		{"contract 4.7 path below the directive", "OPTIONS", "/rest/v1/x", both, AnswerPreflight, false},
		{"contract 4.7 invalid URL", "OPTIONS", "/functions/v1/hello/../..", both, AnswerPreflight, false},
		{"contract 4.7 invalid URL of cors function", "OPTIONS", "/functions/v1/own-cors/../..", both, AnswerPreflight, false},
		{"contract 4.7 unknown region", "OPTIONS", "/functions/v1/hello?forceFunctionRegion=mars", both, AnswerPreflight, false},
		{"contract 4.7 asterisk", "OPTIONS", "*", both, AnswerPreflight, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request(tt.target, tt.header...)
			r.Method = tt.method
			inv := admit(t, p, r)
			if inv.Answer != tt.answer || inv.Preflight != tt.preflight {
				t.Errorf("answer %d, preflight %v, want %d, %v", inv.Answer, inv.Preflight, tt.answer, tt.preflight)
			}
			if touches := len(inv.Plan.Candidates) > 0; touches != (tt.answer == function) {
				t.Errorf("contract 4.2: a plan is there: %v", touches)
			}
			if (inv.Allow == allowedMethods) != (tt.answer == AnswerOptions) {
				t.Errorf("contract 4.2: Allow %q", inv.Allow)
			}
		})
	}
	for name, header := range map[string][]string{
		"no Origin": method, "no method asked for": origin, "bare": nil, "secret key in a browser": append([]string{"Apikey", secretKey}, origin...),
	} {
		t.Run("contract 4.2 cors function, "+name, func(t *testing.T) {
			r := request("/functions/v1/own-cors", header...)
			r.Method = http.MethodOptions
			var inv Invocation
			if refusal := p.Admit(r, Site{}, &inv); refusal == nil || refusal.Status != http.StatusUnauthorized {
				t.Errorf("a free API: %+v", inv)
			}
		})
	}
}

// Contract 4.7: a preflight to a host of nobody, also while the projects are unknown, is answered by the site's policy.
func TestAdmitPreflightToNobody(t *testing.T) {
	f := newFixture()
	site, err := cors.New(cors.Config{Origins: []string{"https://site.test"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, catalogue := range []Projects{hosts{}, unloaded{ready: true}, unloaded{}} {
		f.catalogue = catalogue
		r := request("/functions/v1/hello", "Origin", "https://site.test", "Access-Control-Request-Method", "POST")
		r.Method = http.MethodOptions
		var inv Invocation
		if refusal := f.pipeline(t).Admit(r, Site{CORS: site}, &inv); refusal != nil || inv.Answer != AnswerPreflight || inv.CORS != site {
			t.Errorf("contract 4.7: %+v, %+v", refusal, inv)
		}
	}
}

// Contract 4.2: the project's policy beats the site's, which beats any
// origin; contract 4.1: auto is the default.
func TestAdmitCORSPolicy(t *testing.T) {
	site, err := cors.New(cors.Config{Origins: []string{"https://site.test"}})
	if err != nil {
		t.Fatal(err)
	}
	plain, own := newFixture(), newFixture()
	own.cors = &cors.Config{Origins: []string{"https://project.test"}}
	tests := []struct {
		name    string
		fixture *fixture
		site    *cors.Policy
		allowed []string
	}{
		{"contract 4.2 neither", plain, nil, []string{"https://app.test", "https://site.test", "https://project.test"}},
		{"contract 4.4 site", plain, site, []string{"https://site.test"}},
		{"contract 4.4 project", own, nil, []string{"https://project.test"}},
		{"contract 4.4 both", own, site, []string{"https://project.test"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var inv Invocation
			if refusal := tt.fixture.pipeline(t).Admit(request("/functions/v1/open"), Site{CORS: tt.site}, &inv); refusal != nil {
				t.Fatal(refusal.Code)
			}
			for _, origin := range []string{"https://app.test", "https://site.test", "https://project.test"} {
				if inv.CORS.Allowed(origin) != slices.Contains(tt.allowed, origin) {
					t.Errorf("origin %s: %v", origin, inv.CORS.Allowed(origin))
				}
			}
			if !inv.OwnCORS() {
				t.Error("contract 4.1: auto is not the default")
			}
		})
	}
	if inv := admit(t, plain.pipeline(t), request("/functions/v1/own-cors", "Apikey", publishableKey)); inv.OwnCORS() {
		t.Error("contract 4.1: cors function is overruled")
	}
}

// Contract 5.10, 6.1, 6.2: whose limit holds.
func TestAdmitLimits(t *testing.T) {
	p := newFixture().pipeline(t)
	want := regions.Limits{Idle: testIdle, WallClock: testProjectWall, MaxBody: testMaxBody, Start: testNow}
	if got := admit(t, p, request("/functions/v1/open")).Limits; got != want {
		t.Errorf("contract 6.1, 6.2: %+v, want %+v", got, want)
	}
	want.WallClock = 5 * time.Second
	if got := admit(t, p, request("/functions/v1/quick")).Limits; got != want {
		t.Errorf("contract 6.2: the function's own: %+v, want %+v", got, want)
	}
	f := newFixture()
	f.settings = Settings{}
	bare := f.pipeline(t)
	r := request("/functions/v1/open")
	r.ContentLength = 1 << 40
	if got := admit(t, bare, r).Limits; got.Idle != 150*time.Second || got.MaxBody != 0 {
		t.Errorf("contract 5.10, 6.1: defaults are %+v", got)
	}
}

// Contract 5.10: 413 for a Content-Length above max_body.
func TestAdmitContentLength(t *testing.T) {
	f := newFixture()
	off := false
	project := newProject(t, projects.ProjectConfig{
		MaxBody: 10, Functions: []projects.FunctionConfig{{Slug: "open", VerifyJWT: &off}},
	})
	small := *f
	small.catalogue = hosts{sharedHost: {Project: project}}
	tests := []struct {
		name     string
		pipeline *Pipeline
		length   int64
		message  string // "" when it passes
	}{
		{"none", f.pipeline(t), 0, ""},
		{"unknown", f.pipeline(t), -1, ""},
		{"at the limit", f.pipeline(t), testMaxBody, ""},
		{"above", f.pipeline(t), testMaxBody + 1, "Request body exceeds the limit of 1000 bytes"},
		{"at the project's", small.pipeline(t), 10, ""},
		{"above the project's", small.pipeline(t), 11, "Request body exceeds the limit of 10 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request("/functions/v1/open")
			r.ContentLength = tt.length
			if tt.message == "" {
				admit(t, tt.pipeline, r)
				return
			}
			refusal, _ := refused(t, tt.pipeline, r, 413, CodePayloadTooLarge)
			if want := `{"code":"PAYLOAD_TOO_LARGE","message":"` + tt.message + `"}`; string(refusal.Body()) != want {
				t.Errorf("body %s, want %s", refusal.Body(), want)
			}
		})
	}
}

// Contract 6.3, 6.4: what shared hosts take away from answers.
func TestAdmitAnswerPolicy(t *testing.T) {
	p := newFixture().pipeline(t)
	tests := []struct {
		name, method, host, slug string
		keep                     bool
		plain, strip             bool
	}{
		{"contract 6.3 GET on a shared host", "GET", sharedHost, "open", false, true, true},
		{"contract 6.3 host form is shared", "GET", hostFormHost, "open", false, true, true},
		{"contract 6.3 POST keeps HTML, not cookies", "POST", sharedHost, "open", false, false, true},
		{"contract 6.3 own host", "GET", ownHost, "open", false, false, false},
		{"contract 6.3 html keep of the site", "GET", sharedHost, "open", true, false, false},
		{"contract 6.3 html keep of the function", "GET", sharedHost, "page", false, false, false},
		{"contract 6.3 function beats site", "GET", sharedHost, "text", true, true, true},
		{"contract 6.3 text/plain is nothing on an own host", "GET", ownHost, "text", false, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request("/functions/v1/" + tt.slug)
			if tt.host == hostFormHost {
				r.Target = "/" + tt.slug
			}
			r.Method, r.Host = tt.method, tt.host
			var inv Invocation
			if refusal := p.Admit(r, Site{KeepHTML: tt.keep}, &inv); refusal != nil {
				t.Fatal(refusal.Code)
			}
			if inv.PlainHTML != tt.plain || inv.SharedHost != tt.strip {
				t.Errorf("plain %v, strip %v, want %v, %v", inv.PlainHTML, inv.SharedHost, tt.plain, tt.strip)
			}
		})
	}
}
