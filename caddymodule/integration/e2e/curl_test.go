//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// curl runs the program as a user would and returns what it printed, headers included.
func curl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("curl", append([]string{"-sS", "-i", "--max-time", "20"}, args...)...)
	cmd.Env = append(os.Environ(), "no_proxy=*")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func mustCurl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := curl(t, args...)
	if err != nil {
		t.Fatalf("curl %q: %v\n%s", args, err, out)
	}
	return out
}

func mustContain(t *testing.T, out string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(strings.ToLower(out), strings.ToLower(want)) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
}

// TestCurl uses a client that nobody here wrote, over HTTP/1.1 and, with Caddy's own certificates, HTTP/2.
func TestCurl(t *testing.T) {
	plain := startGateway(t, config{})
	secure := startGateway(t, config{tls: true})
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, []byte(strings.Repeat("0123456789abcdef", 1<<16)), 0o600); err != nil {
		t.Fatal(err)
	}
	fronts := []struct {
		name, url, proto string
		flags            []string
	}{
		{"HTTP/1.1", plain.url, "HTTP/1.1 ", nil},
		{"HTTP/2", secure.url, "HTTP/2 ", []string{"-k", "--http2"}},
	}
	for _, front := range fronts {
		call := func(t *testing.T, path string, args ...string) string {
			t.Helper()
			return mustCurl(t, append(append(append([]string{}, front.flags...), args...), front.url+"/functions/v1/"+path)...)
		}
		t.Run(front.name, func(t *testing.T) {
			t.Run("contract 1.1 -d with a bearer token", func(t *testing.T) {
				out := call(t, "hello-world", "-H", withToken(), "--json", `{"name":"curl"}`)
				mustContain(t, out, front.proto+"200", `"message":"Hello curl!"`, "x-sb-edge-region: "+regionNames[0])
			})
			t.Run("contract 2.1 x-region", func(t *testing.T) {
				out := call(t, "echo", "-H", "apikey: "+publishableKey, "-H", "x-region: "+regionNames[1])
				mustContain(t, out, front.proto+"200", `"region":"`+regionNames[1]+`"`, "x-sb-region-reason: explicit")
			})
			t.Run("contract 1.8 x-forwarded-proto and port", func(t *testing.T) {
				out := call(t, "public-echo")
				scheme, rest, _ := strings.Cut(front.url, "://")
				_, port, _ := strings.Cut(rest, ":")
				mustContain(t, out, `"x-forwarded-proto":"`+scheme+`"`, `"x-forwarded-port":"`+port+`"`)
			})
			t.Run("contract 3.2 without a token", func(t *testing.T) {
				mustContain(t, call(t, "echo"), front.proto+"401", "sb-error-code: UNAUTHORIZED_NO_AUTH_HEADER", `"code":"UNAUTHORIZED_NO_AUTH_HEADER"`)
			})
			t.Run("contract 4.2 preflight", func(t *testing.T) {
				out := call(t, "echo", "-X", "OPTIONS", "-H", "Origin: https://a.example", "-H", "Access-Control-Request-Method: POST")
				mustContain(t, out, front.proto+"204", "access-control-allow-origin: *")
			})
			t.Run("contract 5.8 HEAD is 405", func(t *testing.T) {
				mustContain(t, call(t, "echo", "-I"), front.proto+"405", "allow: ")
			})
			t.Run("contract 6.5 a file with -T and a form with -F", func(t *testing.T) {
				mustContain(t, call(t, "upload", "-H", withToken(), "-X", "POST", "-T", big), `"length":1048576`)
				mustContain(t, call(t, "upload", "-H", withToken(), "-F", "a=b", "-F", "file=@"+big), `"a":"b"`, `"length":1048576`)
			})
			t.Run("contract 6.5 an event stream with -N", func(t *testing.T) {
				mustContain(t, call(t, "sse?events=2&every=50", "-N"), "content-type: text/event-stream", `"n":2`, `"done":true`)
			})
			t.Run("contract 1.3 odd bytes with --path-as-is and -g", func(t *testing.T) {
				out := call(t, "public-echo/a//b/./c|d[e]?x=[1]&y={2}", "--path-as-is", "-g")
				mustContain(t, out, front.proto+"200", `"query":"?x=[1]&y={2}"`)
			})
			t.Run("contract 5.31 a broken stream makes curl fail", func(t *testing.T) {
				out, err := curl(t, append(append([]string{}, front.flags...), front.url+"/functions/v1/broken")...)
				if err == nil {
					t.Errorf("curl took the broken body for whole:\n%s", out)
				}
			})
		})
	}
}
