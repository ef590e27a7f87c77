package handover

import (
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// An address of this machine belongs to a listener on all addresses, or on that one.
func TestListensOn(t *testing.T) {
	parse := func(text string) caddy.NetworkAddress {
		address, err := caddy.ParseNetworkAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		return address
	}
	wild, one := parse(":8000-8001"), parse("10.0.0.5:9000")
	for _, tc := range []struct {
		listens []caddy.NetworkAddress
		address string
		want    bool
	}{
		{[]caddy.NetworkAddress{wild}, "127.0.0.1:8000", true},
		{[]caddy.NetworkAddress{wild}, "127.9.9.9:8001", true},
		{[]caddy.NetworkAddress{wild}, "[::1]:8000", true},
		{[]caddy.NetworkAddress{wild}, "localhost:8000", true},
		{[]caddy.NetworkAddress{wild}, "127.0.0.1:8002", false},
		{[]caddy.NetworkAddress{wild}, "192.0.2.1:8000", false},
		{[]caddy.NetworkAddress{wild}, "runtime:8000", false},
		{[]caddy.NetworkAddress{parse("0.0.0.0:8000")}, "127.0.0.1:8000", true},
		{[]caddy.NetworkAddress{one}, "10.0.0.5:9000", true},
		{[]caddy.NetworkAddress{one}, "127.0.0.1:9000", false},
		{[]caddy.NetworkAddress{parse("unix//run/x.sock")}, "127.0.0.1:8000", false},
		{nil, "127.0.0.1:8000", false},
		{[]caddy.NetworkAddress{parse("unix//run/x.sock|0200")}, "/run/x.sock", true},
		{[]caddy.NetworkAddress{parse("unix//run/x.sock")}, "/run/y.sock", false},
	} {
		if got := listensOn(tc.listens, tc.address); got != tc.want {
			t.Errorf("%s with %v: %t, want %t", tc.address, tc.listens, got, tc.want)
		}
	}
}

// What Caddy has open is known by each address that leads there, and by no other.
func TestOpened(t *testing.T) {
	for text, addresses := range map[string][]string{
		"127.0.0.1:0": {"127.0.0.1:"},
		"localhost:0": {"127.0.0.1:", "localhost:"},
		":0":          {"127.0.0.1:", "127.3.4.5:", "[::1]:", "localhost:"},
		"unix/" + filepath.Join(t.TempDir(), "admin.sock") + "|0200": {},
	} {
		address, err := caddy.ParseNetworkAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		if !address.IsUnixNetwork() { // Caddy's key is the port that was asked for
			free, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			port := free.Addr().(*net.TCPAddr).Port
			_ = free.Close()
			address.StartPort, address.EndPort = uint(port), uint(port) // #nosec G115 -- a port
			for i := range addresses {
				addresses[i] += strconv.Itoa(port)
			}
		} else {
			file, _, _ := strings.Cut(address.Host, "|")
			addresses = append(addresses, file)
		}
		for _, a := range addresses {
			if opened(a) {
				t.Errorf("%s is open before %s is", a, text)
			}
		}
		listener, err := address.Listen(t.Context(), 0, net.ListenConfig{})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range addresses {
			if !opened(a) {
				t.Errorf("%s is not taken for %s", a, text)
			}
		}
		if opened("192.0.2.1:" + strconv.Itoa(int(address.StartPort))) { // #nosec G115 -- a port
			t.Errorf("an address of another machine is taken for %s", text)
		}
		if err := listener.(interface{ Close() error }).Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// No backend can be where calls would come back, nor where there is no site. Another site of the process can be one.
func TestOwnAddresses(t *testing.T) {
	admin, err := caddy.ParseNetworkAddress("unix/" + filepath.Join(t.TempDir(), "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := admin.Listen(t.Context(), 0, net.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.(interface{ Close() error }).Close() }()
	gateway, other := &caddyhttp.Server{Listen: []string{":8000"}}, &caddyhttp.Server{Listen: []string{":8001"}}
	own := OwnAddresses([]*caddyhttp.Server{gateway}, []*caddyhttp.Server{gateway, other})
	for address, want := range map[string]bool{"127.0.0.1:8000": true, "127.0.0.1:8001": false, "127.0.0.1:8002": false, admin.Host: true} {
		if own(address) != want {
			t.Errorf("%s: %t", address, !want)
		}
	}
	if !OwnAddresses([]*caddyhttp.Server{{Listen: []string{admin.String()}}}, nil)(admin.Host) || OwnAddresses(nil, []*caddyhttp.Server{{Listen: []string{admin.String()}}})(admin.Host) {
		t.Error("the socket of a site is not told from others")
	}
}
