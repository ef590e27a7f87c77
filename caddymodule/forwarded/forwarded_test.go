package forwarded

import (
	"crypto/tls"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Contract 1.8: host, proto and port are one statement, of the outermost
// trusted proxy that makes it, else of the client to this gateway.
func TestForwardedAddress(t *testing.T) {
	tests := []struct {
		name                string
		host                string
		tls                 bool
		said                http.Header // by a trusted proxy
		wantHost            string
		wantProto, wantPort string
	}{
		{"plain", "a.example", false, nil, "a.example", "http", "80"},
		{"plain, port in the host", "a.example:8000", false, nil, "a.example:8000", "http", "8000"},
		{"TLS", "a.example", true, nil, "a.example", "https", "443"},
		{"TLS, port in the host", "a.example:8443", true, nil, "a.example:8443", "https", "8443"},
		{"IPv6", "[::1]", false, nil, "[::1]", "http", "80"},
		{"IPv6 with a port", "[::1]:8000", false, nil, "[::1]:8000", "http", "8000"},
		{"an empty port", "a.example:", true, nil, "a.example:", "https", "443"},
		{"no host", "", false, nil, "", "http", "80"},

		{"proto alone", "a.example", false, said("Proto", "https"), "a.example", "https", "443"},
		{"proto alone, towards a plain name", "a.example", true, said("Proto", "http"), "a.example", "http", "80"},
		{"proto alone, the host's port stays with the host", "a.example:8443", false, said("Proto", "https"), "a.example:8443", "https", "8443"},
		{"proto and port", "10.0.0.1:8000", false, said("Proto", "https", "Port", "8443"), "10.0.0.1:8000", "https", "8443"},
		{"host and proto", "10.0.0.1:8000", false, said("Host", "a.example", "Proto", "https"), "a.example", "https", "443"},
		{"host with a port and proto", "10.0.0.1:8000", false, said("Host", "a.example:444", "Proto", "https"), "a.example:444", "https", "444"},
		{"host, proto and port", "10.0.0.1:8000", false, said("Host", "a.example", "Proto", "https", "Port", "444"), "a.example", "https", "444"},
		{"the port header beats the host's", "gw", false, said("Host", "a.example:444", "Proto", "https", "Port", "445"), "a.example:444", "https", "445"},
		{"host alone", "10.0.0.1:8000", false, said("Host", "a.example"), "a.example", "http", "80"},
		{"host alone, over TLS", "10.0.0.1:8000", true, said("Host", "a.example"), "a.example", "https", "443"},
		{"port alone is no statement", "a.example", true, said("Port", "80"), "a.example", "https", "443"},

		{"lists: the outermost is first", "gw", false, said("Host", "a.example, b.internal", "Proto", "https, http", "Port", "443, 80"), "a.example", "https", "443"},
		{"lists in several lines", "gw", false, said("Proto", "https", "Proto", "http", "Host", "a.example", "Host", "b.internal"), "a.example", "https", "443"},
		{"lists with gaps", "gw", false, said("Proto", " , ,https,http", "Host", ",a.example"), "a.example", "https", "443"},
		{"capitals", "gw", false, said("Proto", "HTTPS"), "gw", "https", "443"},
		{"a WebSocket's scheme", "gw", false, said("Proto", "wss"), "gw", "https", "443"},
		{"a WebSocket's scheme, plain", "gw", true, said("Proto", "ws"), "gw", "http", "80"},

		{"malformed proto", "a.example", false, said("Proto", "gopher"), "a.example", "http", "80"},
		{"malformed proto, then a good one", "a.example", false, said("Proto", "gopher, https"), "a.example", "https", "443"},
		{"malformed host", "a.example", false, said("Host", "a b", "Proto", "https"), "a.example", "https", "443"},
		{"a URL for a host", "a.example", false, said("Host", "https://b.example/x"), "a.example", "http", "80"},
		{"a host with a malformed port", "a.example", false, said("Host", "b.example:99999"), "a.example", "http", "80"},
		{"malformed ports", "gw", false, said("Proto", "https", "Port", "x, 0, -1, 65536, 70000000000000000000"), "gw", "https", "443"},
		{"a port after malformed ones", "gw", false, said("Proto", "https", "Port", "x,08443"), "gw", "https", "8443"},
		{"empty values", "a.example", true, said("Proto", "", "Host", "", "Port", ""), "a.example", "https", "443"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := &http.Request{Host: tt.host, Header: tt.said, RemoteAddr: "10.0.0.9:4711"}
			if tt.tls {
				in.TLS = new(tls.ConnectionState)
			}
			out := tt.said.Clone()
			if out == nil {
				out = make(http.Header)
			}
			host := SetHeaders(out, in, true)
			if host != tt.wantHost || out.Get("X-Forwarded-Host") != tt.wantHost {
				t.Errorf("contract 1.8: Host %q, X-Forwarded-Host %q, want %q", host, out.Get("X-Forwarded-Host"), tt.wantHost)
			}
			got := []string{out.Get("X-Forwarded-Proto"), out.Get("X-Forwarded-Port"), out.Get("X-Forwarded-Prefix"), out.Get("X-Forwarded-For")}
			if want := []string{tt.wantProto, tt.wantPort, "/functions/v1", "10.0.0.9"}; !slices.Equal(got, want) {
				t.Errorf("contract 1.8: proto, port, prefix, for are %q, want %q", got, want)
			}
			for name, values := range out {
				if len(values) != 1 {
					t.Errorf("contract 1.8: %s has %d values", name, len(values))
				}
			}
			if tt.said == nil {
				return
			}
			// From a stranger it is as if nothing was said.
			stranger, plain := tt.said.Clone(), make(http.Header)
			SetHeaders(stranger, in, false)
			in.Header = nil
			if SetHeaders(plain, in, false); !maps.EqualFunc(stranger, plain, slices.Equal) {
				t.Errorf("contract 1.8: a stranger's %v became %v", tt.said, stranger)
			}
		})
	}
}

// said makes X-Forwarded headers of names and values.
func said(pairs ...string) http.Header {
	header := make(http.Header)
	for i := 0; i < len(pairs); i += 2 {
		header.Add("X-Forwarded-"+pairs[i], pairs[i+1])
	}
	return header
}

// Contract 1.8: X-Forwarded-For gets a peer only where the peer has an IP.
func TestForwardedFor(t *testing.T) {
	tests := []struct {
		name, peer string
		trusted    bool
		chain      []string
		want       string
	}{
		{"a stranger", "192.0.2.1:99", false, nil, "192.0.2.1"},
		{"a stranger's chain", "192.0.2.1:99", false, []string{"6.6.6.6"}, "192.0.2.1"},
		{"a proxy without a chain", "10.0.0.1:99", true, nil, "10.0.0.1"},
		{"a proxy with a chain", "10.0.0.1:99", true, []string{"192.0.2.1, 10.0.0.2"}, "192.0.2.1, 10.0.0.2, 10.0.0.1"},
		{"a chain in two lines", "10.0.0.1:99", true, []string{"192.0.2.1", " 10.0.0.2 ", ""}, "192.0.2.1, 10.0.0.2, 10.0.0.1"},
		{"IPv6", "[2001:db8::1]:99", false, nil, "2001:db8::1"},
		{"IPv6 with a zone", "[fe80::1%eth0]:99", false, nil, "fe80::1"},
		{"IPv4 in IPv6", "[::ffff:192.0.2.1]:99", false, nil, "192.0.2.1"},
		{"a Unix socket", "@", false, nil, ""},
		{"a Unix socket and a stranger's chain", "@", false, []string{"6.6.6.6"}, ""},
		{"a trusted Unix socket", "@", true, []string{"192.0.2.1"}, "192.0.2.1"},
		{"a trusted Unix socket without a chain", "@", true, nil, ""},
		{"a named Unix socket", "/run/client.sock", true, []string{"192.0.2.1"}, "192.0.2.1"},
		{"nothing", "", false, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := &http.Request{RemoteAddr: tt.peer, Header: http.Header{"X-Forwarded-For": tt.chain}}
			out := in.Header.Clone()
			SetHeaders(out, in, tt.trusted)
			want := []string{tt.want}
			if tt.want == "" {
				want = nil
			}
			if got := out["X-Forwarded-For"]; !slices.Equal(got, want) {
				t.Errorf("contract 1.8: got %q, want %q", got, want)
			}
		})
	}
}

// Contract 1.8: which headers nobody may set, and which only a trusted proxy.
func TestForgedHeaders(t *testing.T) {
	never := []string{
		"Sb-Api-Key", "Sb-Request-Id", "Sb-Project-Ref", "Sb-Anything", "X-Sb-Edge-Region", "X-Sb-Replay", "X-Sb-Replay-Count",
		"X-Sb-Debug", "Sb_Api_Key", "X_Sb_Edge_Region", "X-Sb_Replay",
	}
	byProxies := []string{
		"X-Forwarded-Server", "X-Forwarded-Scheme", "X-Forwarded", "Forwarded", "X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip",
		"True-Client-Ip", "Cf-Connecting-Ip", "Cf-Connecting-Ipv6", "Cf-Ipcountry", "Cf-Ipcity", "Fastly-Client-Ip", "X-Original-Url",
		"X-Original-Forwarded-For", "X-Rewrite-Url", "Proxy", "X_Real_Ip", "X_Forwarded-For", "X-Original_Url",
	}
	passing := []string{
		"Authorization", "Apikey", "X-Region", "X-Client-Info", "Sbx", "X-Sbx", "X-Sb", "X-Real", "X-Client", "Proxying", "Forwarded-For",
		"Cf-Ray", "X-Originally", "X-Rewrite", "True-Client", "Content-Type", "X-Request-Id",
	}
	for _, trusted := range []bool{false, true} {
		in := &http.Request{Host: "a.example", RemoteAddr: "192.0.2.1:1", Header: make(http.Header)}
		for _, names := range [][]string{never, byProxies, passing} {
			for _, name := range names {
				for _, spelling := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
					in.Header[spelling] = []string{"forged"}
				}
			}
		}
		out := in.Header.Clone()
		SetHeaders(out, in, trusted)
		check := func(names []string, stays bool) {
			for _, name := range names {
				for _, spelling := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
					if _, there := out[spelling]; there != stays {
						t.Errorf("contract 1.8: trusted %v: %s is there: %v, want %v", trusted, spelling, there, stays)
					}
				}
			}
		}
		check(never, false)
		check(byProxies, trusted)
		check(passing, true)
	}
}
