package handover

import (
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/caddyserver/caddy/v2"
)

// ListensOn reports whether an address, HOST:PORT, is one of this machine that one of the
// listeners has. Names other than localhost are not looked up.
func ListensOn(listens []caddy.NetworkAddress, address string) bool {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return false
	}
	for _, l := range listens {
		if uint64(l.StartPort) > port || uint64(l.EndPort) < port || l.IsUnixNetwork() {
			continue
		}
		listener, _ := netip.ParseAddr(l.Host)
		if l.Host == host || (l.Host == "" || listener.IsUnspecified()) && isLocal(host) {
			return true
		}
	}
	return false
}

// isLocal reports whether a host is this machine by its address.
func isLocal(host string) bool {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host == "localhost"
	}
	if ip.IsLoopback() || ip.IsUnspecified() {
		return true
	}
	addresses, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(addresses, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Addr() == ip
	})
}
