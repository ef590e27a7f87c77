package cors

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const builtin = "authorization, x-client-info, apikey, content-type, x-region"

// Contract 4.2: OPTIONS + Origin + Access-Control-Request-Method.
func TestIsPreflight(t *testing.T) {
	full := http.Header{"Origin": {app}, "Access-Control-Request-Method": {"POST"}}
	tests := map[string]struct {
		method string
		header http.Header
		want   bool
	}{
		"preflight":         {"OPTIONS", full, true},
		"GET":               {"GET", full, false},
		"options":           {"options", full, false},
		"no origin":         {"OPTIONS", http.Header{"Access-Control-Request-Method": {"POST"}}, false},
		"blank origin":      {"OPTIONS", http.Header{"Origin": {" "}, "Access-Control-Request-Method": {"POST"}}, false},
		"no request method": {"OPTIONS", http.Header{"Origin": {app}}, false},
		"blank method":      {"OPTIONS", http.Header{"Origin": {app}, "Access-Control-Request-Method": {""}}, false},
		"only the names":    {"OPTIONS", http.Header{"Origin": {app}, "Access-Control-Request-Headers": {"x"}}, false},
		"origin null":       {"OPTIONS", http.Header{"Origin": {"null"}, "Access-Control-Request-Method": {"GET"}}, true},
		"nothing":           {"OPTIONS", nil, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := IsPreflight(tt.method, tt.header); got != tt.want {
				t.Errorf("contract 4.2: IsPreflight(%s, %v) = %v, want %v", tt.method, tt.header, got, tt.want)
			}
		})
	}
}

func TestOrigin(t *testing.T) {
	for want, values := range map[string][]string{
		"":                 nil,
		app:                {" " + app + "\t"},
		app + ", " + other: {app, other},
		other:              {"", other},
	} {
		if got := Origin(http.Header{"Origin": values}); got != want {
			t.Errorf("Origin(%q) = %q, want %q", values, got, want)
		}
	}
}

func TestPreflight(t *testing.T) {
	vary := []string{"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
	cookies := mustNew(t, Config{Origins: []string{app}, Credentials: true})
	answer := func(origin, headers string) http.Header {
		return http.Header{
			"Access-Control-Allow-Origin":  {origin},
			"Access-Control-Allow-Methods": {"GET, POST, PUT, PATCH, DELETE, OPTIONS"},
			"Access-Control-Allow-Headers": {headers},
			"Access-Control-Max-Age":       {"7200"},
			"Vary":                         vary,
		}
	}
	withCredentials := answer(app, builtin)
	withCredentials.Set("Access-Control-Allow-Credentials", "true")
	tests := map[string]struct {
		policy *Policy
		header http.Header
		want   http.Header
	}{
		"contract 4.2 any origin": {mustNew(t, Config{}), http.Header{"Origin": {app}}, answer("*", builtin)},
		"contract 4.2 the list is echoed": {
			mustNew(t, Config{}),
			http.Header{"Origin": {app}, "Access-Control-Request-Headers": {"X-Custom, apikey", "x-custom,x-two"}},
			answer("*", "X-Custom, apikey, x-two, authorization, x-client-info, content-type, x-region"),
		},
		"contract 4.2 listed":                {list(t), http.Header{"Origin": {app}}, answer(app, builtin)},
		"contract 4.6 credentials":           {cookies, http.Header{"Origin": {app}}, withCredentials},
		"contract 4.4 unlisted":              {list(t), http.Header{"Origin": {other}}, http.Header{"Vary": vary}},
		"contract 4.4 two origins":           {list(t), http.Header{"Origin": {app, other}}, http.Header{"Vary": vary}},
		"contract 4.4 unlisted, credentials": {cookies, http.Header{"Origin": {other}}, http.Header{"Vary": vary}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			tt.policy.Preflight(h, NewPreflightRequest(tt.header))
			if !reflect.DeepEqual(h, tt.want) {
				t.Errorf("Preflight:\n got %v\nwant %v", h, tt.want)
			}
		})
	}
}

// Contract 4.2: what is echoed is header names and nothing else.
func TestEcho(t *testing.T) {
	var many []string
	for i := range 200 {
		many = append(many, fmt.Sprintf("x-%d", i))
	}
	long := strings.Repeat("a", maxEchoedBytes)
	tests := map[string]struct {
		requested []string
		want      string
	}{
		"none":                  {nil, builtin},
		"blank":                 {[]string{" , ,\t"}, builtin},
		"spaces round names":    {[]string{" x-a ,\tx-b"}, "x-a, x-b, " + builtin},
		"case kept, no repeats": {[]string{"X-A,x-a", "X-a"}, "X-A, " + builtin},
		"known in other case":   {[]string{"Authorization"}, "Authorization, x-client-info, apikey, content-type, x-region"},
		"no names":              {[]string{"a b, a:b, (a), a\x00b, \u212aelvin, \"q\", a\r\nset-cookie: x"}, builtin},
		"*":                     {[]string{"*"}, builtin},
		"at most 64":            {[]string{strings.Join(many, ",")}, strings.Join(many[:64], ", ") + ", " + builtin},
		"one longer than 4 KiB": {[]string{long}, builtin},
		"up to 4 KiB":           {[]string{"x, " + long[:maxEchoedBytes-5] + ", y"}, "x, " + long[:maxEchoedBytes-5] + ", " + builtin},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := echo(tt.requested); got != tt.want {
				t.Errorf("contract 4.2: echo(%.80q)\n got %.300q\nwant %.300q", tt.requested, got, tt.want)
			}
		})
	}
}

// FuzzPreflight: whatever a client sends, the answer's lists are header names
// without repeats, bounded, with the built-in ones, and no origin but an allowed one.
func FuzzPreflight(f *testing.F) {
	f.Add(app, "x-a, X-B\nauthorization", "Accept")
	f.Add(other, "*,a b,\x00", "*")
	f.Add("null", "", "")
	f.Add(app+","+other, strings.Repeat("a,", 300), ",origin,")
	policies := []*Policy{mustNew(f, Config{}), list(f), mustNew(f, Config{Origins: []string{app}, Credentials: true})}
	f.Fuzz(func(t *testing.T, origin, requested, vary string) {
		for _, p := range policies {
			request := http.Header{"Origin": strings.Split(origin, "\n"), "Access-Control-Request-Headers": strings.Split(requested, "\n")}
			h := http.Header{"Vary": {vary}}
			p.Preflight(h, NewPreflightRequest(request))
			checkOrigin(t, p, h, Origin(request))
			if allowed := h.Values(headerAllowHeaders); len(allowed) > 0 {
				checkNames(t, allowed, allowedHeaders)
				if len(allowed[0]) > maxEchoedBytes+len(builtin)+2 {
					t.Fatalf("contract 4.2: %d bytes echoed", len(allowed[0]))
				}
				if n := strings.Count(allowed[0], ",") + 1; n > maxEchoedNames+len(allowedHeaders) {
					t.Fatalf("contract 4.2: %d names echoed", n)
				}
			}
			checkVary(t, h, vary)
		}
	})
}

// FuzzResponse: whatever a function sets, there is at most one allowed origin in
// mode auto, and the exposed list is names without repeats with ours in it.
func FuzzResponse(f *testing.F) {
	f.Add(app, "*", "x-total", "Accept", true)
	f.Add(app, app+"\n*", "*,a b", "*", true)
	f.Add(other, "", "", "", false)
	f.Add(other, "\r,0", "", "", true)
	policies := []*Policy{mustNew(f, Config{}), list(f)}
	f.Fuzz(func(t *testing.T, origin, theirs, expose, vary string, ours bool) {
		for _, p := range policies {
			h := http.Header{"Vary": {vary}, headerExposeHeaders: strings.Split(expose, "\n")}
			if theirs != "" {
				h[headerAllowOrigin] = strings.Split(theirs, "\n")
			}
			p.Response(h, origin, ours)
			given := items(strings.Split(theirs, "\n"))
			switch {
			case len(distinct(given)) > 1:
				if got := h.Values(headerAllowOrigin); len(got) != 0 {
					t.Fatalf("contract 4.9: %q became %q", given, got)
				}
			case len(given) > 0:
				if got := h.Values(headerAllowOrigin); len(items(got)) != 1 || items(got)[0] != given[0] {
					t.Fatalf("contract 4.1, 4.3, 4.9: %q became %q", given, got)
				}
			case !ours:
				if got := items(h.Values(headerAllowOrigin)); len(got) > 0 {
					t.Fatalf("contract 4.1: %q became %q", given, got)
				}
			default:
				checkOrigin(t, p, h, origin)
			}
			if ours && origin != "" && len(items(h.Values(headerAllowOrigin))) > 0 {
				checkNames(t, h.Values(headerExposeHeaders), exposedHeaders)
			}
			if ours && !p.any {
				checkVary(t, h, vary)
			}
		}
	})
}

func checkOrigin(t *testing.T, p *Policy, h http.Header, origin string) {
	t.Helper()
	got := h.Values(headerAllowOrigin)
	switch {
	case !p.Allowed(origin):
		if len(got) != 0 || h.Get(headerAllowCredentials) != "" {
			t.Fatalf("contract 4.4: origin %q got %v", origin, h)
		}
	case p.any && (len(got) != 1 || got[0] != "*"), !p.any && (len(got) != 1 || !strings.EqualFold(got[0], app)):
		t.Fatalf("contract 4.2: origin %q got %q", origin, got)
	case p.credentials != (h.Get(headerAllowCredentials) == "true"):
		t.Fatalf("contract 4.6: credentials of %v", h)
	}
}

// checkNames checks a list header: one line, header names, no repeats, all of want.
func checkNames(t *testing.T, values, want []string) {
	t.Helper()
	if len(values) != 1 {
		t.Fatalf("%d lines: %q", len(values), values)
	}
	seen := map[string]bool{}
	for name := range strings.SplitSeq(values[0], ", ") {
		if !isToken(name) || seen[strings.ToLower(name)] {
			t.Fatalf("%q is no header name or is there twice in %q", name, values[0])
		}
		seen[strings.ToLower(name)] = true
	}
	for _, name := range want {
		if !seen[name] {
			t.Fatalf("%q is missing in %q", name, values[0])
		}
	}
}

// checkVary checks that Origin is covered and nothing of before is lost.
func checkVary(t *testing.T, h http.Header, before string) {
	t.Helper()
	got := items(h.Values(headerVary))
	if !containsFold(got, "Origin") && !slices.Contains(got, "*") {
		t.Fatalf("contract 4.4: Vary is %q", got)
	}
	for _, item := range items([]string{before}) {
		if !slices.Contains(got, item) {
			t.Fatalf("Vary lost %q: %q", item, got)
		}
	}
}

func BenchmarkPreflight(b *testing.B) {
	p := mustNew(b, Config{})
	req := PreflightRequest{Origin: app, Headers: []string{"authorization,x-client-info,apikey,content-type"}}
	b.ReportAllocs()
	for b.Loop() {
		p.Preflight(make(http.Header, 8), req)
	}
}
