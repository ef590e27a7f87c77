//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// front is one way to a gateway.
type front struct {
	ask   speaker
	peer  string // what it is called in X-Forwarded-For; "" for a Unix socket
	proto string
	port  string // the default of proto
	lower bool   // HTTP/2 and 3 have no capitals in names
}

// startFronts runs a gateway that listens in every way there is.
func startFronts(t *testing.T, trusted bool) (map[string]front, *rawBackend) {
	t.Helper()
	b := startRawBackend(t)
	plain, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	// Not in t.TempDir, whose name may be too long for a socket.
	dir, err := os.MkdirTemp("", "edgegate-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "front.sock")
	g := prepareGateway(t)
	c := config{backends: []backend{{region: regionNames[0], address: b.addr}}, functions: rawFunctions}
	if trusted {
		c.global = "\tservers {\n\t\ttrusted_proxies static 127.0.0.1/32\n\t\ttrusted_proxies_unix\n\t}\n"
	}
	c.sites = fmt.Sprintf("http://:%d {\n\tbind 127.0.0.1 unix/%s\n\tedge_functions\n}\n", plain, socket)
	startTLSGateway(t, g, c)

	dialOf := func(network, addr string) func(*testing.T) net.Conn {
		return func(t *testing.T) net.Conn {
			t.Helper()
			conn, err := net.DialTimeout(network, addr, askTimeout)
			if err != nil {
				t.Fatal(err)
			}
			if err := conn.SetDeadline(time.Now().Add(askTimeout)); err != nil {
				t.Fatal(err)
			}
			return conn
		}
	}
	fronts := map[string]front{
		"TCP":  {speakHTTP1(dialOf("tcp", fmt.Sprintf("127.0.0.1:%d", plain))), "127.0.0.1", "http", "80", false},
		"Unix": {speakHTTP1(dialOf("unix", socket)), "", "http", "80", false},
	}
	for protocol, ask := range speakers(g.addr) {
		fronts["TLS, "+protocol] = front{ask, "127.0.0.1", "https", "443", protocol != "HTTP/1.1"}
	}
	return fronts, b
}

// callFront sends one request with further headers and returns the head that the backend got.
func callFront(t *testing.T, f front, b *rawBackend, host string, header ...[2]string) string {
	t.Helper()
	b.take()
	if f.lower {
		header = slices.Clone(header)
		for i := range header {
			header[i][0] = strings.ToLower(header[i][0])
		}
		header = slices.DeleteFunc(header, func(h [2]string) bool { return h[0] == "connection" })
	}
	got := f.ask(t, getOf(host, "/functions/v1/f", header...))
	heads := b.take()
	if got.status != 200 || len(heads) != 1 {
		t.Fatalf("answered %d %s, and the backend got %d requests", got.status, got.body, len(heads))
	}
	return heads[0]
}

// wantForwarded compares what the backend reads of the client's address.
func wantForwarded(t *testing.T, head, host, proto, port, chain string) {
	t.Helper()
	want := map[string]string{
		"Host": host, "X-Forwarded-Host": host, "X-Forwarded-Proto": proto, "X-Forwarded-Port": port,
		"X-Forwarded-For": chain, "X-Forwarded-Prefix": "/functions/v1",
	}
	for name, value := range want {
		values := []string{value}
		if value == "" {
			values = nil
		}
		if got := headerValues(head, name); !slices.Equal(got, values) {
			t.Errorf("contract 1.8 the backend got %s: %q, want %q", name, got, values)
		}
	}
}

// forgeable are the headers of contract 1.8 that strangers may not set, in two groups.
var (
	forgeableByProxies = []string{
		"x-forwarded-server", "x-forwarded-ssl", "forwarded", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip",
		"cf-connecting-ip", "cf-ipcountry", "cf-ipcity", "fastly-client-ip", "x-original-url", "x-original-host", "x-rewrite-url", "proxy",
	}
	forgeableByNobody = []string{
		"sb-api-key", "sb-request-id", "sb-project-ref", "sb-anything", "x-sb-edge-region", "x-sb-region-reason", "x-sb-replay", "x-sb-replay-body",
	}
)

// capitals returns a name in the usual spellings.
func capitals(name string) []string {
	parts := strings.Split(name, "-")
	for i, part := range parts {
		parts[i] = strings.ToUpper(part[:1]) + part[1:]
	}
	return []string{name, strings.ToUpper(name), strings.Join(parts, "-")}
}

// TestForwardedOfStrangers forges every header of contract 1.8 on every way into the gateway.
func TestForwardedOfStrangers(t *testing.T) {
	fronts, b := startFronts(t, false)
	for name, f := range fronts {
		t.Run(name, func(t *testing.T) {
			wantForwarded(t, callFront(t, f, b, "a.example"), "a.example", f.proto, f.port, f.peer)
			wantForwarded(t, callFront(t, f, b, "A.example:8123"), "A.example:8123", f.proto, "8123", f.peer)
			var all [][2]string
			for _, header := range slices.Concat(forgeableByProxies, forgeableByNobody) {
				for _, spelling := range capitals(header) {
					all = append(all, [2]string{spelling, "forged"})
				}
			}
			all = append(all, [2]string{"x-forwarded-for", "6.6.6.6"}, [2]string{"x-forwarded-host", "forged.example"},
				[2]string{"x-forwarded-proto", "gopher"}, [2]string{"x-forwarded-port", "6666"}, [2]string{"x-forwarded-prefix", "/forged"},
				[2]string{"Connection", "x-sb-edge-region, sb-request-id, x-forwarded-for, x-forwarded-proto"})
			head := callFront(t, f, b, "a.example", all...)
			wantForwarded(t, head, "a.example", f.proto, f.port, f.peer)
			if strings.Contains(head, "forged") || strings.Contains(head, "6.6.6.6") {
				t.Errorf("contract 1.8 something forged reached the backend:\n%s", head)
			}
			if got := headerValues(head, "x-sb-edge-region"); !slices.Equal(got, []string{regionNames[0]}) {
				t.Errorf("contract 1.8 x-sb-edge-region is %q", got)
			}
			head = callFront(t, f, b, "a.example", [2]string{"baggage", "tenant=1,sb-request-id=forged"}, [2]string{"baggage", "SB-Other=forged;a=b, user = 2"})
			id := headerValues(head, "sb-request-id")
			if got := headerValues(head, "baggage"); len(id) != 1 || !slices.Equal(got, []string{"sb-request-id=" + id[0] + ",tenant=1,user = 2"}) {
				t.Errorf("contract 1.8 the backend got baggage %q with the id %q", got, id)
			}
		})
	}
}

// TestForwardedOfProxies has a trusted proxy in front, on every way into the gateway.
func TestForwardedOfProxies(t *testing.T) {
	fronts, b := startFronts(t, true)
	after := func(chain, peer string) string {
		return strings.TrimPrefix(strings.TrimSuffix(chain+", "+peer, ", "), ", ")
	}
	for name, f := range fronts {
		t.Run(name, func(t *testing.T) {
			forwarded := func(pairs ...string) (header [][2]string) {
				for i := 0; i < len(pairs); i += 2 {
					header = append(header, [2]string{"X-Forwarded-" + pairs[i], pairs[i+1]})
				}
				return header
			}
			wantForwarded(t, callFront(t, f, b, "a.example"), "a.example", f.proto, f.port, f.peer)
			wantForwarded(t, callFront(t, f, b, "a.example", forwarded("Proto", "https", "For", "192.0.2.7")...),
				"a.example", "https", "443", after("192.0.2.7", f.peer))
			wantForwarded(t, callFront(t, f, b, "10.0.0.1:8000", forwarded("Host", "pub.example, b.internal", "Proto", "https, http", "For", "192.0.2.7, 10.0.0.2", "For", "10.0.0.3")...),
				"pub.example", "https", "443", after("192.0.2.7, 10.0.0.2, 10.0.0.3", f.peer))
			wantForwarded(t, callFront(t, f, b, "10.0.0.1:8000", forwarded("Host", "pub.example:8443", "Proto", "https")...),
				"pub.example:8443", "https", "8443", f.peer)
			wantForwarded(t, callFront(t, f, b, "a.example", forwarded("Host", "a b", "Proto", "gopher", "Port", "0")...),
				"a.example", f.proto, f.port, f.peer)
			for _, header := range forgeableByProxies {
				head := callFront(t, f, b, "a.example", [2]string{header, "said"})
				if got := headerValues(head, header); !slices.Equal(got, []string{"said"}) {
					t.Errorf("contract 1.8 a trusted proxy's %s reached the backend as %q", header, got)
				}
			}
			for _, header := range forgeableByNobody {
				if head := callFront(t, f, b, "a.example", [2]string{header, "forged"}); strings.Contains(head, "forged") {
					t.Errorf("contract 1.8 a proxy's %s reached the backend:\n%s", header, head)
				}
			}
		})
	}
}
