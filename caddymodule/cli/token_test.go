package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"
)

const (
	acceptedJSON = `{"project":"abcdefghijklmnopqrst","header":{"typ":"JWT","alg":"HS256"},
"claims":{"role":"authenticated","exp":1795694400,"iat":1795435200,"nbf":"soon","app":{"a":[1, 2]},"\u001b[31mred":"a\u009b\u202eb\tc\nd"},
"checks":[{"check":"format","ok":true,"detail":""},{"check":"signature","ok":true,"detail":"HS256 secret 2 of 2"}],
"accepted":true,"code":"","message":"","key":"jwt.secrets[0]"}`

	acceptedText = `Project  abcdefghijklmnopqrst
Result   accepted
Key      jwt.secrets[0]

HEADER  VALUE
alg     HS256
typ     JWT

CLAIM        VALUE
\x1b[31mred  a\u009b\u202eb\tc\nd
app          {"a":[1, 2]}
exp          1795694400 (2026-11-26T12:00:00Z, in 3d 0h)
iat          1795435200 (2026-11-23T12:00:00Z, 0s ago)
nbf          soon
role         authenticated

CHECK      RESULT  WHY
format     ok      -
signature  ok      HS256 secret 2 of 2
`

	refusedJSON = `{"project":"default","header":{"alg":"none"},"claims":null,"checks":[{"check":"algorithm","ok":false,"detail":"none is not allowed"},{"check":"signature","ok":false,"skipped":true,"detail":""}],
"accepted":false,"code":"UNAUTHORIZED_UNSUPPORTED_TOKEN_ALGORITHM","message":"Unsupported JWT algorithm none","key":""}`

	refusedText = `Project  default
Result   refused: UNAUTHORIZED_UNSUPPORTED_TOKEN_ALGORITHM Unsupported JWT algorithm none
Key      -

HEADER  VALUE
alg     none

CHECK      RESULT   WHY
algorithm  failed   none is not allowed
signature  skipped  -
`
)

func TestTokenInspect(t *testing.T) {
	for _, tc := range []struct {
		name   string
		args   []string
		stdin  string
		answer string
		asked  string // the body
		want   string
		code   int
	}{
		{"accepted", []string{"a.b.c"}, "", acceptedJSON, `{"project":"","token":"a.b.c"}`, acceptedText, 0},
		{"refused", []string{"a.b.c", "--project", "default"}, "", refusedJSON, `{"project":"default","token":"a.b.c"}`, refusedText, 1},
		{"standard input", []string{"-"}, " a.b.c\n", acceptedJSON, `{"project":"","token":"a.b.c"}`, acceptedText, 0},
		{"a whole header", []string{"Bearer a.b.c"}, "", acceptedJSON, `{"project":"","token":"a.b.c"}`, acceptedText, 0},
		{"a token of odd bytes", []string{"-"}, "a\"<b>", refusedJSON, `{"project":"","token":"a\"\u003cb\u003e"}`, refusedText, 1},
		{"a token that starts with a dash", []string{"--", "-x"}, "", refusedJSON, `{"project":"","token":"-x"}`, refusedText, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := serve(t, 200, tc.answer)
			args := append([]string{"token", "inspect", "--address", g.address()}, tc.args...)
			var out bytes.Buffer
			stderr, code := executeFrom(t, strings.NewReader(tc.stdin), &out, args...)
			if code != tc.code || stderr != "" {
				t.Errorf("exit code %d, standard error %q", code, stderr)
			}
			if out.String() != tc.want {
				t.Errorf("got\n%s\nwant\n%s", &out, tc.want)
			}
			if asked := g.questions(); len(asked) != 1 || asked[0] != "POST /edge_functions/token" {
				t.Errorf("asked %q", asked)
			}
			if sent := g.bodies(); len(sent) != 1 || sent[0] != tc.asked {
				t.Errorf("sent %q, want %q", sent, tc.asked)
			}
		})
	}
}

func TestTokenInspectJSON(t *testing.T) {
	g := serve(t, 200, refusedJSON)
	stdout, stderr, code := execute(t, "token", "inspect", "x", "-o", "json", "--address", g.address())
	if code != 1 || stderr != "" || compact(t, stdout) != compact(t, refusedJSON) {
		t.Errorf("exit code %d, standard error %q, got\n%s", code, stderr, stdout)
	}
}

func TestTokenInspectFails(t *testing.T) {
	const token = "eyJ0b2tlbiI6MX0"
	for _, tc := range []struct {
		name    string
		stdin   io.Reader
		status  int
		answer  string
		code    int
		message string
		hint    string
	}{
		{"several projects", strings.NewReader(token), 400, `{"error":"there are 3 projects: name one"}`, 1, "there are 3 projects: name one", "--project REF"},
		{"an unknown project", strings.NewReader(token), 404, `{"error":"no project abc"}`, 1, "no project abc", "projects list"},
		{"nothing", strings.NewReader(" \n"), 200, acceptedJSON, 2, "the token is empty", "edgegate token inspect -"},
		{"only a scheme", strings.NewReader("Bearer "), 200, acceptedJSON, 2, "the token is empty", "edgegate token inspect -"},
		{"much", strings.NewReader(strings.Repeat("eyJ", 64<<10)), 200, acceptedJSON, 2, "the token is longer than 64 KiB", "one token"},
		{"a broken pipe", iotest.ErrReader(errors.New("broken")), 200, acceptedJSON, 1, "reading the token: broken", "pipe"},
		{"another answer", strings.NewReader(token), 200, `{"project":"x","checks":[]}`, 1, "another JSON than expected", "--address"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := serve(t, tc.status, tc.answer)
			var out bytes.Buffer
			stderr, code := executeFrom(t, tc.stdin, &out, "token", "inspect", "-", "--address", g.address())
			message, hint := said(t, stderr)
			if code != tc.code || out.Len() > 0 || !strings.Contains(message, tc.message) || !strings.Contains(hint, tc.hint) {
				t.Errorf("exit code %d, standard output %q, error %q, hint %q", code, &out, message, hint)
			}
			if strings.Contains(stderr, "eyJ") {
				t.Errorf("the token is shown: %s", stderr)
			}
		})
	}
}

func TestNumericDate(t *testing.T) {
	for _, tc := range []struct{ name, value, want string }{
		{"exp", "1795435200", " (2026-11-23T12:00:00Z, 0s ago)"},
		{"exp", "1795435199.5", " (2026-11-23T11:59:59Z, 1s ago)"},
		{"exp", "0", " (1970-01-01T00:00:00Z, 20780d 12h ago)"},
		{"exp", "-1", ""},
		{"exp", "1e300", ""},
		{"exp", "null", ""},
		{"exp", `"1795435200"`, ""},
		{"level", "1795435200", ""},
	} {
		if got := numericDate(tc.name, json.RawMessage(tc.value), today); got != tc.want {
			t.Errorf("%s %s: got %q, want %q", tc.name, tc.value, got, tc.want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"":                    "",
		"Zoë 日本 \"q\" \\ <b>": "Zoë 日本 \"q\" \\ <b>",
		"a\x00\x07\x1b\x7f":   `a\x00\a\x1b\x7f`,
		"\u0085\u2028\u202e":  `\u0085\u2028\u202e`,
		"\xff\ufffd":          "\\xff\ufffd",
	} {
		if got := printable(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// Header and claims are what a client wrote: whatever they are, a table has lines and no control characters.
func FuzzTokenTable(f *testing.F) {
	f.Add([]byte(acceptedJSON))
	f.Add([]byte(refusedJSON))
	f.Add([]byte("{\"checks\":[],\"accepted\":true,\"claims\":{\"\xff\":\"\u009b\",\"exp\":1e9,\"a\":\n{}}}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		a := new(tokenAnswer)
		if json.Unmarshal(body, a) != nil || !a.complete() {
			return
		}
		var out bytes.Buffer
		a.table(&out, today)
		for _, r := range out.String() {
			if r != '\n' && !unicode.IsGraphic(r) {
				t.Fatalf("%q is in %q", r, &out)
			}
		}
	})
}
