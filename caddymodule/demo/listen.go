package demo

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/edgegate/edgegate/caddymodule/cli"
)

// listenAddress is the gateway's address. An empty host means every interface.
type listenAddress struct {
	host string
	port int
	// bind are the addresses to listen on, set by probe; empty means every interface.
	bind []string
}

// hostName is deliberately narrow: the host ends up in a Caddyfile.
var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?$`)

// parseListen reads `host:port`, `:port` or `port`. Port 0 asks for a free one. Anything else is a *cli.UsageError.
func parseListen(s string) (listenAddress, error) {
	bad := func(why string) (listenAddress, error) {
		return listenAddress{}, &cli.UsageError{
			Msg:  fmt.Sprintf("--listen %q: %s", s, why),
			Hint: "use host:port, :port or port, e.g. --listen localhost:9000",
		}
	}
	host, port := "localhost", s
	if strings.ContainsAny(s, ":[]") {
		var err error
		if host, port, err = net.SplitHostPort(s); err != nil {
			if ae, ok := errors.AsType[*net.AddrError](err); ok {
				return bad(ae.Err)
			}
			return bad(err.Error())
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return bad(fmt.Sprintf("%q is not a port between 0 and 65535", port))
	}
	if ip, err := netip.ParseAddr(host); host != "" && (err != nil || ip.Zone() != "") && !hostName.MatchString(host) {
		return bad(fmt.Sprintf("%q is neither a host name nor an address", host))
	}
	return listenAddress{host: host, port: int(n)}, nil
}

// probe listens on the address for a moment, so that a taken port is one clear line instead of an error out of a half-started server.
// (Caddy itself sets SO_REUSEPORT and could even succeed beside another Caddy.) `localhost` means both loopback addresses: a program on
// [::1] would otherwise get what curl sends to localhost. A port of 0 becomes the port that was found.
func (a listenAddress) probe() (listenAddress, error) {
	hosts := []string{a.host}
	if a.host == "localhost" {
		hosts = []string{"127.0.0.1", "::1"}
	}
	for i, host := range hosts {
		ln, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(a.port)))
		if err != nil {
			if i > 0 && !errors.Is(err, syscall.EADDRINUSE) {
				continue // no IPv6 on this machine
			}
			return a, a.refused(err)
		}
		if a.port == 0 {
			a.port = ln.Addr().(*net.TCPAddr).Port
		}
		_ = ln.Close()
		if host != "" {
			a.bind = append(a.bind, host)
		}
	}
	return a, nil
}

func (a listenAddress) refused(err error) error {
	where := net.JoinHostPort(a.host, strconv.Itoa(a.port))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return &cli.FailureError{
			Msg:  fmt.Sprintf("%s is in use by another program", where),
			Hint: fmt.Sprintf("stop it, or choose another port: edgegate demo --listen localhost:%d", nextPort(a.port)),
		}
	case errors.Is(err, syscall.EACCES):
		return &cli.FailureError{
			Msg:  fmt.Sprintf("no permission to listen on %s", where),
			Hint: "use a port above 1023: edgegate demo --listen localhost:8000",
		}
	}
	var dns *net.DNSError
	if errors.As(err, &dns) || errors.Is(err, syscall.EADDRNOTAVAIL) {
		return &cli.UsageError{
			Msg:  fmt.Sprintf("%s is not an address of this machine", where),
			Hint: "use localhost:8000, or :8000 for every interface",
		}
	}
	return &cli.FailureError{Msg: fmt.Sprintf("cannot listen on %s: %v", where, err), Hint: "choose another address with --listen"}
}

func nextPort(port int) int {
	if port >= 65535 {
		return 8000
	}
	return port + 1
}

// url is the gateway's address on this machine, without a trailing slash.
func (a listenAddress) url() string {
	host := a.host
	if ip, err := netip.ParseAddr(host); host == "" || (err == nil && ip.IsUnspecified()) {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(a.port))
}

// adminAddress returns preferred when nothing listens there, else a free loopback port. Preferred is what the other commands use when
// they are given no --address; when it is no TCP address (CADDY_ADMIN may name a socket), a free port is taken as well.
func adminAddress(preferred string) (string, error) {
	if _, _, err := net.SplitHostPort(preferred); err == nil {
		if ln, err := net.Listen("tcp", preferred); err == nil {
			return preferred, ln.Close()
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a port for the admin endpoint: %w", err)
	}
	return ln.Addr().String(), ln.Close()
}
