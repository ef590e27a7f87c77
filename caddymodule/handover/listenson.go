package handover

import (
	"net"
	"net/netip"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// OwnAddresses returns a function that reports whether an address, HOST:PORT or the
// absolute path of a unix socket, is one of this process on which no backend can be: that
// of one of the gateway's servers, to which calls would come back, or one that Caddy has
// open and that is of none of all its servers, such as that of the admin API, which
// callers must not reach.
func OwnAddresses(gateway, all []*caddyhttp.Server) func(address string) bool {
	own, known := listenersOf(gateway), listenersOf(all)
	return func(address string) bool {
		return listensOn(own, address) || opened(address) && !listensOn(known, address)
	}
}

func listenersOf(servers []*caddyhttp.Server) (all []caddy.NetworkAddress) {
	for _, s := range servers {
		for _, text := range s.Listen {
			// The HTTP app has checked them.
			if address, err := caddy.ParseNetworkAddress(text); err == nil {
				all = append(all, address)
			}
		}
	}
	return all
}

// listensOn reports whether an address, HOST:PORT of this machine or the absolute path of
// a unix socket, is one that one of the listeners has. Names other than localhost are not
// looked up.
func listensOn(listens []caddy.NetworkAddress, address string) bool {
	if path.IsAbs(address) {
		return slices.ContainsFunc(listens, func(l caddy.NetworkAddress) bool {
			return l.IsUnixNetwork() && socketPath(l.Host) == address
		})
	}
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

// opened reports whether an address as of listensOn leads to a listener that Caddy has
// open in this process, whatever for: a site, the admin API, or another app.
func opened(address string) bool {
	if path.IsAbs(address) {
		return caddy.ListenerUsage("unix", address) > 0
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	used := func(host string) bool {
		return caddy.ListenerUsage("tcp", net.JoinHostPort(host, port)) > 0
	}
	if used(host) {
		return true
	}
	if !slices.ContainsFunc([]string{"", "0.0.0.0", "::", "localhost", machine()}, used) {
		return false
	}
	return isLocal(host)
}

// machine returns the name of this machine, which a listener may be given by.
func machine() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// socketPath returns the path of a unix socket without the permissions that may follow it.
func socketPath(host string) string {
	file, _, _ := strings.Cut(host, "|")
	return file
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
