package jwks

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// errPrivateAddress is the failure of a set whose host has an address that
// tenants must not make the gateway call.
var errPrivateAddress = errors.New("its address is not one of the internet (loopback, private, link-local or reserved); the global option `jwks_private on` allows it")

// reserved are the ranges that netip does not know as private, loopback,
// link-local, multicast or unspecified, and that are no public services either.
var reserved = prefixes(
	"0.0.0.0/8",                                                                       // this network
	"100.64.0.0/10",                                                                   // between carriers and their customers; a cloud's metadata at 100.100.100.200
	"168.63.129.16/32",                                                                // what a cloud's machines ask about themselves
	"192.0.0.0/24",                                                                    // protocol assignments; a cloud's metadata at 192.0.0.192
	"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20", // documentation
	"192.88.99.0/24", // relays of 6to4
	"198.18.0.0/15",  // benchmarks
	"240.0.0.0/4",    // reserved, broadcast
	"::/96",          // IPv4 addresses, as they are not written any more
	"64:ff9b:1::/48", // NAT64 of a network's own
	"100::/64",       // discarded
	"2001::/32",      // Teredo
	"2001:10::/28",   // ORCHID
	"2001:20::/28",   // ORCHID
	"fec0::/10",      // site-local
	"5f00::/16",      // segment routing
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

var (
	nat64   = netip.MustParsePrefix("64:ff9b::/96") // an IPv4 address in the last four bytes
	sixToIV = netip.MustParsePrefix("2002::/16")    // an IPv4 address in bytes 2 to 5
)

// onInternet reports whether an address may be a service of the internet. One
// that has an IPv4 address in it is as public as that.
func onInternet(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	if !addr.IsGlobalUnicast() || addr.IsPrivate() || addr.IsLoopback() {
		return false
	}
	bytes := addr.As16()
	switch {
	case nat64.Contains(addr):
		return onInternet(netip.AddrFrom4([4]byte(bytes[12:])))
	case sixToIV.Contains(addr):
		return onInternet(netip.AddrFrom4([4]byte(bytes[2:6])))
	}
	for _, prefix := range reserved {
		if prefix.Contains(addr) {
			return false
		}
	}
	return true
}

// guardedDial dials addresses of the internet alone. It judges what the system is
// about to connect to: after DNS, which may answer otherwise the second time, and
// for each redirect.
func guardedDial(dialer net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	dialer.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
		target, err := netip.ParseAddrPort(address)
		if err != nil || !onInternet(target.Addr()) {
			return errPrivateAddress
		}
		return nil
	}
	return dialer.DialContext
}
