package handover

import (
	"testing"

	"github.com/caddyserver/caddy/v2"
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
	} {
		if got := ListensOn(tc.listens, tc.address); got != tc.want {
			t.Errorf("%s with %v: %t, want %t", tc.address, tc.listens, got, tc.want)
		}
	}
}
