//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// sandboxed is the policy of contract 6.3.
const sandboxed = "default-src 'none'; sandbox"

// Contract 6.3, 6.4: any method and status, every kind of type, through the binary. It is a sample with a fixed seed of the table that
// the tests of package rewrite go through.
func TestSharedHostAnswers(t *testing.T) {
	b := startScripted(t)
	g := startGateway(t, config{backends: b.backends(), functions: public("f") + keeping("kept")})
	methods := []string{"GET", "POST", "PUT", "PATCH", "DELETE"}
	statuses := []int{200, 201, 204, 206, 301, 302, 304, 307, 400, 401, 404, 418, 500, 503, 546, 599}
	types := map[string]bool{ // whether a browser may run script in it
		"text/html": true, "TEXT/HTML; charset=utf-8": true, "application/xhtml+xml": true, "text/xml": true, "application/xml;x=y": true,
		"image/svg+xml": true, "Text/XSL": true, "application/rdf+xml": true, "application/mathml+xml": true, "multipart/x-mixed-replace; boundary=x": true,
		"*/*": true, "unknown/unknown": true, "application/unknown": true, "html": true, "": true, "text/plain, text/html": true, "application/atom+xml": true,
		"application/json": false, "text/plain": false, "text/javascript": false, "image/png": false, "text/event-stream": false, "application/octet-stream": false,
	}
	foreign := [][2]string{
		{"Set-Cookie", "a=b; Domain=example.test"},
		{"Service-Worker-Allowed", "/"},
		{"Clear-Site-Data", `"*"`},
		{"Refresh", "0;url=https://evil.example"},
		{"Strict-Transport-Security", "max-age=1"},
		{"Alt-Svc", `h3=":443"`},
		{"Link", "</x>; rel=preload, </y>; rel=next"},
		{"Report-To", "{}"},
		{"NEL", "{}"},
		{"Reporting-Endpoints", `a="https://evil.example"`},
		{"X-Accel-Redirect", "/etc"},
		{"X-Sendfile", "/etc"},
		{"Content-Security-Policy", "default-src *; sandbox allow-scripts allow-same-origin"},
	}
	random := rand.New(rand.NewPCG(6, 3))
	kinds := make([]string, 0, len(types))
	for typ := range types {
		kinds = append(kinds, typ)
	}
	slices.Sort(kinds)
	for range 400 {
		method, status, typ := methods[random.IntN(len(methods))], statuses[random.IntN(len(statuses))], kinds[random.IntN(len(kinds))]
		s := script{Status: status, Header: slices.Clone(foreign)}
		if typ != "" {
			s.Header = append(s.Header, [2]string{"Content-Type", typ})
		}
		if status != 204 && status != 304 {
			s.Body = "<script>parent.ran = true</script>"
		}
		for _, slug := range []string{"f", "kept"} {
			got := exchange(t, g.addr, rawRequest(method, "/functions/v1/"+slug+s.query(t), "any.example", "", "Content-Length: 0"))
			if got.status != status {
				t.Fatalf("%s %d %q: answered %d", method, status, typ, got.status)
			}
			policies := got.header.Values("Content-Security-Policy")
			if slug == "kept" {
				if slices.Contains(policies, sandboxed) || got.header.Get("Set-Cookie") == "" || got.header.Get("X-Sendfile") == "" {
					t.Fatalf("contract 6.3: html keep, %s %d %q: %v", method, status, typ, got.header)
				}
				continue
			}
			if want := types[typ] || status == 206 || status == 304; slices.Contains(policies, sandboxed) != want {
				t.Fatalf("contract 6.3: %s %d %q: policies %q", method, status, typ, policies)
			}
			if isHTML := strings.Contains(strings.ToLower(typ), "text/html") || typ == "" && s.Body != ""; isHTML && method == "GET" && got.header.Get("Content-Type") != "text/plain" {
				t.Fatalf("contract 6.3: GET %d %q came as %q", status, typ, got.header.Get("Content-Type"))
			}
			for _, field := range foreign[:len(foreign)-1] {
				if left := got.header.Get(field[0]); left != "" && !(field[0] == "Link" && left == "</y>; rel=next") {
					t.Fatalf("contract 6.3: %s %d %q has %s: %s", method, status, typ, field[0], left)
				}
			}
		}
	}
}

// Interim answers do not get past the policy of the head: none of a function's passes at all (contract 6.1).
func TestSharedHostEarlyHints(t *testing.T) {
	b := startScripted(t)
	g := startGateway(t, config{backends: b.backends(), functions: public("f")})
	s := script{Early: [][2]string{{"Link", "</x>; rel=preload"}, {"Set-Cookie", "a=b"}}, Header: [][2]string{{"Content-Type", "text/plain"}}, Body: "ok"}
	conn := dial(t, g.addr)
	write(t, conn, rawRequest("GET", "/functions/v1/f"+s.query(t), "any.example", ""))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 200 ") {
		t.Errorf("contract 6.1: the first line is %q, %v", line, err)
	}
}

// What the policy of the head sets or removes cannot come as a trailer, announced or not; the others reach the client.
func TestTrailersOfFunctions(t *testing.T) {
	b := startScripted(t)
	g := startGateway(t, config{backends: b.backends(), functions: public("f") + keeping("kept")})
	trailers := [][2]string{
		{"X-Checksum", "1"},
		{"Set-Cookie", "a=b"},
		{"Access-Control-Allow-Origin", "*"},
		{"Content-Type", "text/html"},
		{"Content-Security-Policy", "default-src *"},
		{"Sb-Request-Id", "forged"},
		{"X-Sb-Edge-Region", "forged"},
		{"Service-Worker-Allowed", "/"},
		{"Link", "</x>; rel=preload"},
		{"Clear-Site-Data", "*"},
		{"X-Served-By", "forged"},
		{"Sb-Anything", "forged"},
	}
	names := make([]string, 0, len(trailers))
	for _, field := range trailers {
		names = append(names, field[0])
	}
	for _, slug := range []string{"f", "kept"} {
		for _, announced := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, announced %v", slug, announced), func(t *testing.T) {
				s := script{Header: [][2]string{{"Content-Type", "text/plain"}}, Body: "ok", Trailer: trailers}
				if announced {
					s.Header = append(s.Header, [2]string{"Trailer", strings.Join(names, ", ")})
				}
				conn := dial(t, g.addr)
				write(t, conn, rawRequest("GET", "/functions/v1/"+slug+s.query(t), "any.example", "", "TE: trailers"))
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				for name := range res.Trailer { // those announced, before the body is read
					if name != "X-Checksum" {
						t.Errorf("%s is announced", name)
					}
				}
				if n, err := bufio.NewReader(res.Body).Discard(2); n != 2 || err != nil {
					t.Fatal(err)
				}
				if _, err := res.Body.Read(make([]byte, 1)); err == nil {
					t.Fatal("more than the body")
				}
				if len(res.Trailer) != 1 || res.Trailer.Get("X-Checksum") != "1" {
					t.Errorf("the trailers are %v", res.Trailer)
				}
			})
		}
	}
}

// keeping writes functions that keep what they answer.
func keeping(slugs ...string) string {
	return strings.ReplaceAll(public(slugs...), "verify_jwt off", "verify_jwt off\n\t\t\t\thtml keep")
}
