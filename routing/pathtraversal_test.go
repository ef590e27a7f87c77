package routing

import (
	"fmt"
	"strings"
	"testing"
)

// Contract 1.5: rests that some decoding moves out of the function.
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
		{"a parameter", "/..;/x"},
		{"a parameter with a value", "/..;jsessionid=1/x"},
		{"an encoded parameter", "/..%3b/x"},
		{"a parameter of nothing", "/;a=b/../x"},
		{"a parameter of a dot", "/.;a/../x"},
		{"a space", "/..%20/x"},
		{"a space and more", "/..%20HTTP/1.1"},
		{"spaces in front", "/%20../x"},
		{"a space as a segment", "/%20/../x"},
		{"a tab", "/..%09"},
		{"a tab and more", "/..%09x/y"},
		{"a tab between", "/..%09./x"},
		{"control characters", "/..%01%1f%7f/x"},
		{"a plus is no space, a space is", "/+/../..%20"},
		{"a space of ISO 8859-1", "/..%A0/x"},
		{"a no-break space", "/..%C2%A0/x"},
		{"an ideographic space", "/..\u3000/x"},
		{"a control character in UTF-8", "/..\u0085/x"},
		{"a byte order mark", "/..\ufeff/x"},
		{"full-width dots", "/．．/x"},
		{"full-width dots, encoded", "/%EF%BC%8E%ef%bc%8e/x"},
		{"full-width slash", "/..／x"},
		{"full-width escapes", "/％２ｅ％2E/x"},
		{"full-width semicolon", "/..；a/x"},
		{"one dot leaders", "/\u2024\u2024/x"},
		{"a two dot leader", "/\u2025/x"},
		{"small dots", "/\ufe52\ufe52/x"},
		{"overlong dots", "/%c0%ae%c0%ae/x"},
		{"overlong dots, raw", "/\xc0\xae\xc0\xae/x"},
		{"overlong slash", "/..%c0%af/x"},
		{"overlong backslash", "/..%c1%9cx"},
		{"overlong NUL", "/..%c0%80x"},
		{"overlong, then encoded", "/%c0%a52e%c0%a52e/x"},
		{"overlong full-width dots", "/%f0%8f%bc%8e%f0%8f%bc%8e/x"},
		{"overlong, continuation not checked", "/%c0%2e%c0%6e/x"},
		{"overlong, three bytes, not checked", "/%e0%40%ae%e0%40%ae/x"},
	}
	for _, tt := range attacks {
		t.Run("refused/"+tt.name, func(t *testing.T) {
			if !escapesFunction(tt.rest) {
				t.Errorf("contract 1.5: rest %q passes", tt.rest)
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
		{"full-width dots in a name", "/ファイル．．txt"},
		{"full-width slash", "/a／b"},
		{"full-width percent sign", "/100％オフ"},
		{"inside, full-width", "/a/．．/b"},
		{"inside, with a parameter", "/a/..;v=1/b"},
		{"three dots and a space", "/...%20/x"},
		{"an ellipsis", "/…/x"},
		{"a parameter of a name", "/a;/..;x/b"},
		{"a space in a name", "/a%20../b"},
		{"a name with a joiner", "/%E2%80%8Fa/../b"},
		{"bytes that are no UTF-8", "/\xff\xfe/\xe0"},
		{"%u is no escape", "/%u002e%u002e/x"},
		{"dots in parameters", "/a;b=../c"},
		{"plus", "/a+b"},
	}
	for _, tt := range harmless {
		t.Run("passes/"+tt.name, func(t *testing.T) {
			if escapesFunction(tt.rest) {
				t.Errorf("contract 1.5: rest %q is refused", tt.rest)
			}
		})
	}
}

// Contract 1.5: each way to write a dot joined with each way to write a
// slash and what may stand behind, at every depth of encoding that is looked at.
func TestEscapesFunctionInEverySpelling(t *testing.T) {
	dots := append(spellings('.', "\uff0e", "\u2024", "\ufe52"), "%252e", "%%32e", "%%32%45", "%2525252e", "%252525252e", ".%09")
	slashes := append(spellings('/', "\uff0f", "\u2215"), "%252F", "%252525252f")
	slashes = append(append(slashes, spellings('\\', "\uff3c")...), "%2525255c")
	var behind []string
	for _, c := range []byte{';', ' ', 0, 1, '\t', '\n', 0x1f, 0x7f} {
		behind = append(behind, spellings(c)...)
	}
	behind = append(behind, "", "%3f", "%23", ";a=b", "%20x", "\u00a0", "\u3000", "%E2%80%83", "\x85")
	check := func(rest string) {
		t.Helper()
		if !escapesFunction(rest) {
			t.Fatalf("contract 1.5: rest %q passes", rest)
		}
	}
	for _, before := range slashes {
		for _, first := range dots {
			for _, second := range dots {
				check(before + first + second)
				for _, tail := range behind {
					check("/" + first + second + tail + "/x")
				}
			}
			for _, after := range slashes {
				for _, descent := range []string{"", "/a/..", "/a%2fb/..", `/a\b/%2e%2e`, "/a;b/..;c", "/．/a/．．"} {
					check(descent + before + first + "." + after + "_internal/health")
				}
			}
		}
	}
}

// spellings are the ways to write an ASCII character: as it is, percent-encoded,
// in UTF-8 of two to six bytes, and as one of its twins.
func spellings(c byte, twins ...string) []string {
	forms := append([]string{string([]byte{c}), string(overlong(c, 2)), string(overlong(c, 3)), string(overlong(c, 4)), string(overlong(c, 5)), string(overlong(c, 6))}, twins...)
	var all []string
	for _, form := range forms {
		lower, upper := "", ""
		for _, b := range []byte(form) {
			lower += fmt.Sprintf("%%%02x", b)
			upper += fmt.Sprintf("%%%02X", b)
		}
		all = append(all, form, lower, upper)
	}
	return all
}

// overlong is the UTF-8 of c in more bytes than it needs.
func overlong(c byte, size int) []byte {
	encoded := make([]byte, size)
	encoded[0] = byte(0xff << (8 - size))
	for i := 1; i < size; i++ {
		encoded[i] = 0x80
	}
	encoded[size-1] |= c & 0x3f
	if size == 2 {
		encoded[0] |= c >> 6
	} else {
		encoded[size-2] |= c >> 6
	}
	return encoded
}

// The check is one of the few that a client can make expensive.
func TestEscapesFunctionIsLinear(t *testing.T) {
	rest := strings.Repeat("/%252525252e", 1<<10)
	if allocs := testing.AllocsPerRun(10, func() { escapesFunction(rest) }); allocs > maxDecodings+1 {
		t.Errorf("%v allocations, want at most one for each round", allocs)
	}
}
