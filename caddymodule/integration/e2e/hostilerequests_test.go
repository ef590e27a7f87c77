//go:build e2e

package e2e

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// hostileRequest is a request over HTTP/1.1, byte for byte. %s is the name of a region.
type hostileRequest struct {
	name string
	raw  string
	// want is the answer's status, 0 for any but a 502 or 503: net/http refuses much by itself, and a function may be
	// asked what it is asked.
	want int
	code string
}

const evilHost = "Host: " + firstRef + ".example.test\r\nX-Region: %s\r\n"

// hostileRequests1 are those made by hand, and headers that are hop by hop or lengths, with each of some values.
func hostileRequests1() []hostileRequest {
	post := "POST /functions/v1/evil HTTP/1.1\r\n" + evilHost
	get := "GET /functions/v1/evil HTTP/1.1\r\n" + evilHost
	chunks := post + "Transfer-Encoding: chunked\r\n"
	upgrade := get + "Connection: Upgrade\r\n"
	socket := upgrade + "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	long := strings.Repeat("x", 20<<10)
	all := []hostileRequest{
		{"contract 1.8 a trailer that is no token", chunks + "Trailer: a b\r\n\r\n0\r\n\r\n", 400, "INVALID_REQUEST"},
		{"contract 1.8 a trailer in quotes", chunks + "Trailer: \"a\"\r\n\r\n0\r\n\r\n", 400, "INVALID_REQUEST"},
		{"contract 1.8 a trailer beyond ASCII", chunks + "Trailer: \xe4\r\n\r\n0\r\n\r\n", 400, "INVALID_REQUEST"},
		{"contract 1.8 one good trailer and one bad", chunks + "Trailer: X-A, a;b\r\n\r\n0\r\n\r\n", 400, "INVALID_REQUEST"},
		{"contract 1.8 a forbidden trailer", chunks + "Trailer: Authorization\r\n\r\n0\r\n\r\n", 400, "INVALID_REQUEST"},
		{"contract 1.8 a forbidden trailer without chunks", get + "Trailer: Content-Length\r\n\r\n", 400, "INVALID_REQUEST"},
		{"contract 1.8 a trailer that is no token without chunks", get + "Trailer: a b\r\n\r\n", 400, "INVALID_REQUEST"},
		{"a trailer that net/http refuses", chunks + "Trailer: Content-Length\r\n\r\n0\r\n\r\n", 400, ""},
		{"a trailer that does not come", chunks + "Trailer: X-A\r\n\r\n0\r\n\r\n", 0, ""},
		{"trailers that were not announced", chunks + "\r\n0\r\nX-A: b\r\nContent-Length: 5\r\n\r\n", 0, ""},
		{"malformed trailers", chunks + "Trailer: X-A\r\n\r\n0\r\na b\r\n\r\n", 0, ""},
		{"a hundred trailers", chunks + "Trailer: " + strings.TrimSuffix(strings.Repeat("X-A, ", 100), ", ") + "\r\n\r\n0\r\n\r\n", 0, ""},
		{"chunks that are none", chunks + "\r\nxyz\r\n", 0, ""},
		{"a chunk that is cut", chunks + "\r\n10\r\nshort", 0, ""},
		{"a chunk of 2^64", chunks + "\r\nffffffffffffffff0\r\n", 0, ""},
		{"a chunk with a long extension", chunks + "\r\n1;" + long + "\r\nx\r\n0\r\n\r\n", 0, ""},
		{"a body that is cut", post + "Content-Length: 100\r\n\r\nshort", 0, ""},
		{"a body that does not come", post + "Content-Length: 100\r\n\r\n", 0, ""},
		{"a body of 2^62", post + "Content-Length: 4611686018427387904\r\n\r\n", 0, ""},
		{"a body that is longer", post + "Content-Length: 1\r\n\r\nlonger", 0, ""},
		{"a length and chunks", chunks + "Content-Length: 1\r\n\r\n0\r\n\r\n", 0, ""},
		{"two lengths", post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 0, ""},
		{"a GET with a body", get + "Content-Length: 4\r\n\r\nbody", 0, ""},
		{"a GET with chunks", get + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", 0, ""},
		{"100-continue and no body", post + "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n", 0, ""},
		{"another expectation", post + "Expect: 200-ok\r\nContent-Length: 0\r\n\r\n", 0, ""},
		{"an upgrade to HTTP/2", upgrade + "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", 0, ""},
		{"an upgrade to nothing", upgrade + "\r\n", 0, ""},
		{"an upgrade to anything", upgrade + "Upgrade: evil\r\n\r\n", 0, ""},
		{"an upgrade beyond ASCII", upgrade + "Upgrade: \xff\xfe\r\n\r\n", 0, ""},
		{"two upgrades", upgrade + "Upgrade: websocket\r\nUpgrade: h2c\r\n\r\n", 0, ""},
		{"a WebSocket by POST", post + "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n", 0, ""},
		{"a WebSocket without a key", upgrade + "Upgrade: websocket\r\n\r\n", 0, ""},
		{"a WebSocket of version 99", upgrade + "Upgrade: websocket\r\nSec-WebSocket-Version: 99\r\n\r\n", 0, ""},
		{"a WebSocket with a body", socket + "Content-Length: 4\r\n\r\nbody", 0, ""},
		{"a WebSocket", socket + "\r\n", 0, ""},
		{"a WebSocket and frames at once", socket + "\r\n\x81\x85\x00\x00\x00\x00hello", 0, ""},
		{"Connection names our headers", get + "Connection: x-sb-edge-region, sb-request-id, host\r\n\r\n", 0, ""},
		{"Connection is everything", get + "Connection: close, keep-alive, upgrade, te, trailer\r\n\r\n", 0, ""},
		{"TE", get + "TE: trailers, deflate;q=0.5\r\nConnection: TE\r\n\r\n", 0, ""},
		{"headers beyond ASCII", get + "X-A: \xff\xfe\r\nX-B: \xe4\r\n\r\n", 0, ""},
		{"a control character in a header", get + "X-A: b\x01c\r\n\r\n", 0, ""},
		{"a NUL in a header", get + "X-A: b\x00c\r\n\r\n", 0, ""},
		{"a bare CR in a header", get + "X-A: b\rc\r\n\r\n", 0, ""},
		{"a folded header", get + "X-A: b\r\n c\r\n\r\n", 0, ""},
		{"a name with a space", get + "X A: b\r\n\r\n", 0, ""},
		{"empty headers", get + "X-A:\r\nX-B: \r\n\r\n", 0, ""},
		{"a header of 20 KiB", get + "X-A: " + long + "\r\n\r\n", 0, ""},
		{"500 headers", get + strings.Repeat("X-A: b\r\n", 500) + "\r\n", 0, ""},
		{"500 cookies", get + "Cookie: " + strings.Repeat("a=b; ", 500) + "\r\n\r\n", 0, ""},
		{"HTTP/1.0", "GET /functions/v1/evil HTTP/1.0\r\n" + evilHost + "\r\n", 0, ""},
		{"HTTP/1.0 with chunks", "POST /functions/v1/evil HTTP/1.0\r\n" + evilHost + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, ""},
		{"HTTP/3.0", "GET /functions/v1/evil HTTP/3.0\r\n" + evilHost + "\r\n", 0, ""},
		{"absolute form", "GET http://x/functions/v1/evil HTTP/1.1\r\n" + evilHost + "\r\n", 0, ""},
		{"a target of 10 KiB", "GET /functions/v1/evil?" + long[:10<<10] + " HTTP/1.1\r\n" + evilHost + "\r\n", 0, ""},
		{"a method of lower case", "get /functions/v1/evil HTTP/1.1\r\n" + evilHost + "\r\n", 405, "METHOD_NOT_ALLOWED"},
		{"five requests at once", strings.Repeat(get+"\r\n", 5), 0, ""},
		{"an idempotency key and no body", post + "Idempotency-Key: k\r\nContent-Length: 10\r\n\r\n", 0, ""},
		{"forged headers", get + "X-Sb-Edge-Region: mars\r\nSb-Request-Id: forged\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=x\r\n\r\n", 0, ""},
		{"a malformed trace", get + "Traceparent: 00-zz\r\nTracestate: ====\r\nBaggage: ;;;\r\n\r\n", 0, ""},
		{"gone at once", get + "\r\n", 0, ""},
	}
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "TE", "Upgrade", "Trailer", "Transfer-Encoding", "Content-Length", "Expect", "Range", "Host"} {
		for _, value := range []string{"", ",", "a b", "0x10", "\xff"} {
			all = append(all, hostileRequest{fmt.Sprintf("%s: %q", name, value), get + name + ": " + value + "\r\n\r\n", 0, ""})
		}
	}
	return all
}

// TestHostileRequests sends each request, and mutations of good ones, to one function in each region: contract 9.4. What
// a caller sends is never the backend's fault.
func TestHostileRequests(t *testing.T) {
	h := startHostileWorld(t)
	all := hostileRequests1()
	if len(all) < 60 {
		t.Fatalf("%d requests", len(all))
	}
	// Some at once: those that are not whole are waited for.
	const batch = 16
	for start := 0; start < len(all); start += batch {
		some := all[start:min(start+batch, len(all))]
		h.repeatedly(t, fmt.Sprintf("after %q to %q", some[0].name, some[len(some)-1].name), func() (found []string) {
			waitUntil(t, "all regions are up", func() bool { return h.states(t) == "up up up" })
			var mu sync.Mutex
			var running sync.WaitGroup
			for _, tt := range some {
				for i := range hostileCalls {
					running.Go(func() {
						region := []string{regionHTTP1, regionH2C, regionH2}[i%3]
						got := h.raw(t, strings.ReplaceAll(tt.raw, "%s", region), i)
						if got.status == 0 {
							return // not asked for, or cut off before it was an HTTP request
						}
						if got.status == 502 && region == regionH2 && strings.Contains(tt.raw, "Upgrade: websocket") {
							return // its backend closes connections without HTTP/2, which WebSockets need
						}
						if tt.want != 0 && (got.status != tt.want || got.code() != tt.code) || got.status == 502 || got.status == 503 {
							mu.Lock()
							defer mu.Unlock()
							found = append(found, fmt.Sprintf("%s in %s: answered %d %s %s", tt.name, region, got.status, got.code(), got.body))
						}
					})
				}
			}
			running.Wait()
			return found
		})
	}
	t.Run("mutations", func(t *testing.T) {
		random := rand.New(rand.NewPCG(9, 4))
		good := "POST /functions/v1/evil?a=b HTTP/1.1\r\n" + evilHost + "Transfer-Encoding: chunked\r\nTrailer: X-A\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nTE: trailers\r\n\r\n4\r\nbody\r\n0\r\nX-A: b\r\n\r\n"
		for n := range hostileMutations {
			raw := strings.ReplaceAll(mutated(random, strings.ReplaceAll(good, "%s", []string{regionHTTP1, regionH2C, regionH2}[n%3])), "%", "")
			var running sync.WaitGroup
			for i := range 5 {
				running.Go(func() {
					if got := h.raw(t, raw, i+1); got.status == 502 && !strings.Contains(raw, regionH2) {
						t.Errorf("answered %d %s %s", got.status, got.code(), got.body)
					}
				})
			}
			running.Wait()
			if n%20 == 19 {
				h.untouched(t)
			}
			if t.Failed() {
				t.Fatalf("at %q", raw)
			}
		}
	})
}

// raw sends a request on a connection of its own. The first of many waits for its answer, every tenth goes away at once, and
// the others when there was none soon.
func (h *hostileWorld) raw(t *testing.T, raw string, n int) reply {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: askTimeout}, "tcp", h.addr, testTLS("http/1.1"))
	if err != nil {
		t.Error(err)
		return reply{}
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, raw); err != nil || n%10 == 9 {
		return reply{}
	}
	wait := soon
	if n == 0 {
		wait = askTimeout
	}
	_ = conn.SetReadDeadline(time.Now().Add(wait))
	method, _, _ := strings.Cut(raw, " ")
	got, err := readReplyFrom(bufio.NewReader(conn), method)
	if err != nil || got.status == http.StatusSwitchingProtocols {
		return reply{}
	}
	return got
}

// TestHostileHTTP2Requests sends requests over HTTP/2 and 3 that HTTP/1.1 has no words for: contract 1.8, 9.4.
func TestHostileHTTP2Requests(t *testing.T) {
	h := startHostileWorld(t)
	tests := []struct {
		name string
		more rawFields
		want int // 0: any but 502 and 503; a reset of the stream is one
		code string
	}{
		{"a trailer that is no token", rawFields{{"trailer", "a b"}}, 400, "INVALID_REQUEST"},
		{"a forbidden trailer", rawFields{{"trailer", "authorization"}}, 400, "INVALID_REQUEST"},
		{"a trailer that does not come", rawFields{{"trailer", "x-a"}}, 0, ""},
		{"connection", rawFields{{"connection", "upgrade"}}, 0, ""},
		{"an upgrade", rawFields{{"connection", "upgrade"}, {"upgrade", "websocket"}}, 0, ""},
		{"an upgrade alone", rawFields{{"upgrade", "websocket"}}, 0, ""},
		{"transfer-encoding", rawFields{{"transfer-encoding", "chunked"}}, 0, ""},
		{"te", rawFields{{"te", "gzip"}}, 0, ""},
		{"a length without a body", rawFields{{"content-length", "5"}}, 0, ""},
		{"a length of letters", rawFields{{"content-length", "abc"}}, 0, ""},
		{"two lengths", rawFields{{"content-length", "0"}, {"content-length", "1"}}, 0, ""},
		{"a name in capitals", rawFields{{"X-A", "b"}}, 0, ""},
		{"a name with a space", rawFields{{"x a", "b"}}, 0, ""},
		{"a name with a line break", rawFields{{"x-a\r\nx-b", "c"}}, 0, ""},
		{"a value with a line break", rawFields{{"x-a", "b\r\nx-b: c"}}, 0, ""},
		{"a value with a NUL", rawFields{{"x-a", "b\x00"}}, 0, ""},
		{"a value beyond ASCII", rawFields{{"x-a", "\xff"}}, 0, ""},
		{"an empty name", rawFields{{"", "b"}}, 0, ""},
		{"a pseudo-field behind others", rawFields{{":method", "POST"}}, 0, ""},
		{"an unknown pseudo-field", rawFields{{":evil", "b"}}, 0, ""},
		{"host beside the authority", rawFields{{"host", "evil.example"}}, 0, ""},
		{"500 cookies", rawFields{{"cookie", strings.Repeat("a=b; ", 500)}}, 0, ""},
		{"expect", rawFields{{"expect", "100-continue"}}, 0, ""},
		{"a header of 20 KiB", rawFields{{"x-a", strings.Repeat("x", 20<<10)}}, 0, ""},
	}
	for protocol, speak := range map[string]func(addr string) speaker{"HTTP/2": speakHTTP2, "HTTP/3": speakHTTP3} {
		for _, tt := range tests {
			t.Run(protocol+" "+tt.name, func(t *testing.T) {
				ask := speak(h.addr)
				for i := range hostileCalls {
					region := []string{regionHTTP1, regionH2C, regionH2}[i%3]
					fields := getOf(firstRef+".example.test", "/functions/v1/evil", [2]string{"x-region", region})
					got := ask(t, append(fields, tt.more...))
					if got.status == 0 && (tt.want == 0 || protocol == "HTTP/3") {
						continue // the server ended the stream by itself
					}
					if tt.want != 0 && (got.status != tt.want || got.code() != tt.code) || got.status == 502 || got.status == 503 {
						t.Fatalf("%s: answered %d %s %s", region, got.status, got.code(), got.body)
					}
				}
				h.untouched(t)
			})
		}
	}
}

// TestHostileWebSockets asks for WebSockets where nobody can give one: contract 5.14, 9.4. h2c is known to have none; a
// backend that takes HTTP/2 alone under TLS is only found out when it closes the connection.
func TestHostileWebSockets(t *testing.T) {
	h := startHostileWorld(t)
	for region, want := range map[string]int{regionH2C: 501, regionH2: 502} {
		t.Run(region, func(t *testing.T) {
			for range hostileCalls {
				conn := dialTLS(t, h.addr, "http/1.1")
				raw := "GET /functions/v1/evil HTTP/1.1\r\n" + strings.ReplaceAll(evilHost, "%s", region) +
					"Origin: https://app.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
				if _, err := io.WriteString(conn, raw); err != nil {
					t.Fatal(err)
				}
				got, err := readReplyFrom(bufio.NewReader(conn), "GET")
				if err == nil {
					err = isGateway(got, want, map[int]string{501: "UPGRADE_UNSUPPORTED", 502: "BACKEND_ERROR"}[want])
				}
				conn.Close()
				if err != nil {
					t.Fatal(err)
				}
			}
			h.untouched(t)
		})
	}
}
