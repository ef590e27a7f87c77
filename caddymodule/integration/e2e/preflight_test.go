//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Contract 4.1: a preflight reaches a function in mode `cors function` without its body, however that is framed and whatever it says, and
// the connection stays in order: the request behind it is answered as itself, unless the answer ended the connection.
func TestPreflightBodies(t *testing.T) {
	b := startRawBackend(t)
	g := startGateway(t, config{
		backends:  []backend{{region: regionNames[0], address: b.addr}},
		functions: "\t\t\tfunction own {\n\t\t\t\tcors function\n\t\t\t}\n" + public("f"),
		options:   "\t\tmax_body 10B",
	})
	smuggled := "GET /functions/v1/f/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	chunked := "40\r\n" + (smuggled + strings.Repeat("x", 0x40))[:0x40] + "\r\n0\r\n\r\n"
	preflight := []string{"Origin: https://a.example", "Access-Control-Request-Method: POST"}
	for _, tt := range []struct {
		name, body string
		header     []string
	}{
		{"none", "", nil},
		{"of a length, above max_body", smuggled, []string{fmt.Sprintf("Content-Length: %d", len(smuggled))}},
		{"chunked", chunked, []string{"Transfer-Encoding: chunked"}},
		{"that waits for 100 Continue", "", []string{"Content-Length: 0", "Expect: 100-continue"}},
	} {
		for _, slug := range []string{"own", "f"} { // whose preflight the function answers, and the gateway
			t.Run(slug+", "+tt.name, func(t *testing.T) {
				b.take()
				conn := dial(t, g.addr)
				write(t, conn, rawRequest("OPTIONS", "/functions/v1/"+slug, "any.example", tt.body, append(tt.header, preflight...)...)+
					rawRequest("GET", "/functions/v1/f/next", "any.example", ""))
				r := bufio.NewReader(conn)
				want := map[string]int{"own": http.StatusOK, "f": http.StatusNoContent}[slug]
				first, err := http.ReadResponse(r, &http.Request{Method: http.MethodOptions})
				if err != nil {
					t.Fatal(err)
				}
				defer first.Body.Close()
				if _, err := io.Copy(io.Discard, first.Body); err != nil || first.StatusCode != want {
					t.Fatalf("contract 4.1: answered %d, %v", first.StatusCode, err)
				}
				if first.Close {
					return // behind a body of unknown length the gateway's own answers end the connection
				}
				if next, err := readReplyFrom(r, "GET"); err != nil || next.status != http.StatusOK {
					t.Errorf("the next request: %d, %v", next.status, err)
				}
				for _, head := range b.take() {
					switch {
					case strings.HasPrefix(head, "GET /f/next "):
					case slug == "own" && strings.HasPrefix(head, "OPTIONS /own "):
						for _, name := range []string{"Content-Length", "Transfer-Encoding", "Expect"} {
							if got := headerValues(head, name); got != nil && !(name == "Content-Length" && got[0] == "0") {
								t.Errorf("contract 4.1: the function got %s: %q", name, got)
							}
						}
					default:
						t.Errorf("the backend got\n%s", head)
					}
				}
			})
		}
	}
}

// Contract 4.2, 7.1, 9.8: OPTIONS is no way past the quota: it costs in mode `cors function`, and runs nothing in `auto`.
func TestOptionsAreNoFreeAPI(t *testing.T) {
	b := startScripted(t)
	g := startGateway(t, config{
		backends: b.backends(), project: "\t\t\torganization acme\n\t\t\tplan free\n\t\t\tquota 3",
		functions: public("auto") + strings.ReplaceAll(public("own"), "verify_jwt off", "verify_jwt off\n\t\t\t\tcors function") +
			"\t\t\tfunction private {\n\t\t\t\tcors function\n\t\t\t}\n",
	})
	send := func(slug string, header ...string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, g.url+"/functions/v1/"+slug, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		_, _ = io.Copy(io.Discard, res.Body) // the status is the answer
		return res.StatusCode
	}
	calls := func(want int64) {
		t.Helper()
		if got := b.calls.Load(); got != want {
			t.Errorf("the function ran %d times, want %d", got, want)
		}
	}
	for range 5 {
		if status := send("auto"); status != http.StatusNoContent {
			t.Errorf("contract 4.2: auto: %d", status)
		}
		if status := send("private"); status != http.StatusUnauthorized {
			t.Errorf("contract 4.2: cors function without a token: %d", status)
		}
	}
	calls(0)
	for range 3 {
		if status := send("own"); status != http.StatusOK {
			t.Errorf("contract 4.2: cors function: %d", status)
		}
	}
	if status := send("own"); status != http.StatusPaymentRequired {
		t.Errorf("contract 7.5: past the quota: %d", status)
	}
	calls(3)
	if n, _ := counted(t, g, "own"); n != 3 {
		t.Errorf("contract 7.1: %d are counted", n)
	}
	// The preflight passes, so that the page reads the 402 of the call.
	if status := send("own", "Origin", "https://a.example", "Access-Control-Request-Method", "POST"); status != http.StatusOK {
		t.Errorf("contract 4.1: a preflight past the quota: %d", status)
	}
	if n, _ := counted(t, g, "own"); n != 3 {
		t.Errorf("contract 7.1: %d are counted after a preflight", n)
	}
}
