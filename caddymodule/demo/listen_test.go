package demo

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/caddymodule/cli"
)

func TestParseListen(t *testing.T) {
	for _, c := range []struct {
		in   string
		host string
		port int
		url  string
	}{
		{"localhost:8000", "localhost", 8000, "http://localhost:8000"},
		{":8000", "", 8000, "http://localhost:8000"},
		{"9000", "localhost", 9000, "http://localhost:9000"},
		{"127.0.0.1:9000", "127.0.0.1", 9000, "http://127.0.0.1:9000"},
		{"0.0.0.0:9000", "0.0.0.0", 9000, "http://localhost:9000"},
		{"[::1]:9000", "::1", 9000, "http://[::1]:9000"},
		{"[::]:9000", "::", 9000, "http://localhost:9000"},
		{"my-host.lan:80", "my-host.lan", 80, "http://my-host.lan:80"},
	} {
		t.Run(c.in, func(t *testing.T) {
			got, err := parseListen(c.in)
			if err != nil {
				t.Fatal(err)
			}
			if got.host != c.host || got.port != c.port || got.url() != c.url {
				t.Errorf("got %+v, %s", got, got.url())
			}
		})
	}
}

func TestParseListenRefuses(t *testing.T) {
	for _, in := range []string{
		"", "localhost", ":", "localhost:", "65536", "-1", ":http", "1:2:3", "http://localhost:8000", "localhost:8000/x",
		"a b:80", "a{b}:80", "a\nb:80", "-a:80", "[::1", "[fe80::1%lo }]:80", "[]:80x",
	} {
		t.Run(in, func(t *testing.T) {
			_, err := parseListen(in)
			var p *cli.UsageError
			if !errors.As(err, &p) {
				t.Fatalf("got %v, want a usage error", err)
			}
			if !strings.Contains(p.Msg, strconv.Quote(in)) || p.Hint == "" {
				t.Errorf("unclear: %q, hint %q", p.Msg, p.Hint)
			}
		})
	}
}

func TestProbePortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	for _, host := range []string{"127.0.0.1", "localhost"} {
		_, err := listenAddress{host: host, port: port}.probe()
		var p *cli.FailureError
		if !errors.As(err, &p) || !strings.Contains(p.Msg, "in use") || !strings.Contains(p.Hint, "--listen") {
			t.Errorf("%s: got %v", host, err)
		}
	}
}

func TestProbeForeignAddress(t *testing.T) {
	_, err := listenAddress{host: "192.0.2.1", port: 8000}.probe() // TEST-NET-1 is nobody's
	var p *cli.UsageError
	if !errors.As(err, &p) || !strings.Contains(p.Msg, "192.0.2.1:8000 is not an address of this machine") {
		t.Errorf("got %v", err)
	}
}

func TestProbeFindsPortZeroAndBinds(t *testing.T) {
	a, err := listenAddress{host: "localhost"}.probe()
	if err != nil {
		t.Fatal(err)
	}
	if a.port == 0 || len(a.bind) == 0 || a.bind[0] != "127.0.0.1" {
		t.Errorf("got %+v", a)
	}
	all, err := listenAddress{}.probe()
	if err != nil || all.port == 0 || all.bind != nil {
		t.Errorf("every interface: %+v, %v", all, err)
	}
}

func TestAdminAddress(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	busy := taken.Addr().String()
	for _, preferred := range []string{busy, "unix//run/admin.sock"} {
		got, err := adminAddress(preferred)
		if err != nil || got == preferred || !strings.HasPrefix(got, "127.0.0.1:") {
			t.Errorf("%s: got %s, %v", preferred, got, err)
		}
	}
	_ = taken.Close()
	if got, err := adminAddress(busy); err != nil || got != busy {
		t.Errorf("free preferred address not taken: %s, %v", got, err)
	}
}

func FuzzParseListen(f *testing.F) {
	for _, seed := range []string{"localhost:8000", ":1", "9", "[::1]:9", "[fe80::1%a]:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseListen(s)
		if err == nil && strings.ContainsAny(a.host, " \t\r\n{}\"`#") {
			t.Errorf("%q would break out of a Caddyfile", a.host)
		}
	})
}
