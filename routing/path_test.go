package routing

import (
	"strings"
	"testing"
)

// BEHAVIOUR 1.1 to 1.4: which paths name a function, and what the backend gets.
func TestFunctionPath(t *testing.T) {
	tests := []struct {
		name, path  string
		hostForm    bool
		backendPath string // "" means no function
		slug        string
	}{
		{"1.1 path form", "/functions/v1/hello", false, "/hello", "hello"},
		{"1.1 with a rest", "/functions/v1/hello/a/b", false, "/hello/a/b", "hello"},
		{"1.3 trailing slash stays", "/functions/v1/hello/", false, "/hello/", "hello"},
		{"1.3 nothing is cleaned", "/functions/v1/hello//a/./b/../%41|[x]", false, "/hello//a/./b/../%41|[x]", "hello"},
		{"1.3 raw UTF-8", "/functions/v1/hello/ä", false, "/hello/ä", "hello"},
		{"1.4 every slug character", "/functions/v1/aZ09_-", false, "/aZ09_-", "aZ09_-"},
		{"1.4 case is kept", "/functions/v1/Hello", false, "/Hello", "Hello"},
		{"1.4 no slash after the prefix", "/functions/v1", false, "", ""},
		{"1.4 no slug", "/functions/v1/", false, "", ""},
		{"1.4 empty first segment", "/functions/v1//x", false, "", ""},
		{"1.4 encoded slug", "/functions/v1/hel%6Co", false, "", ""},
		{"1.4 dot", "/functions/v1/.", false, "", ""},
		{"1.4 dot dot", "/functions/v1/..", false, "", ""},
		{"1.4 dot dot and a slug", "/functions/v1/../hello", false, "", ""},
		{"1.4 backslash", `/functions/v1/a\b`, false, "", ""},
		{"1.4 backslash for the slash", `/functions/v1\hello`, false, "", ""},
		{"1.4 NUL", "/functions/v1/hello\x00", false, "", ""},
		{"1.4 semicolon", "/functions/v1/hello;a=b", false, "", ""},
		{"1.4 fragment", "/functions/v1/hello#x", false, "", ""},
		{"1.4 wildcard", "/functions/v1/*", false, "", ""},
		{"1.4 not ASCII", "/functions/v1/hellö", false, "", ""},
		{"1.7 another path", "/rest/v1/hello", false, "", ""},
		{"1.7 another version", "/functions/v2/hello", false, "", ""},
		{"1.7 a longer segment", "/functions/v1x/hello", false, "", ""},
		{"1.7 the prefix without slash", "/functions/v1hello", false, "", ""},
		{"1.7 the prefix in capitals", "/Functions/v1/hello", false, "", ""},
		{"1.7 the prefix encoded", "/functions%2fv1/hello", false, "", ""},
		{"1.7 two slashes in front", "//functions/v1/hello", false, "", ""},
		{"1.7 empty", "", false, "", ""},
		{"1.2 host form", "/hello/a", true, "/hello/a", "hello"},
		{"1.2 functions is a slug there", "/functions/v1/x", true, "/functions/v1/x", "functions"},
		{"1.2 no slug", "/", true, "", ""},
		{"1.2 empty first segment", "//hello", true, "", ""},
		{"1.2 empty", "", true, "", ""},
		{"1.2 no leading slash", "hello", true, "", ""},
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

// BEHAVIOUR 1.5: rests that some decoding moves out of the function.
func TestEscapesFunction(t *testing.T) {
	attacks := []struct{ name, rest string }{
		{"plain", "/.."},
		{"plain with a target", "/../_internal/health"},
		{"after a descent", "/a/../../_internal"},
		{"and back in again", "/../hello/x"},
		{"dot first", "/./../x"},
		{"empty segments are no depth", "/a//../../x"},
		{"only empty segments", "//../x"},
		{"half encoded dots", "/.%2e/x"},
		{"half encoded dots, other half", "/%2e./x"},
		{"encoded dots", "/%2e%2e/x"},
		{"encoded dots, capitals", "/%2E%2E/x"},
		{"encoded slash behind", "/..%2fx"},
		{"encoded slash before", "%2f../x"},
		{"encoded slashes, capitals", "%2F..%2Fx"},
		{"all encoded", "/%2e%2e%2f_internal"},
		{"encoded letters around", "/%61/%2e%2e/%2e%2e/%5finternal"},
		{"twice encoded", "/%252e%252e/x"},
		{"twice encoded slash", "/..%252fx"},
		{"twice encoded, hex digit encoded", "/%%32e%%32e/x"},
		{"twice encoded, both digits encoded", "/%%32%65%%32%65/x"},
		{"three times", "/%25252e%25252e/x"},
		{"four times", "/%2525252e%2525252e/x"},
		{"five times", "/%252525252e%252525252e/x"},
		{"five times something harmless", "/%2525252541"},
		{"nine times", "/%25252525252525252e"},
		{"levels mixed", "/%2e%252e/x"},
		{"levels mixed, slash deeper", "/%2e%2e%25252fx"},
		{"backslash behind", `/..\x`},
		{"backslash before", `/\..`},
		{"backslashes only", `\..\x`},
		{"encoded backslash behind", "/..%5cx"},
		{"encoded backslash before", "/%5c..%5C"},
		{"backslash encoded twice", "/..%255cx"},
		{"backslash and encoded dots", `\%2e%2e\x`},
		{"backslash as a name, slash readers", `/a\../..`},
		{"NUL cuts", "/..\x00x"},
		{"encoded NUL cuts", "/..%00x"},
		{"encoded NUL, nothing behind", "/..%00"},
		{"NUL encoded twice", "/..%2500.txt"},
		{"NUL after a descent", "/a/../..%00/b"},
		{"tab inside", "/.%09./x"},
		{"raw tab inside", "/.\t./x"},
		{"newline inside", "/.%0a./x"},
		{"return inside", "/.%0d%0a./x"},
		{"tab inside an escape", "/%2%09e%2%09e/x"},
		{"tab is no depth", "/%09/../x"},
		{"tab encoded twice", "/.%2509./x"},
		{"encoded question mark ends the path", "/..%3fx"},
		{"encoded fragment ends the path", "/..%23x"},
		{"raw fragment ends the path", "/..#x"},
		{"URL parsers decode dots, not slashes", "/a%2fb/%2e%2e/%2e%2e/_internal"},
		{"so with plain dots", "/a%2fb/../../_internal"},
		{"so with backslashes", "/a%5cb/../../_internal"},
		{"so with a slash encoded twice", "/a%252fb/../../_internal"},
		{"back slash adds no depth where it is none", `/a\b/../../x`},
		{"deep, one too many", "/a/b/c/../../../../x"},
		{"deep in one encoded segment", "/a%2f..%2f..%2fx"},
		{"at the end without a slash", "/a/../.."},
		{"a percent sign in front", "/%/../../x"},
		{"a malformed escape in front", "/%zz/../../x"},
	}
	for _, tt := range attacks {
		t.Run("refused/"+tt.name, func(t *testing.T) {
			if !escapesFunction(tt.rest) {
				t.Errorf("1.5: rest %q passes", tt.rest)
			}
		})
	}

	harmless := []struct{ name, rest string }{
		{"nothing", ""},
		{"slash", "/"},
		{"slashes", "///a//b"},
		{"dots in a name", "/a..b"},
		{"dots at the end of a name", "/a.."},
		{"dots at the start of a name", "/..a"},
		{"three dots", "/..."},
		{"four dots", "/...."},
		{"three encoded dots", "/%2e%2e%2e"},
		{"a dot", "/."},
		{"an encoded dot", "/%2e"},
		{"an encoded dot and a name", "/%2e/a"},
		{"inside", "/a/../b"},
		{"back to the function", "/a/.."},
		{"inside, encoded", "/a/%2e%2e/b"},
		{"inside, encoded slash", "/a%2f..%2fb"},
		{"inside, twice encoded", "/a/%252e%252e/b"},
		{"deep", "/a/b/../../c/../d"},
		{"encoded slash", "/files/a%2fb.txt"},
		{"backslash", `/a\b`},
		{"encoded NUL", "/a%00b"},
		{"encoded newline", "/line%0Abreak"},
		{"percent sign", "/100%"},
		{"malformed escape", "/%zz%2"},
		{"encoded percent sign", "/100%25"},
		{"four rounds", "/%25252541"},
		{"four rounds ending in a tab", "/a%25252509b"},
		{"UTF-8", "/%C3%A4/ä"},
		{"path parameters are no dot-segment (RFC 3986, 3.3)", "/..;/x"},
		{"dots and a space", "/..%20/x"},
		{"overlong UTF-8 is no dot (RFC 3629)", "/%c0%ae%c0%ae/x"},
		{"%u is no escape", "/%u002e%u002e/x"},
		{"dots in parameters", "/a;b=../c"},
		{"plus", "/a+b"},
	}
	for _, tt := range harmless {
		t.Run("passes/"+tt.name, func(t *testing.T) {
			if escapesFunction(tt.rest) {
				t.Errorf("1.5: rest %q is refused", tt.rest)
			}
		})
	}
}

// BEHAVIOUR 1.5: each way to write a dot joined with each way to write a
// slash, at every depth of encoding that is looked at.
func TestEscapesFunctionInEverySpelling(t *testing.T) {
	dots := []string{".", "%2e", "%2E", "%252e", "%%32e", "%%32%45", "%2525252e", "%252525252e", ".%09"}
	slashes := []string{"/", `\`, "%2f", "%5C", "%252F", "%2525255c", "%252525252f"}
	tails := []string{"", "_internal/health", "%00", "%3f"}
	for _, before := range slashes {
		for _, first := range dots {
			for _, second := range dots {
				for _, after := range slashes {
					for _, tail := range tails {
						for _, descent := range []string{"", "/a/..", "/a%2fb/..", `/a\b/%2e%2e`} {
							rest := descent + before + first + second + after + tail
							if !escapesFunction(rest) {
								t.Fatalf("1.5: rest %q passes", rest)
							}
						}
					}
				}
			}
		}
	}
}

// The check is one of the few that a client can make expensive.
func TestEscapesFunctionIsLinear(t *testing.T) {
	rest := strings.Repeat("/%252525252e", 1<<10)
	if allocs := testing.AllocsPerRun(10, func() { escapesFunction(rest) }); allocs > maxDecodings+1 {
		t.Errorf("%v allocations, want at most one for each round", allocs)
	}
}
