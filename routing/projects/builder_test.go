package projects

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/routing/auth"
	"github.com/edgegate/edgegate/routing/auth/jwks"
)

const (
	refA   = "abcdefghijklmnopqrst"
	refB   = "bbbbbbbbbbbbbbbbbbbb"
	refC   = "cccccccccccccccccccc"
	secret = "0123456789abcdef0123456789abcdef"
)

// today is when the tests take place.
var today = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func testConfig() BuilderConfig {
	return BuilderConfig{
		Apex: "example.com", Regions: []string{"eu-central-1", "us-east-1"},
		Now: func() time.Time { return today },
		Resolve: func(text string) (string, error) {
			if strings.Contains(text, "{env.MISSING}") {
				return "", errors.New("the environment variable MISSING is not set or empty")
			}
			return strings.ReplaceAll(text, "{env.SECRET}", secret), nil
		},
	}
}

func testBuilder(t testing.TB) *Builder {
	t.Helper()
	b, err := NewBuilder(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// build reads a file as an operator wrote it.
func build(t testing.TB, b *Builder, file string) (*Snapshot, Report, error) {
	t.Helper()
	in, err := SplitFile([]byte(file))
	if err != nil {
		return nil, Report{}, err
	}
	return b.Build(in)
}

func mustBuild(t testing.TB, b *Builder, file string) (*Snapshot, Report) {
	t.Helper()
	s, report, err := build(t, b, file)
	if err != nil {
		t.Fatal(err)
	}
	return s, report
}

// inProject is a file with one project that has the members.
func inProject(members string) string {
	return fmt.Sprintf(`{"organizations":[{"id":"acme","plan":"pro"}],"projects":[{"ref":%q,%s}]}`, refA, members)
}

func inFunction(members string) string {
	return inProject(`"functions":[{"slug":"a",` + members + `}]`)
}

func inOrganization(members string) string {
	return `{"projects":[],"organizations":[{"id":"acme",` + members + `}]}`
}

// Every structural error says where it is and what to write instead. The whole
// text is compared: a second error would be a consequence, which is no news.
func TestBuildRefuses(t *testing.T) {
	key := `{"type":"secret","key":"sb_secret_0123456789"}`
	tests := []struct{ name, file, want string }{
		// Syntax.
		{"empty", "", `the file is empty; without projects it has {"projects":[]}`},
		{"blank", " \n", `the file is empty; without projects it has {"projects":[]}`},
		{"comma", "{\n \"projects\": [,]}", "line 2, column 15: invalid character ',' looking for beginning of value"},
		{"column counts characters", `{"ä":,}`, "line 1, column 6: invalid character ',' looking for beginning of value"},
		{"cut off", `{"projects": [`, "line 1, column 14: unexpected end of JSON input"},
		{"text behind", `{"projects":[]} x`, "line 1, column 17: invalid character 'x' after top-level value"},
		{"not UTF-8", "{\"projects\":[\n\"\xff\"]}", "line 2, column 2: not UTF-8"},
		{"a list", `[]`, `must be an object: {"organizations":[],"projects":[]}`},
		{"null", `null`, `must be an object: {"organizations":[],"projects":[]}`},
		{"no projects", `{"organizations":[]}`, "projects: is missing; a file without projects has an empty list"},
		{"projects twice", `{"projects":[],"projects":[]}`, "projects: given twice"},
		{"projects an object", `{"projects":{}}`, "projects: must be a list"},
		{"projects null", `{"projects":null}`, "projects: must be a list"},
		{"near miss at the top", `{"project":[]}`, `unknown field "project" (did you mean "projects"?)`},
		{"unknown at the top", `{"projects":[],"$schema":""}`, `unknown field "$schema": allowed are organizations, projects`},
		// Shape.
		{"a string for a project", `{"projects":["x"]}`, "projects[0]: must be an object"},
		{"null for a project", `{"projects":[null]}`, "projects[0]: must be an object"},
		{"near miss", inProject(`"domians":[]`), `projects[0]: unknown field "domians" (did you mean "domains"?)`},
		{"names have one case", inProject(`"Domains":[]`), `projects[0]: unknown field "Domains" (did you mean "domains"?)`},
		{"unknown field", inProject(`"cors":{"headers":[]}`), `projects[0].cors: unknown field "headers": allowed are origins, credentials`},
		{"placement of a project, which comes later", inProject(`"placement":"smart"`), `projects[0].placement: not in this build; see docs/roadmap.md`},
		{"placement of a function, which comes later", inFunction(`"placement":["a"]`), `projects[0].functions[0].placement: not in this build; see docs/roadmap.md`},
		{"replay of a function, which comes later", inFunction(`"replay":true`), `projects[0].functions[0].replay: not in this build; see docs/roadmap.md`},
		{"later elsewhere", inFunction(`"cors":"auto","top_projects":1`), `projects[0].functions[0]: unknown field "top_projects": allowed are slug, id, version, verify_jwt, cors, html, status, wall_clock, websocket_token, event_source_token, expose`},
		{"nested near miss", inFunction(`"verify-jwt":true`), `projects[0].functions[0]: unknown field "verify-jwt" (did you mean "verify_jwt"?)`},
		{"member twice", inFunction(`"version":1,"version":1`), "projects[0].functions[0].version: given twice"},
		{"member twice in other spelling", inFunction("\"version\":1,\"v\\u0065rsion\":1"), "projects[0].functions[0].version: given twice"},
		{"string for a list", inProject(`"functions":"hello"`), "projects[0].functions: must be a list"},
		{"string for an object", inProject(`"functions":["hello"]`), "projects[0].functions[0]: must be an object"},
		{"string for a key", inProject(`"api_keys":["sb_secret_0123456789"]`), "projects[0].api_keys[0]: must be an object"},
		{"null in a list", inProject(`"functions":[null]`), "projects[0].functions[0]: must not be null"},
		{"number for a string", inProject(`"domains":[1]`), "projects[0].domains[0]: must be a string"},
		{"string for a bool", inFunction(`"verify_jwt":"off"`), "projects[0].functions[0].verify_jwt: must be true or false"},
		{"fraction for a number", inFunction(`"version":1.5`), "projects[0].functions[0].version: must be a whole number"},
		{"too large a number", inFunction(`"version":9223372036854775808`), "projects[0].functions[0].version: must be a whole number"},
		{"string for a duration", inFunction(`"wall_clock":"soon"`), `projects[0].functions[0].wall_clock: "soon": must be a duration such as "150s"`},
		{"seconds for a duration", inProject(`"wall_clock":150`), `projects[0].wall_clock: 150: a bare number is nanoseconds; write "150s"`},
		{"string for a size", inProject(`"max_body":"much"`), `projects[0].max_body: "much": must be a size such as "100MB"`},
		{"number for strings", inProject(`"jwt":{"issuer":1}`), "projects[0].jwt.issuer: must be a string or a list of strings"},
		{"no time", inProject(`"api_keys":[{"type":"secret","key":"sb_secret_0123456789","expires_at":"tomorrow"}]`), "projects[0].api_keys[0].expires_at: must be a time such as 2026-11-05T00:00:00Z (RFC 3339)"},
		{"wrong secret type", inProject(`"jwt":{"secret":["` + secret + `"]}`), "projects[0].jwt.secret: must be a string"},
		// Project.
		{"no ref", `{"projects":[{}]}`, `projects[0].ref: "": must be twenty lower-case letters`},
		{"bad ref", `{"projects":[{"ref":"Abc"}]}`, `projects[0].ref: "Abc": must be twenty lower-case letters`},
		{"the ref of single-project mode", `{"projects":[{"ref":"default"}]}`, `projects[0].ref: "default": must be twenty lower-case letters`},
		{"ref with a line behind", `{"projects":[{"ref":"abcdefghijklmnopqrs\n"}]}`, `projects[0].ref: "abcdefghijklmnopqrs\n": must be twenty lower-case letters`},
		{"ref twice", `{"projects":[{"ref":"` + refA + `"},{"ref":"` + refA + `"}]}`, `projects[1].ref: "` + refA + `": listed twice, first at projects[0]`},
		{"unknown organization", inProject(`"organization":"acne"`), `projects[0].organization: "acne": unknown organization (did you mean "acme"?)`},
		{"no organization like it", inProject(`"organization":"somebody"`), `projects[0].organization: "somebody": unknown organization`},
		{"negative max_body", inProject(`"max_body":-1`), `projects[0].max_body: must be a size such as "100MB", or a number of bytes`},
		{"negative wall_clock", inProject(`"wall_clock":"-1s"`), `projects[0].wall_clock: "-1s": must be a duration such as "150s"`},
		{"region twice", inProject(`"regions":["us-east-1","us-east-1"]`), `projects[0].regions[1]: "us-east-1": listed twice, first at regions[0]`},
		{"region empty", inProject(`"regions":[""]`), `projects[0].regions[0]: must not be empty`},
		{"contract 4.6 credentials for all", inProject(`"cors":{"credentials":true}`), `projects[0].cors: origin "*" cannot be combined with credentials: list the origins that may send cookies, or turn credentials off`},
		{"no origins", inProject(`"cors":{"origins":[]}`), `projects[0].cors: the list of origins is empty: name at least one, or leave it out to allow every origin`},
		// Domains.
		{"domain with scheme", inProject(`"domains":["https://x.test"]`), `projects[0].domains[0]: "https://x.test": must be a bare host name, without scheme, port or wildcard`},
		{"domain with wildcard", inProject(`"domains":["*.x.test"]`), `projects[0].domains[0]: "*.x.test": must be a bare host name, without scheme, port or wildcard`},
		{"domain empty", inProject(`"domains":[""]`), `projects[0].domains[0]: "": must be a bare host name, without scheme, port or wildcard`},
		{"domain with an empty part", inProject(`"domains":["a..b"]`), `projects[0].domains[0]: "a..b": "": a part of a host name is 1 to 63 letters, digits, _ and -, and neither starts nor ends with -`},
		{"domain with odd characters", inProject(`"domains":["a$.test"]`), `projects[0].domains[0]: "a$.test": "a$": a part of a host name is 1 to 63 letters, digits, _ and -, and neither starts nor ends with -`},
		{"domain no name in Unicode", inProject(`"domains":["\u0301a.test"]`), `projects[0].domains[0]: "́a.test": is no valid international host name`},
		{"domain bad Punycode", inProject(`"domains":["xn--a.test"]`), `projects[0].domains[0]: "xn--a.test": is no valid international host name`},
		{"domain long", inProject(`"domains":["` + strings.Repeat("a.", 127) + `a"]`), `projects[0].domains[0]: "` + strings.Repeat("a.", 32) + `"...: has 255 characters, a host name has at most 253`},
		{"domain from the environment", inProject(`"domains":["{env.HOST}"]`), `projects[0].domains[0]: "{env.HOST}": placeholders are filled in only in keys and secrets`},
		{"domain twice", inProject(`"domains":["x.test","X.TEST"]`), `projects[0].domains[1]: "X.TEST": listed twice, first at domains[0]`},
		{"domain twice, once in Unicode", inProject(`"domains":["xn--bcher-kva.test","Bücher.test"]`), `projects[0].domains[1]: "Bücher.test": listed twice, first at domains[0]`},
		{"domain of two projects", `{"projects":[{"ref":"` + refA + `","domains":["y.test","x.test"]},{"ref":"` + refB + `","domains":["x.test"]}]}`, `projects[1].domains[0]: "x.test": listed twice, first at projects[0].domains[1]`},
		{"contract 1.1 the apex", inProject(`"domains":["example.com"]`), `projects[0].domains[0]: "example.com": is the apex of all projects`},
		{"contract 1.1 a host by ref", inProject(`"domains":["` + refB + `.example.com"]`), `projects[0].domains[0]: "` + refB + `.example.com": is a host of the project "` + refB + `" by its ref`},
		{"contract 1.2 a host by ref", inProject(`"domains":["` + refB + `.functions.EXAMPLE.com"]`), `projects[0].domains[0]: "` + refB + `.functions.EXAMPLE.com": is a host of the project "` + refB + `" by its ref`},
		// Functions.
		{"contract 1.4 slug", inProject(`"functions":[{"slug":"ok"},{"slug":"a b"}]`), `projects[0].functions[1].slug: "a b": a slug is made of letters, digits, _ and -, or is * for any other`},
		{"contract 9.7 long slug", inProject(`"functions":[{"slug":"` + strings.Repeat("a", MaxSlug) + `"},{"slug":"` + strings.Repeat("b", MaxSlug+1) + `"}]`), `projects[0].functions[1].slug: "` + strings.Repeat("b", 64) + `"...: a slug has at most 255 characters`},
		{"contract 1.4 no slug", inProject(`"functions":[{}]`), `projects[0].functions[0].slug: "": a slug is made of letters, digits, _ and -, or is * for any other`},
		{"contract 1.6 reserved", inProject(`"functions":[{"slug":"_Internal"}]`), `projects[0].functions[0].slug: "_Internal": reserved for the runtime's own endpoints`},
		{"slug twice", inProject(`"functions":[{"slug":"b"},{"slug":"a"},{"slug":"b"}]`), `projects[0].functions[2].slug: "b": listed twice, first at functions[0]`},
		{"slug three times", inProject(`"functions":[{"slug":"*"},{"slug":"*"},{"slug":"*"}]`), "projects[0].functions[1].slug: \"*\": listed twice, first at functions[0]\nprojects[0].functions[2].slug: \"*\": listed twice, first at functions[0]"},
		{"id with a space", inFunction(`"id":"a b"`), "projects[0].functions[0].id: must be at most 64 visible ASCII characters"},
		{"id long", inFunction(`"id":"` + strings.Repeat("x", 65) + `"`), "projects[0].functions[0].id: must be at most 64 visible ASCII characters"},
		{"negative version", inFunction(`"version":-1`), "projects[0].functions[0].version: must not be negative"},
		{"contract 4.1 cors", inFunction(`"cors":"functions"`), `projects[0].functions[0].cors: "functions": allowed are auto, function (did you mean "function"?)`},
		{"contract 6.3 html", inFunction(`"html":"text/html"`), `projects[0].functions[0].html: "text/html": allowed are text/plain, keep`},
		{"status", inFunction(`"status":"active"`), `projects[0].functions[0].status: "active": allowed are ACTIVE, REMOVED, THROTTLED (did you mean "ACTIVE"?)`},
		{"contract 3.15 event_source_token", inFunction(`"event_source_token":"subprotocol"`), `projects[0].functions[0].event_source_token: "subprotocol": allowed are query`},
		{"contract 4.5 expose of a function", inFunction(`"expose":["x a"]`), `projects[0].functions[0].expose: "x a" is no name of a header: write names such as x-total-count, each by itself`},
		{"contract 4.5 expose of a project", inProject(`"expose":["x-a","X-A"]`), `projects[0].expose: "X-A" is there twice, remove one`},
		{"contract 3.15 websocket_token", inFunction(`"websocket_token":"header"`), `projects[0].functions[0].websocket_token: "header": allowed are query, subprotocol`},
		// Credentials.
		{"contract 3.14 weak secret", inProject(`"jwt":{"secret":"hunter2"}`), "projects[0].jwt.secret: it has 7 bytes, HS256 needs at least 32; `openssl rand -base64 32` makes one"},
		{"contract 3.14 weak second secret", inProject(`"jwt":{"secret":"` + secret + `","secrets":["` + secret + `1","hunter2"]}`), "projects[0].jwt.secrets[1]: it has 7 bytes, HS256 needs at least 32; `openssl rand -base64 32` makes one"},
		{"secret not set", inProject(`"jwt":{"secret":"{env.MISSING}"}`), "projects[0].jwt.secret: the environment variable MISSING is not set or empty"},
		{"secret blank", inProject(`"jwt":{"secrets":[" "]}`), "projects[0].jwt.secrets[0]: must not be empty"},
		{"contract 3.8 issuer of nothing", inProject(`"jwt":{"issuer":[]}`), "projects[0].jwt.issuer: the list is empty; leave it out to accept anything"},
		{"contract 3.8 audience empty", inProject(`"jwt":{"audience":""}`), "projects[0].jwt.audience: must not be empty; leave it out to accept anything"},
		{"contract 3.14 jwks no set", inProject(`"jwt":{"jwks":{}}`), `projects[0].jwt.jwks: it has no "keys" array`},
		{"contract 3.14 jwks a string", inProject(`"jwt":{"jwks":"https://x.test/jwks"}`), "projects[0].jwt.jwks: it is not a JSON object"},
		{"contract 3.14 jwks_url scheme", inProject(`"jwt":{"jwks_url":"ftp://x.test"}`), "projects[0].jwt.jwks_url: its scheme is not http or https"},
		{"contract 3.14 jwks_url from the environment", inProject(`"jwt":{"jwks_url":"https://x.test/{env.X}"}`), "projects[0].jwt.jwks_url: placeholders are filled in only in keys and secrets"},
		{"contract 3.9 key type", inProject(`"api_keys":[{"type":"secrte","key":"sb_secret_0123456789"}]`), `projects[0].api_keys[0].type: the type is publishable or secret (did you mean "secret"?)`},
		{"contract 3.9 key for the type", inProject(`"api_keys":[{"type":"sb_secret_0123456789","key":"secret"}]`), `projects[0].api_keys[0].type: the type is publishable or secret`},
		{"contract 3.9 no key", inProject(`"api_keys":[{"type":"secret"}]`), "projects[0].api_keys[0]: has neither key nor sha256"},
		{"contract 3.9 key and hash", inProject(`"api_keys":[{"type":"secret","key":"hunter2-hunter2-hunter2","sha256":"` + strings.Repeat("0a", 32) + `"}]`), "projects[0].api_keys[0]: it has both the key and its SHA-256, one is enough"},
		{"contract 3.9 hash short", inProject(`"api_keys":[{"type":"secret","sha256":"0a"}]`), "projects[0].api_keys[0].sha256: must be 64 hexadecimal digits"},
		{"contract 3.9 hash no hex", inProject(`"api_keys":[{"type":"secret","sha256":"<hex of the key>"}]`), "projects[0].api_keys[0].sha256: must be 64 hexadecimal digits"},
		{"contract 3.9 key with a space", inProject(`"api_keys":[{"type":"secret","key":"sb_secret 0123456789"}]`), "projects[0].api_keys[0]: the key has a space or a character that is not visible ASCII, no client could send it"},
		{"contract 3.9 key twice", inProject(`"api_keys":[` + key + "," + key + `]`), "projects[0].api_keys[1]: is the same key as api_keys[0], remove one"},
		{"contract 3.9 key and its hash", inProject(`"api_keys":[` + key + `,{"type":"secret","sha256":"e8909835252e30cdc333f1874367ee80b8c1559bfdd9d59a2eaf8d748b8a03e4"}]`), "projects[0].api_keys[1]: is the same key as api_keys[0], remove one"},
		// Organizations.
		{"organization without id", `{"projects":[],"organizations":[{}]}`, `organizations[0].id: "": must be letters, digits, _, - and ., at most 64`},
		{"organization's id", `{"projects":[],"organizations":[{"id":"a/b"}]}`, `organizations[0].id: "a/b": must be letters, digits, _, - and ., at most 64`},
		{"organization twice", `{"projects":[],"organizations":[{"id":"a"},{"id":"a"}]}`, `organizations[1].id: "a": listed twice, first at organizations[0]`},
		{"unknown plan", inOrganization(`"plan":"por"`), `organizations[0].plan: unknown plan "por": allowed are enterprise, free, pro, team`},
		{"nearest plan", inOrganization(`"plan":"Pro"`), `organizations[0].plan: unknown plan "Pro": allowed are enterprise, free, pro, team (did you mean "pro"?)`},
		{"negative quota", inOrganization(`"quota":-1`), "organizations[0].quota: must not be negative"},
		{"quota too high", inOrganization(`"quota":9007199254740992`), "organizations[0].quota: must be at most 9007199254740991"},
		{"negative grace", inOrganization(`"grace":"-1s"`), `organizations[0].grace: "-1s": must be a duration such as "150s"`},
		{"time zone", inOrganization(`"time_zone":"Berlin"`), `organizations[0].time_zone: "Berlin": must be an IANA time zone such as "Europe/Berlin"`},
		{"time zone of the machine", inOrganization(`"time_zone":"Local"`), `organizations[0].time_zone: "Local": must be an IANA time zone such as "Europe/Berlin"`},
		{"cycle start", inOrganization(`"cycle_start":"2026-11-05"`), "organizations[0].cycle_start: must be a time such as 2026-11-05T00:00:00Z (RFC 3339)"},
		{"no consequence of a bad organization", `{"organizations":[{"id":"acme","plan":"x"}],"projects":[{"ref":"` + refA + `","organization":"acme"}]}`, `organizations[0].plan: unknown plan "x": allowed are enterprise, free, pro, team`},
		{
			"all at once", `{"organizations":[{"id":"a","quota":-1}],"projects":[{"ref":"x","max_body":{},"functions":[{"slug":"/"}]},{"ref":"y"}]}`,
			"organizations[0].quota: must not be negative\nprojects[0].max_body: must be a size such as \"100MB\", or a number of bytes\n" +
				"projects[0].ref: \"x\": must be twenty lower-case letters\n" +
				"projects[0].functions[0].slug: \"/\": a slug is made of letters, digits, _ and -, or is * for any other\nprojects[1].ref: \"y\": must be twenty lower-case letters",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, report, err := build(t, testBuilder(t), tt.file)
			if err == nil || s != nil || err.Error() != tt.want {
				t.Fatalf("got %v\nwant %s", err, tt.want)
			}
			if strings.Contains(err.Error(), "sb_secret_") || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error has a secret in it: %v", err)
			}
			var invalid *InvalidError
			if errors.As(err, &invalid) && report.Errors != nil && report.Errors != invalid {
				t.Error("the report has other errors")
			}
		})
	}
}

// A mistake in a template is there a thousand times: fifty lines are enough.
func TestBuildCapsErrors(t *testing.T) {
	file := `{"projects":[` + strings.Repeat(`{"ref":"x"},`, 999) + `{"ref":"x"}]}`
	_, _, err := build(t, testBuilder(t), file)
	if err == nil {
		t.Fatal("accepted")
	}
	// Each record has a bad ref; all but the first share it, too.
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != maxErrors+1 || !strings.HasPrefix(lines[maxErrors], "and ") {
		t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
	var invalid *InvalidError
	if !errors.As(err, &invalid) || invalid.More == 0 || len(invalid.Problems) != maxErrors {
		t.Errorf("%+v", invalid)
	}
}

// The same within one record; what is behind the bound is counted.
func TestBuildCapsErrorsOfARecord(t *testing.T) {
	for name, tt := range map[string]struct{ member, more string }{
		"unknown fields": {`"x%d":1`, "and 10 more"},
		"wrong elements": {`"domains":[` + strings.Repeat("1,", 59) + `1]`, "and 10 more"},
		"wrong values":   {`"domains":[` + strings.Repeat(`"/",`, 59) + `"/"]`, "and 10 more"},
	} {
		t.Run(name, func(t *testing.T) {
			members := make([]string, 60)
			for i := range members {
				members[i] = fmt.Sprintf(tt.member, i)
			}
			if !strings.Contains(tt.member, "%d") {
				members = []string{tt.member}
			}
			_, _, err := build(t, testBuilder(t), inProject(strings.Join(members, ",")))
			if err == nil || strings.Count(err.Error(), "\n") != maxErrors || !strings.HasSuffix(err.Error(), "\n"+tt.more) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// What an organization says is kept for those who meter.
func TestBuildOrganization(t *testing.T) {
	s, _ := mustBuild(t, testBuilder(t), `{"projects":[],"organizations":[
		{"id":"a","time_zone":"Europe/Berlin","quota":0,"grace":"1h","spend_cap":false},{"id":"b","time_zone":"Europe/Berlin"}]}`)
	a, _ := s.Organization("a")
	b, _ := s.Organization("b")
	if a.TimeZone.String() != "Europe/Berlin" || b.TimeZone != a.TimeZone || *a.Quota != 0 || a.Grace != time.Hour || *a.SpendCap || b.SpendCap != nil || a.Plan != nil {
		t.Errorf("%+v, %+v", a, b)
	}
}

// The file of the manual, with values in the place of its ellipses.
const example = `{"organizations":[{"id":"acme","plan":"pro","spend_cap":true,"cycle_start":"2026-11-05T00:00:00Z"}],
 "projects":[{"ref":"abcdefghijklmnopqrst","organization":"acme","domains":["api.acme.org"],"regions":["eu-central-1","eu-west-1"],
   "jwt":{"secret":"{env.SECRET}","jwks":{"keys":[]},"jwks_url":"https://auth.acme.org/jwks.json","allow_eddsa":false},
   "api_keys":[{"name":"default","type":"publishable","key":"sb_publishable_0123456789"},{"name":"ci","type":"secret","sha256":"b7dfc8b1e3b1b8d5e4b8a2d0c7f1a6e5d4c3b2a1908f7e6d5c4b3a2918070605"}],
   "functions":[{"slug":"hello","id":"uuid","version":3,"verify_jwt":true,"cors":"auto","html":"text/plain","status":"ACTIVE"}]}]}`

func TestBuildExample(t *testing.T) {
	config := testConfig()
	config.Keys = jwks.NewPool(jwks.PoolConfig{})
	config.Shared = auth.NewShared(auth.SharedConfig{})
	b, err := NewBuilder(config)
	if err != nil {
		t.Fatal(err)
	}
	s, report := mustBuild(t, b, example)
	p, ok := s.Lookup(refA)
	if !ok || p.Ref != refA || p.Auth == nil || !slices.Equal(p.Domains, []string{"api.acme.org"}) || len(p.Regions) != 2 {
		t.Fatalf("%+v", p)
	}
	o, ok := s.Organization("acme")
	if !ok || o != p.Organization || o.Plan.Name != "pro" || !*o.SpendCap || o.TimeZone != time.UTC ||
		!o.CycleStart.Equal(time.Date(2026, 11, 5, 0, 0, 0, 0, time.UTC)) || o.Quota != nil {
		t.Errorf("organization %+v", o)
	}
	if p.WallClock != 400*time.Second {
		t.Errorf("contract 6.2: the plan's wall clock is %v", p.WallClock)
	}
	f, ok := p.Function("hello")
	want := Function{Slug: "hello", ID: "uuid", Version: 3, VerifyJWT: true, HTML: HTMLPlain}
	if !ok || *f != want {
		t.Errorf("function %+v", f)
	}
	if report.Projects != 1 || report.Functions != 1 || report.Organizations != 1 || report.Errors != nil {
		t.Errorf("report %+v", report)
	}
	if len(report.Problems) != 1 || report.Problems[0].String() != `projects[0].regions[1]: "eu-west-1" is not configured here; configured are eu-central-1, us-east-1` {
		t.Errorf("problems %v", report.Problems)
	}
	if config.Keys.Status().Sets != 1 {
		t.Error("contract 3.14: the key set of the URL is not in the pool")
	}
	runtime.KeepAlive(s) // a set is in the pool for as long as a project uses it
}

// What is odd and yet no reason to refuse a document.
func TestBuildProblems(t *testing.T) {
	there := t.TempDir() + "/jwks.json"
	if err := os.WriteFile(there, []byte(`{"keys":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, file, want string }{
		{"none", inProject(`"regions":["us-east-1"],"api_keys":[{"type":"secret","key":"sb_secret_0123456789","expires_at":"2026-11-20T12:00:01Z"}]`), ""},
		{"contract 2.4 region", inProject(`"regions":["us-east-1","eu-central-2"]`), `projects[0].regions[1]: "eu-central-2" is not configured here (did you mean "eu-central-1"?); configured are eu-central-1, us-east-1`},
		{"contract 2.4 no region", inProject(`"regions":["lab"]`), `projects[0].regions[0]: "lab" is not configured here; configured are eu-central-1, us-east-1` + "\n" + `projects[0].regions: none of them is configured here: every call is answered 503; add a configured region or remove the list`},
		{"contract 3.14 symmetric key", inProject(`"jwt":{"jwks":{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}}`), `projects[0].jwt.jwks: key 1 is ignored`},
		{"contract 3.14 no file", inProject(`"jwt":{"jwks_file":"` + there + `.not"}`), `projects[0].jwt.jwks_file: "` + there[:min(64, len(there))]},
		{"contract 3.14 a file", inProject(`"jwt":{"jwks_file":"` + there + `"}`), ""},
		{"contract 3.9 expired key", inProject(`"api_keys":[{"name":"ci","type":"secret","key":"sb_secret_0123456789","expires_at":"2026-11-20T13:00:00+01:00"}]`), `projects[0].api_keys[0].expires_at: the API key "ci" expired at 2026-11-20T12:00:00Z and is refused; remove it`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := testBuilder(t)
			for range 2 { // the second is taken over from the first
				_, report := mustBuild(t, b, tt.file)
				var lines []string
				for _, p := range report.Problems {
					lines = append(lines, p.String())
				}
				if got := strings.Join(lines, "\n"); !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
			}
		})
	}
}

// Without Resolve nothing knows what a placeholder stands for, and a literal
// one would be a secret that everybody can guess.
func TestBuildWithoutResolve(t *testing.T) {
	b, err := NewBuilder(BuilderConfig{})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = build(t, b, inProject(`"jwt":{"secret":"{env.SECRET}"}`))
	if want := "projects[0].jwt.secret: placeholders such as {env.NAME} are not filled in here"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	mustBuild(t, b, inProject(`"jwt":{"secret":"`+secret+`"}`))
}

func TestNewBuilderRefusesApex(t *testing.T) {
	for _, apex := range []string{"https://example.com", "*.example.com", "example.com:443", "a b", "-a.test"} {
		if _, err := NewBuilder(BuilderConfig{Apex: apex}); err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("apex %q: ", apex)) {
			t.Errorf("contract 1.1: apex %q: %v", apex, err)
		}
	}
}
