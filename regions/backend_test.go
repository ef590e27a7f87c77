package regions

import (
	"net"
	"net/url"
	"strings"
	"testing"
)

func TestParseBackend(t *testing.T) {
	for _, tc := range []struct {
		address                     string
		scheme, network, dial, host string
	}{
		{"http://10.1.0.10:9000", "http", "tcp", "10.1.0.10:9000", "10.1.0.10:9000"},
		{"http://10.1.0.10", "http", "tcp", "10.1.0.10:80", "10.1.0.10"},
		{"https://edge.example.com", "https", "tcp", "edge.example.com:443", "edge.example.com"},
		{"https://edge.example.com:8443", "https", "tcp", "edge.example.com:8443", "edge.example.com:8443"},
		{"HTTP://Runtime_1.Local:080", "http", "tcp", "runtime_1.local:80", "runtime_1.local:80"},
		{"http://localhost:65535", "http", "tcp", "localhost:65535", "localhost:65535"},
		{"http://example.com.:1", "http", "tcp", "example.com.:1", "example.com.:1"},
		{"http://[::1]:9000", "http", "tcp", "[::1]:9000", "[::1]:9000"},
		{"https://[2001:DB8::1]", "https", "tcp", "[2001:db8::1]:443", "[2001:db8::1]"},
		{"http://[fe80::1%25eth0]:9000", "http", "tcp", "[fe80::1%eth0]:9000", "[fe80::1%eth0]:9000"},
		{"unix//run/edge.sock", "http", "unix", "/run/edge.sock", ""},
		{"unix//run/a b@c.sock", "http", "unix", "/run/a b@c.sock", ""},
	} {
		t.Run(tc.address, func(t *testing.T) {
			got, err := ParseBackend(tc.address)
			if err != nil {
				t.Fatal(err)
			}
			want := Backend{Address: tc.address, Scheme: tc.scheme, Network: tc.network, DialAddress: tc.dial, Host: tc.host}
			if tc.network == "unix" {
				want.Host = got.Host
			}
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// http.Transport keys its pools by URL.Host: two sockets that shared one would
// answer for each other.
func TestSocketsHaveDifferentHosts(t *testing.T) {
	hosts := make(map[string]string)
	for _, address := range []string{"unix//run/a.sock", "unix//run/b.sock", "unix//run/A.sock"} {
		b, err := ParseBackend(address)
		if err != nil {
			t.Fatal(err)
		}
		if other, twice := hosts[b.Host]; twice {
			t.Errorf("%s and %s share the host %s", address, other, b.Host)
		}
		hosts[b.Host] = address
		if u, err := url.Parse("http://" + b.Host + "/"); err != nil || u.Host != b.Host {
			t.Errorf("%s: host %q is not usable in a URL: %v", address, b.Host, err)
		}
	}
}

func TestParseBackendErrors(t *testing.T) {
	const forms = ": want http://HOST[:PORT], https://HOST[:PORT], h2c://HOST[:PORT], unix//PATH or unix+h2c//PATH"
	long := "unix//" + strings.Repeat("x", maxSocketPath)
	for _, tc := range []struct{ name, address, want string }{
		{"empty", "", `backend address is empty`},
		{"path", "http://h:9000/functions", `backend "http://h:9000/functions": a path ("/functions") is not allowed, the gateway sets the URL`},
		{"only a slash", "http://h/", `backend "http://h/": a path ("/") is not allowed, the gateway sets the URL`},
		{"query", "http://h?x=1", `backend "http://h?x=1": a query ("?x=1") is not allowed, the gateway sets the URL`},
		{"fragment", "http://h#x", `backend "http://h#x": a fragment ("#x") is not allowed, the gateway sets the URL`},
		{"user info", "http://user:hunter2@h", `backend address has user info (something before an @), which is not sent`},
		{"user info after a slash", "ftp://user:hunt/er2@h", `backend address has user info (something before an @), which is not sent`},
		{"h2c with path", "h2c://h:9000/x", `backend "h2c://h:9000/x": a path ("/x") is not allowed, the gateway sets the URL`},
		{"h2c over a relative socket", "unix+h2c/run/x.sock", `backend "unix+h2c/run/x.sock": the socket's path is not absolute, as in unix//run/edge.sock`},
		{"other scheme", "ftp://h", `backend "ftp://h": scheme "ftp" is not supported`},
		{"empty scheme", "://h", `backend "://h": scheme "" is not supported`},
		{"no scheme", "10.1.0.10:9000", `backend "10.1.0.10:9000": the scheme is missing, as in http://10.1.0.10:9000`},
		{"no scheme, no host", "/run/edge.sock", `backend "/run/edge.sock": the scheme is missing`},
		{"no host", "http://", `backend "http://": the host is missing`},
		{"only a port", "http://:9000", `backend "http://:9000": the host is missing`},
		{"empty port", "http://h:", `backend "http://h:": port "" is not a number from 1 to 65535`},
		{"port 0", "http://h:0", `backend "http://h:0": port "0" is not a number from 1 to 65535`},
		{"port too high", "http://h:65536", `backend "http://h:65536": port "65536" is not a number from 1 to 65535`},
		{"port with a sign", "http://h:+80", `backend "http://h:+80": port "+80" is not a number from 1 to 65535`},
		{"port name", "http://h:http", `backend "http://h:http": port "http" is not a number from 1 to 65535`},
		{"port range", "http://h:80-90", `backend "http://h:80-90": port "80-90" is not a number from 1 to 65535`},
		{"IPv6 without brackets", "http://::1", `backend "http://::1": an IPv6 address needs brackets, as in [::1]:9000`},
		{"IPv6 not closed", "http://[::1", `backend "http://[::1": the [ of an IPv6 address is not closed`},
		{"IPv6 and junk", "http://[::1]9000", `backend "http://[::1]9000": "9000" after the IPv6 address is no port`},
		{"IPv4 in brackets", "http://[10.0.0.1]", `backend "http://[10.0.0.1]": "10.0.0.1" is no IPv6 address`},
		{"strange zone", "http://[fe80::1%a b]", `backend "http://[fe80::1%a b]": the zone of "fe80::1%a b" has characters other than letters, digits and . - _`},
		{"wrong IPv4", "http://10.0.0.300", `backend "http://10.0.0.300": "10.0.0.300" is no IPv4 address`},
		{"empty label", "http://a..b", `backend "http://a..b": host "a..b" has an empty label or one of more than 63 bytes`},
		{"long host", "http://" + strings.Repeat("a.", 127) + "b", ""},
		{"placeholder", "http://{env.X}", `backend "http://{env.X}": host "{env.X}" has characters other than letters, digits and . - _`},
		{"not ASCII", "http://bücher.example", `backend "http://bücher.example": host "bücher.example" has characters other than letters, digits and . - _`},
		{"space", " http://h", `backend " http://h": scheme " http" is not supported`},
		{"relative socket", "unix/run/x.sock", `backend "unix/run/x.sock": the socket's path is not absolute, as in unix//run/edge.sock`},
		{"socket as a URL", "unix:///run/x.sock", `backend "unix:///run/x.sock": scheme "unix" is not supported`},
		{"no socket", "unix//", `backend "unix//": the socket's path is a directory`},
		{"socket with a NUL", "unix//run/\x00", `backend "unix//run/\x00": the socket's path has a control character`},
		{"long socket", long, `backend "` + long + `": the socket's path has 108 bytes, 107 are possible`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ParseBackend(tc.address)
			if err == nil {
				t.Fatal("no error")
			}
			if strings.Contains(err.Error(), "er2") {
				t.Errorf("the password is in the error: %v", err)
			}
			if tc.want == "" {
				tc.want = `backend "` + tc.address + `": the host has more than 253 bytes`
			}
			checkError(t, err, tc.want+forms)
		})
	}
}

func FuzzParseBackend(f *testing.F) {
	for _, seed := range []string{
		"http://10.1.0.10:9000", "https://h", "http://[::1]:1", "http://[fe80::1%25eth0]", "unix//run/x.sock",
		"h2c://h", "http://u:p@h", "http://h:0", "unix+h2c//x", "http://", "http://1.2.3", "//", "http://a/b?c#d",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		b, err := ParseBackend(address)
		if err != nil {
			if !strings.HasSuffix(err.Error(), backendForms) {
				t.Errorf("error doesn't say what is allowed: %v", err)
			}
			return
		}
		if b.Address != address || b.Host == "" {
			t.Errorf("%q: %+v", address, b)
		}
		switch b.Network {
		case "unix":
			if b.Scheme != "http" || !strings.HasPrefix(b.DialAddress, "/") {
				t.Errorf("%q: %+v", address, b)
			}
			return
		case "tcp":
		default:
			t.Fatalf("%q: network %q", address, b.Network)
		}
		if _, _, err := net.SplitHostPort(b.DialAddress); err != nil {
			t.Errorf("%q: dial address: %v", address, err)
		}
		if strings.ContainsAny(b.Host, "/?#@ \r\n\t") {
			t.Errorf("%q: host %q", address, b.Host)
		}
		// What the transport gets parses to the same server, but for the
		// encoding of zones.
		if !strings.Contains(b.Host, "%") {
			again, err := ParseBackend(b.Scheme + "://" + b.Host)
			if err != nil || again.DialAddress != b.DialAddress || again.Host != b.Host {
				t.Errorf("%q: again %+v, %v, first %+v", address, again, err, b)
			}
		}
	})
}

// TestDNSName: localhost is not looked up by DNS, however it is written.
func TestDNSName(t *testing.T) {
	for address, want := range map[string]string{
		"http://runtime:9000":       "runtime",
		"http://Runtime.:9000":      "runtime.",
		"http://notlocalhost.:9000": "notlocalhost.",
		"http://localhost:9000":     "",
		"http://LOCALHOST.:9000":    "",
		"http://a.Localhost.:9000":  "",
		"http://10.0.0.1:9000":      "",
		"unix//run/edge.sock":       "",
	} {
		b, err := ParseBackend(address)
		if err != nil {
			t.Fatal(err)
		}
		if host, _, ok := b.DNSName(); ok != (want != "") || ok && host != want {
			t.Errorf("%s: %q, %t, want %q", address, host, ok, want)
		}
	}
}
