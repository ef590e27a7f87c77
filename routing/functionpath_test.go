package routing

import (
	"strings"
	"testing"
)

// Contract 1.1 to 1.4: which paths name a function, and what the backend gets.
func TestFunctionPath(t *testing.T) {
	tests := []struct {
		name, path  string
		hostForm    bool
		backendPath string // "" means no function
		slug        string
	}{
		{"contract 1.1 path form", "/functions/v1/hello", false, "/hello", "hello"},
		{"contract 1.1 with a rest", "/functions/v1/hello/a/b", false, "/hello/a/b", "hello"},
		{"contract 1.3 trailing slash stays", "/functions/v1/hello/", false, "/hello/", "hello"},
		{"contract 1.3 nothing is cleaned", "/functions/v1/hello//a/./b/../%41|[x]", false, "/hello//a/./b/../%41|[x]", "hello"},
		{"contract 1.3 raw UTF-8", "/functions/v1/hello/ä", false, "/hello/ä", "hello"},
		{"contract 1.4 every slug character", "/functions/v1/aZ09_-", false, "/aZ09_-", "aZ09_-"},
		{"contract 1.4 case is kept", "/functions/v1/Hello", false, "/Hello", "Hello"},
		{"contract 1.4 no slash after the prefix", "/functions/v1", false, "", ""},
		{"contract 1.4 no slug", "/functions/v1/", false, "", ""},
		{"contract 1.4 empty first segment", "/functions/v1//x", false, "", ""},
		{"contract 1.4 encoded slug", "/functions/v1/hel%6Co", false, "", ""},
		{"contract 1.4 dot", "/functions/v1/.", false, "", ""},
		{"contract 1.4 dot dot", "/functions/v1/..", false, "", ""},
		{"contract 1.4 dot dot and a slug", "/functions/v1/../hello", false, "", ""},
		{"contract 1.4 backslash", `/functions/v1/a\b`, false, "", ""},
		{"contract 1.4 backslash for the slash", `/functions/v1\hello`, false, "", ""},
		{"contract 1.4 NUL", "/functions/v1/hello\x00", false, "", ""},
		{"contract 1.4 semicolon", "/functions/v1/hello;a=b", false, "", ""},
		{"contract 1.4 fragment", "/functions/v1/hello#x", false, "", ""},
		{"contract 1.4 wildcard", "/functions/v1/*", false, "", ""},
		{"contract 1.4 not ASCII", "/functions/v1/hellö", false, "", ""},
		{"contract 1.7 another path", "/rest/v1/hello", false, "", ""},
		{"contract 1.7 another version", "/functions/v2/hello", false, "", ""},
		{"contract 1.7 a longer segment", "/functions/v1x/hello", false, "", ""},
		{"contract 1.7 the prefix without slash", "/functions/v1hello", false, "", ""},
		{"contract 1.7 the prefix in capitals", "/Functions/v1/hello", false, "", ""},
		{"contract 1.7 the prefix encoded", "/functions%2fv1/hello", false, "", ""},
		{"contract 1.7 two slashes in front", "//functions/v1/hello", false, "", ""},
		{"contract 1.7 empty", "", false, "", ""},
		{"contract 1.2 host form", "/hello/a", true, "/hello/a", "hello"},
		{"contract 1.2 functions is a slug there", "/functions/v1/x", true, "/functions/v1/x", "functions"},
		{"contract 1.2 no slug", "/", true, "", ""},
		{"contract 1.2 empty first segment", "//hello", true, "", ""},
		{"contract 1.2 empty", "", true, "", ""},
		{"contract 1.2 no leading slash", "hello", true, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			backendPath, slug, ok := functionPath(tt.path, tt.hostForm)
			if ok != (tt.backendPath != "") || backendPath != tt.backendPath || slug != tt.slug {
				t.Errorf("functionPath(%q) = %q, %q, %v", tt.path, backendPath, slug, ok)
			}
		})
	}
}

// Contract 1.5: the bytes that a target may not have, one by one, in the path
// and in the query.
func TestBreaksRequestLine(t *testing.T) {
	for c := range 256 {
		want := c <= ' ' || c == 0x7f || c == '#'
		for _, target := range []string{"/hello/a%sb", "/hello/%s", "/hello?a=%sb"} {
			if target = strings.Replace(target, "%s", string([]byte{byte(c)}), 1); breaksRequestLine(target) != want {
				t.Errorf("contract 1.5: breaksRequestLine(%q) is %v", target, !want)
			}
		}
	}
}

// Contract 1.5: what is refused is refused for that reason and not before the
// function is known; what stays passes byte for byte.
func TestAdmitLooksAtTheRequestLine(t *testing.T) {
	p := newFixture().pipeline(t)
	for _, bad := range []string{" ", "\x00", "\t", "\n", "\r", "\x1f", "\x7f", "#"} {
		for _, target := range []string{"/functions/v1/open/a" + bad, "/functions/v1/open?a" + bad + "b", "/functions/v1/open/" + bad + "/x?y"} {
			refused(t, p, request(target), 400, CodeInvalidURL)
		}
		refused(t, p, request("/functions/v1/nobody/a"+bad), 404, CodeNotFound)
	}
	for _, target := range []string{"/open/\x80\xff|[]{}^\"<>`", "/open?\xfe=\x80&\"|<>"} {
		if inv := admit(t, p, request(Prefix+target)); inv.Target != target {
			t.Errorf("contract 1.3: %q became %q", target, inv.Target)
		}
	}
}

// Contract 5.2: what a client is told of an address that cannot be passed on.
func TestInvalidURLSaysWhy(t *testing.T) {
	p := newFixture().pipeline(t)
	for message, where := range map[string]struct{ host, target string }{
		"The path must stay inside the function":                   {sharedHost, "/functions/v1/open/.."},
		"The URL must not contain spaces, control characters or #": {sharedHost, "/functions/v1/open?a b"},
		"The host is not valid":                                    {"a b", "/functions/v1/open"},
	} {
		r := request(where.target)
		r.Host = where.host
		refusal, _ := refused(t, p, r, 400, CodeInvalidURL)
		if want := `{"code":"INVALID_URL","message":"` + message + `"}`; string(refusal.Body()) != want {
			t.Errorf("body %s, want %s", refusal.Body(), want)
		}
	}
}

// Contract 1.5, 1.8: a host that no header line can carry is refused, though
// a single project answers on every host.
func TestAdmitLooksAtTheHost(t *testing.T) {
	p := newFixture().pipeline(t)
	for _, host := range []string{"a b", "a\r\nX: y", "a\x00", "a/b", "a#b", "a?b", "user@a", "\xffa", "ä.example"} {
		r := request("/functions/v1/open")
		r.Host = host
		refused(t, p, r, 400, CodeInvalidURL)
	}
	for _, host := range []string{"", "a", "A.example:80", "[::1]:8000", "127.0.0.1", "a_b.example."} {
		r := request("/functions/v1/open")
		r.Host = host
		admit(t, p, r)
	}
}
