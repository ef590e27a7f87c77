//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

// rawFunctions deploy two public functions on the raw backend; any other slug goes there too.
const rawFunctions = `
			function f {
				verify_jwt off
			}
			function locked
			function * {
				verify_jwt off
			}`

func startRawGateway(t *testing.T, options string) (*gateway, *rawBackend) {
	t.Helper()
	b := startRawBackend(t)
	g := startGateway(t, config{
		options:   options,
		backends:  []backend{{region: regionNames[0], address: b.addr}},
		functions: rawFunctions,
	})
	return g, b
}

// TestRawTargets sends request targets that clients and libraries would tidy up and reads what the backend got.
func TestRawTargets(t *testing.T) {
	g, b := startRawGateway(t, "")
	tests := []struct{ name, sent, want string }{
		{"contract 1.3 pipe and brackets", "/functions/v1/f/a|b[c]", "/f/a|b[c]"},
		{"contract 1.3 braces, caret, backquote, quotes", "/functions/v1/f/{x}^`\"<>", "/f/{x}^`\"<>"},
		{"contract 1.3 encoded slash", "/functions/v1/f/a%2Fb", "/f/a%2Fb"},
		{"contract 1.3 lower-case escape", "/functions/v1/f/a%2fb", "/f/a%2fb"},
		{"contract 1.3 double slashes", "/functions/v1/f//a///b//", "/f//a///b//"},
		{"contract 1.3 slash directly after the slug", "/functions/v1/f//", "/f//"},
		{"contract 1.3 no rest", "/functions/v1/f", "/f"},
		{"contract 1.3 raw UTF-8", "/functions/v1/f/ü/日本", "/f/ü/日本"},
		{"contract 1.3 encoded UTF-8", "/functions/v1/f/%C3%BC", "/f/%C3%BC"},
		{"contract 1.3 semicolons and equals", "/functions/v1/f/a;v=1;w/b", "/f/a;v=1;w/b"},
		{"contract 1.3 plus, space, tilde", "/functions/v1/f/a+b%20c~d", "/f/a+b%20c~d"},
		{"contract 1.3 trailing question mark", "/functions/v1/f/a?", "/f/a?"},
		{"contract 1.3 question mark in the query", "/functions/v1/f?a=b?c", "/f?a=b?c"},
		{"contract 1.3 semicolons in the query", "/functions/v1/f?a=1;b=2&c", "/f?a=1;b=2&c"},
		{"contract 1.3 broken escapes in the query", "/functions/v1/f?a=%zz&b=%", "/f?a=%zz&b=%"},
		{"contract 1.3 raw bytes in the query", "/functions/v1/f?q=|[]{}\"ü", "/f?q=|[]{}\"ü"},
		{"contract 1.3 order and repetition of the query", "/functions/v1/f?z=1&a=2&z=3&&", "/f?z=1&a=2&z=3&&"},
		{"contract 1.3 forceFunctionRegion stays", "/functions/v1/f?forceFunctionRegion=eu-central-1", "/f?forceFunctionRegion=eu-central-1"},
		{"contract 1.3 the prefix inside the rest", "/functions/v1/f/functions/v1/f", "/f/functions/v1/f"},
		{"contract 1.3 an escaped question mark and hash", "/functions/v1/f/a%3Fb%23c", "/f/a%3Fb%23c"},
		{"contract 1.3 absolute form", "http://any.example/functions/v1/f/a|b?c=%7c", "/f/a|b?c=%7c"},
		{"contract 1.5 dot-segments that stay inside", "/functions/v1/f/a/../b/./c", "/f/a/../b/./c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b.take()
			got := exchange(t, g.addr, rawRequest("GET", tt.sent, "any.example", ""))
			if got.status != 200 {
				t.Fatalf("%q was answered %d %s", tt.sent, got.status, got.body)
			}
			heads := b.take()
			if len(heads) != 1 {
				t.Fatalf("the backend got %d requests, want 1", len(heads))
			}
			if target := requestTarget(heads[0]); target != tt.want {
				t.Errorf("%q reached the backend as %q, want %q", tt.sent, target, tt.want)
			}
			if strings.Contains(tt.sent, "any.example") && headerValues(heads[0], "Host")[0] != "any.example" {
				t.Errorf("Host is %q", headerValues(heads[0], "Host"))
			}
		})
	}
}

// TestRawRefusedTargets sends what must be answered here; the backend must not hear of it.
func TestRawRefusedTargets(t *testing.T) {
	g, b := startRawGateway(t, "")
	tests := []struct {
		name, sent string
		status     int
		code       string
	}{
		{"contract 1.4 encoded slug", "/functions/v1/%66", 404, "NOT_FOUND"},
		{"contract 1.4 empty slug", "/functions/v1//f", 404, "NOT_FOUND"},
		{"contract 1.4 dot slug", "/functions/v1/./f", 404, "NOT_FOUND"},
		{"contract 1.4 dot-dot slug", "/functions/v1/../f", 404, "NOT_FOUND"},
		{"contract 1.4 slug with an escaped slash", "/functions/v1/f%2Fx", 404, "NOT_FOUND"},
		{"contract 1.4 raw UTF-8 slug", "/functions/v1/fü", 404, "NOT_FOUND"},
		{"contract 1.4 prefix with other case", "/Functions/v1/f", 404, "NOT_FOUND"},
		{"contract 1.4 encoded prefix", "/functions/%761/f", 404, "NOT_FOUND"},
		{"contract 1.4 doubled slash before the prefix", "//functions/v1/f", 404, "NOT_FOUND"},
		{"contract 1.5 leaving the slug", "/functions/v1/f/../g", 400, "INVALID_URL"},
		{"contract 1.5 to the slug's parent", "/functions/v1/f/..", 400, "INVALID_URL"},
		{"contract 1.5 encoded dots", "/functions/v1/f/%2e%2e/g", 400, "INVALID_URL"},
		{"contract 1.5 one dot encoded", "/functions/v1/f/.%2E/g", 400, "INVALID_URL"},
		{"contract 1.5 encoded slash after dots", "/functions/v1/f/..%2fg", 400, "INVALID_URL"},
		{"contract 1.5 backslash", `/functions/v1/f/..\g`, 400, "INVALID_URL"},
		{"contract 1.5 encoded backslash", "/functions/v1/f/..%5Cg", 400, "INVALID_URL"},
		{"contract 1.5 encoded twice", "/functions/v1/f/%252e%252e%252fg", 400, "INVALID_URL"},
		{"contract 1.5 encoded three times", "/functions/v1/f/%25252e%25252e/g", 400, "INVALID_URL"},
		{"contract 1.5 encoded six times", "/functions/v1/f/%25252525252e%25252525252e/g", 400, "INVALID_URL"},
		{"contract 1.5 deep and out again", "/functions/v1/f/a/b/../../../g", 400, "INVALID_URL"},
		{"contract 1.5 absolute form", "http://any.example/functions/v1/f/../g", 400, "INVALID_URL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := exchange(t, g.addr, rawRequest("GET", tt.sent, "any.example", ""))
			if got.status != tt.status || got.code() != tt.code {
				t.Errorf("%q was answered %d %s, want %d %s", tt.sent, got.status, got.code(), tt.status, tt.code)
			}
			if heads := b.take(); len(heads) != 0 {
				t.Errorf("%q reached the backend as %q", tt.sent, requestTarget(heads[0]))
			}
		})
	}
}

// TestInternalIsUnreachable tries to get at /_internal of Deno, whose URL parser folds dot-segments, and of the raw
// backend, which shows what was sent. `function *` is deployed, the wording most open to it.
func TestInternalIsUnreachable(t *testing.T) {
	raw, b := startRawGateway(t, "\t\tapex example.com")
	deno := startGateway(t, config{options: "\t\tapex example.com", functions: rawFunctions})
	targets := []string{
		"/_internal/secret",
		"//_internal/secret",
		"/./_internal/secret",
		"/_internal",
		"/functions/v1/_internal",
		"/functions/v1/_internal/",
		"/functions/v1/_internal/secret",
		"/functions/v1/_internal/health",
		"/functions/v1//_internal/secret",
		"/functions/v1/%5Finternal/secret",
		"/functions/v1/_internal%2Fsecret",
		"/functions/v1/./_internal/secret",
		"/functions/v1/../_internal/secret",
		"/functions/v1/../../_internal/secret",
		"/functions/v1/f/../_internal/secret",
		"/functions/v1/f/..//_internal/secret",
		"/functions/v1/f/%2e%2e/_internal/secret",
		"/functions/v1/f/..%2f_internal/secret",
		`/functions/v1/f/..\_internal\secret`,
		"/functions/v1/f/..%5c_internal%5csecret",
		"/functions/v1/f/%252e%252e/_internal/secret",
		"/functions/v1/f/%00/../../_internal/secret",
		"/functions/v1/f/x%00/../../_internal/secret",
		"/functions/v1/f/x%2500/../../_internal/secret",
		"/functions/v1/f/%09../../_internal/secret",
		"/functions/v1/f/.%09./_internal/secret",
		"/functions/v1/f/a/..;/../_internal/secret",
		"/functions/v1/f?/../../_internal/secret",
		"http://any.example/_internal/secret",
		"http://any.example/functions/v1/_internal/secret",
		"http://any.example/functions/v1/f/../_internal/secret",
	}
	hosts := []string{"any.example", "example.com", "abcdefghijklmnopqrst.functions.example.com"}
	for _, target := range targets {
		t.Run("contract 1.6 "+target, func(t *testing.T) {
			for _, host := range hosts {
				for _, method := range []string{"GET", "POST", "OPTIONS"} {
					got := exchange(t, deno.addr, rawRequest(method, target, host, "", "Content-Length: 0"))
					if strings.Contains(got.body, "stay-inside") || got.body == `{"message":"ok"}` {
						t.Errorf("%s %s on %s showed %q", method, target, host, got.body)
					}
					b.take()
					exchange(t, raw.addr, rawRequest(method, target, host, "", "Content-Length: 0"))
					for _, head := range b.take() {
						if strings.HasPrefix(strings.ToLower(requestTarget(head)), "/_internal") {
							t.Errorf("%s %s on %s reached the backend as %q", method, target, host, requestTarget(head))
						}
					}
				}
			}
		})
	}
	t.Run("contract 1.6 host form", func(t *testing.T) {
		for _, target := range []string{"/_internal", "/_internal/health", "/_internal/secret", "/%5finternal/secret", "/f/../_internal/secret"} {
			got := exchange(t, deno.addr, rawRequest("GET", target, hosts[2], ""))
			if got.status != 404 && got.status != 400 {
				t.Errorf("%s was answered %d %q", target, got.status, got.body)
			}
		}
	})
}
