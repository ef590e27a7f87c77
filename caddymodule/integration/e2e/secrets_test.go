//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// refuseInLog fails the test for each line of a process's output that holds one of the values.
func refuseInLog(t *testing.T, p *process, values ...string) {
	t.Helper()
	for line := range strings.SplitSeq(p.output(), "\n") {
		for _, value := range values {
			if strings.Contains(line, value) {
				t.Errorf("contract 8.27: %q is in what the process wrote: %.600s", value, line)
			}
		}
	}
}

// secrets are the values that requests of TestSecretsStayOutOfLogs carry, by where they are put. Each is unlike any
// other text, so a hit in the log is a leak.
func secrets() map[string]string {
	return map[string]string{
		"jwt secret":      jwtSecret,
		"valid jwt":       token(`{"sub":"e2e-valid"}`, jwtSecret),
		"invalid jwt":     token(`{"sub":"e2e-invalid"}`, "another-secret-of-more-than-thirty-two-bytes"),
		"unsigned jwt":    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJlMmUtdW5zaWduZWQifQ.e2eSignature",
		"garbled token":   "e2eGarbledBearerToken",
		"basic":           "ZTJlOmJhc2ljLXBhc3N3b3Jk",
		"publishable key": publishableKey,
		"secret key":      secretKey,
		"unknown key":     "sb_secret_e2eUnknownKey",
		"shapeless key":   "e2eShapelessApiKey",
		"cookie":          "e2eCookieValue",
		"query jwt":       "e2eQueryJwtValue",
		"query token":     "e2eQueryTokenValue",
		"query apikey":    "e2eQueryApikeyValue",
		"query access":    "e2eQueryAccessTokenValue",
		"query encoded":   "e2eQueryEncodedNameValue",
		"query second":    "e2eQuerySecondValue",
		"subprotocol":     "e2eSubprotocolToken",
		"body":            "e2eRequestBodyText",
		"backend bytes":   backendSecret,
		"set-cookie":      "e2eSetCookieValue",
	}
}

// TestSecretsStayOutOfLogs runs with `debug` on, puts secrets into every place of requests that go well and wrong in
// each way, and then looks for them in every line that the process wrote, and in every span (contract 8.27).
func TestSecretsStayOutOfLogs(t *testing.T) {
	b := startRawBackend(t)
	deno := regionNames[1]
	g, sink := startTraced(t, config{
		debug: true,
		// Its lines are masked by themselves, whatever writes them.
		global:  "\tlog invocations {\n\t\toutput stdout\n\t\tformat json\n\t\tinclude edge_functions.invocations\n\t}\n",
		options: "\t\tinvocation_log",
		backends: []backend{
			{region: regionNames[0], address: b.addr},
			{region: deno, address: fmt.Sprintf("127.0.0.1:%d", shared.ports[deno])},
			{region: regionNames[2], address: deadAddress(t)},
		},
		functions: mainFunctions + `
			function f {
				verify_jwt off
			}
			function locked
			function *`,
	})
	s := secrets()
	query := "?a=1&jwt=" + s["query jwt"] + "&token=" + s["query token"] + "&apikey=" + s["query apikey"] +
		"&access_token=" + s["query access"] + "&%6Awt=" + s["query encoded"] + "&jwt=" + s["query second"]
	credentials := [][]string{
		{"Authorization: Bearer " + s["valid jwt"]},
		{"Authorization: Bearer " + s["invalid jwt"]},
		{"Authorization: Bearer " + s["unsigned jwt"]},
		{"Authorization: Bearer " + s["garbled token"]},
		{"Authorization: Basic " + s["basic"]},
		{"Authorization: Bearer " + s["valid jwt"], "Authorization: Bearer " + s["invalid jwt"]},
		{"apikey: " + s["publishable key"]},
		{"apikey: " + s["secret key"]},
		{"apikey: " + s["secret key"], "Origin: https://a.example"},
		{"apikey: " + s["unknown key"]},
		{"apikey: " + s["shapeless key"]},
	}
	targets := []string{
		"/functions/v1/f", "/functions/v1/f/die", "/functions/v1/f/die-chunked", "/functions/v1/f/drop",
		"/functions/v1/f/garbage", "/functions/v1/f/extra", "/functions/v1/f/status-600", "/functions/v1/locked",
		"/functions/v1/f/../x", "/functions/v1/_internal/secret", "/elsewhere", "/functions/v1/%zz",
	}
	cookie := "Cookie: sb-access-token=" + s["cookie"]
	try := func(method, target, host string, header ...string) {
		conn := dial(t, g.addr)
		defer conn.Close()
		header = append(header, cookie, "Connection: close", fmt.Sprintf("Content-Length: %d", len(s["body"])))
		write(t, conn, rawRequest(method, target, host, s["body"], header...))
		_, _ = io.Copy(io.Discard, conn) // how it is answered is other tests' matter
	}
	for _, target := range targets {
		for _, credential := range credentials {
			try("POST", target+query, "any.example", credential...)
		}
		try("GET", target+query, ownHost, credentials[0]...)
		for _, shaped := range []string{s["valid jwt"], s["invalid jwt"], s["unsigned jwt"], s["secret key"], s["unknown key"], s["publishable key"]} {
			try("GET", target+"/"+shaped+query+"&own="+shaped, shaped+".example", "User-Agent: "+shaped, "x-region: "+shaped, "Origin: https://"+shaped,
				"Traceparent: "+clientParent, "Tracestate: a="+shaped, "Baggage: a="+shaped, "X-Client-Info: a"+shaped, "Accept: "+shaped, "Content-Type: text/"+shaped, "Access-Control-Request-Headers: "+shaped)
		}
		try("TRACE", target+query, "any.example", credentials[0]...)
		try("POST", target+query, "any.example", append(credentials[0], "x-region: "+regionNames[2])...)
		try("POST", target+query, "any.example", append(credentials[0], "x-region: mars-1")...)
		try("POST", target+query, "bad host:port:"+s["query jwt"], credentials[0]...)
		try("POST", "http://any.example"+target+query, "any.example", credentials[0]...)
	}
	onDeno := "x-region: " + deno
	for _, path := range []string{"crash", "broken", "worker-error", "status?code=404&x=1", "cookies", "echo", "page"} {
		target := "/functions/v1/" + path + strings.Replace(query, "?", map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")], 1)
		try("POST", target, "any.example", onDeno, credentials[0][0])
	}
	try("POST", "/functions/v1/echo"+query+"&set=Set-Cookie:c="+s["set-cookie"], ownHost, onDeno, credentials[0][0])
	leave(t, g, "/functions/v1/slow"+query+"&ms=1500", s["body"], 0, onDeno, credentials[0][0], cookie)
	leave(t, g, "/functions/v1/upload"+query, s["body"], 100, onDeno, credentials[0][0], cookie)
	leave(t, g, "/functions/v1/sse"+query+"&events=50", s["body"], 0, onDeno, credentials[0][0], cookie)
	leave(t, g, "/functions/v1/f/wait"+query, "", 100, credentials[0][0], cookie)
	upgrade := []string{
		onDeno, cookie, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}
	for _, target := range []string{"/functions/v1/ws-echo?jwt=" + s["valid jwt"], "/functions/v1/ws-echo" + query, "/functions/v1/ws-echo"} {
		leave(t, g, target, "", 0, append(upgrade, "Sec-WebSocket-Protocol: jwt-"+s["subprotocol"])...)
	}
	leave(t, g, "/functions/v1/ws-echo", "", 0, append(upgrade, "Sec-WebSocket-Protocol: jwt-"+s["valid jwt"])...)

	g.stop(syscall.SIGTERM, 5*time.Second)
	out := g.output()
	if len(out) < 1000 {
		t.Fatalf("with debug on the process wrote only %q: this test would find nothing", out)
	}
	if lines := strings.Count(out, `"logger":"edge_functions.invocations"`); lines < 200 {
		t.Fatalf("the invocation log has %d lines: this test would find nothing in it", lines)
	}
	if err := sink.Err(); err != nil {
		t.Error(err)
	}
	spans := sink.Spans()
	if len(spans) < 200 {
		t.Fatalf("there are %d spans: this test would find nothing in them", len(spans))
	}
	for _, span := range spans {
		for name, value := range s {
			if strings.Contains(span.Raw, value) {
				t.Errorf("contract 8.27: the %s is in a span: %.2000s", name, span.Raw)
			}
		}
	}
	// The one in a query parameter that is no secret's is in the URL of the invocation log.
	t.Run("8 set-cookie", func(t *testing.T) {
		for line := range strings.SplitSeq(out, "\n") {
			allowed := strings.Count(line, "&set=Set-Cookie:c="+s["set-cookie"])
			if !strings.Contains(line, `"logger":"edge_functions.invocations"`) {
				allowed = 0
			}
			if strings.Count(line, s["set-cookie"]) > allowed {
				t.Errorf("contract 8.27: the cookie of an answer is in what the process wrote: %.600s", line)
			}
		}
	})
	delete(s, "set-cookie")
	for _, name := range slices.Sorted(maps.Keys(s)) {
		t.Run("8 "+name, func(t *testing.T) { refuseInLog(t, g.process, s[name]) })
	}
}

// leave starts a request, waits for the first bytes of an answer for at most a moment, and goes without a goodbye. A
// missing number of body bytes is announced and not sent.
func leave(t *testing.T, g *gateway, target, body string, missing int, header ...string) {
	t.Helper()
	conn := dial(t, g.addr)
	defer conn.Close()
	if missing > 0 || body != "" {
		header = append(slices.Clone(header), fmt.Sprintf("Content-Length: %d", len(body)+missing))
	}
	method := "POST"
	if slices.Contains(header, "Upgrade: websocket") {
		method = "GET"
	}
	write(t, conn, rawRequest(method, target, "any.example", body, header...))
	_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	_, _ = conn.Read(make([]byte, 4096))
	_ = conn.(*net.TCPConn).SetLinger(0) // a reset, not an orderly end
}
