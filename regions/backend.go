package regions

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// backendForms are the accepted forms, which end every error of ParseBackend.
const backendForms = "want http://HOST[:PORT], https://HOST[:PORT], h2c://HOST[:PORT], unix//PATH or unix+h2c//PATH"

// maxSocketPath is the longest path in bytes that fits into sockaddr_un on Linux
// with its NUL.
const maxSocketPath = 107

// Backend is one runtime server of a region.
type Backend struct {
	// Address is the backend as it was configured. It identifies the backend
	// in logs and status; clients never see it.
	Address string
	// Scheme is http or https. Over a unix socket it is http.
	Scheme string
	// H2C says that the backend speaks HTTP/2 without TLS, and nothing else.
	H2C bool
	// Network is tcp or unix.
	Network string
	// DialAddress is host:port, the port always there and IPv6 addresses in
	// brackets, or the path of the socket.
	DialAddress string
	// Host goes into URL.Host: the configured host in lower case, with the port
	// if one was given. For a socket it is a made-up name that differs for every
	// path, since http.Transport keys its pools by it.
	Host string
}

// Key identifies the state of the backend in its region: what it connects to, and for
// https the name that its certificate must be for.
func (b Backend) Key() string {
	scheme, name := b.Scheme, ""
	if b.H2C {
		scheme = "h2c"
	}
	if scheme == "https" {
		name = " " + b.Host
	}
	return scheme + " " + b.Network + " " + b.DialAddress + name
}

// DNSName returns the host and the port of a backend that is found by DNS. It is
// false for IP addresses and sockets, and for localhost, which every machine knows by
// itself.
func (b Backend) DNSName() (host, port string, ok bool) {
	if b.Network != "tcp" {
		return "", "", false
	}
	host, port, err := net.SplitHostPort(b.DialAddress)
	if local := strings.TrimSuffix(host, "."); err != nil || local == "localhost" || strings.HasSuffix(local, ".localhost") {
		return "", "", false
	}
	_, err = netip.ParseAddr(host)
	return host, port, err != nil
}

// ParseBackend parses the address of a backend: http://HOST[:PORT],
// https://HOST[:PORT], or h2c://HOST[:PORT] for HTTP/2 without TLS, with a DNS
// name or an IP address (IPv6 in brackets), the port 80 or 443 by default, or
// unix//PATH (unix+h2c//PATH) for the socket at the absolute path /PATH, as
// Caddy writes it. A path, query, fragment or user
// info is refused: nothing of it would be used. The error says what is allowed
// and never repeats an address that may contain a password.
func ParseBackend(address string) (Backend, error) {
	if address == "" {
		return Backend{}, fmt.Errorf("backend address is empty: %s", backendForms)
	}
	if network, path, ok := strings.Cut(address, "/"); ok {
		switch strings.ToLower(network) {
		case "unix":
			return parseSocket(address, path, false)
		case "unix+h2c":
			return parseSocket(address, path, true)
		}
	}
	// Before anything that quotes the address.
	if strings.Contains(address, "@") {
		return Backend{}, fmt.Errorf("backend address has user info (something before an @), which is not sent: %s", backendForms)
	}
	fail := func(format string, args ...any) (Backend, error) {
		return Backend{}, fmt.Errorf("backend %q: %s: %s", address, fmt.Sprintf(format, args...), backendForms)
	}
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		if _, err := parseAuthority(address, "80"); err == nil {
			return fail("the scheme is missing, as in http://%s", address)
		}
		return fail("the scheme is missing")
	}
	backend := Backend{Address: address, Scheme: strings.ToLower(scheme), Network: "tcp"}
	var port string
	switch backend.Scheme {
	case "http":
		port = "80"
	case "https":
		port = "443"
	case "h2c":
		port, backend.Scheme, backend.H2C = "80", "http", true
	default:
		return fail("scheme %q is not supported", scheme)
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		part := map[byte]string{'/': "path", '?': "query", '#': "fragment"}[rest[i]]
		return fail("a %s (%q) is not allowed, the gateway sets the URL", part, rest[i:])
	}
	authority, err := parseAuthority(rest, port)
	if err != nil {
		return fail("%v", err)
	}
	backend.DialAddress = net.JoinHostPort(authority.host, authority.port)
	backend.Host = backend.DialAddress
	if authority.implied {
		backend.Host = strings.TrimSuffix(backend.DialAddress, ":"+authority.port)
	}
	return backend, nil
}

// parseSocket handles unix/PATH; path follows the slash.
func parseSocket(address, path string, h2c bool) (Backend, error) {
	fail := func(problem string) (Backend, error) {
		return Backend{}, fmt.Errorf("backend %q: %s: %s", address, problem, backendForms)
	}
	switch {
	case !strings.HasPrefix(path, "/"):
		return fail("the socket's path is not absolute, as in unix//run/edge.sock")
	case strings.HasSuffix(path, "/"):
		return fail("the socket's path is a directory")
	case len(path) > maxSocketPath:
		return fail(fmt.Sprintf("the socket's path has %d bytes, %d are possible", len(path), maxSocketPath))
	case strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fail("the socket's path has a control character")
	}
	sum := sha256.Sum256([]byte(path))
	return Backend{
		Address:     address,
		Scheme:      "http",
		H2C:         h2c,
		Network:     "unix",
		DialAddress: path,
		Host:        "unix-" + hex.EncodeToString(sum[:8]),
	}, nil
}

// authority is a host without brackets and a port, which is implied if it was
// not written.
type authority struct {
	host, port string
	implied    bool
}

func parseAuthority(s, defaultPort string) (authority, error) {
	var (
		host, port    string
		hasPort, ipv6 bool
	)
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return authority{}, errors.New("the [ of an IPv6 address is not closed")
		}
		host, ipv6 = s[1:end], true
		if after := s[end+1:]; after != "" {
			if port, hasPort = strings.CutPrefix(after, ":"); !hasPort {
				return authority{}, fmt.Errorf("%q after the IPv6 address is no port", after)
			}
		}
	} else {
		if strings.Count(s, ":") > 1 {
			return authority{}, errors.New("an IPv6 address needs brackets, as in [::1]:9000")
		}
		host, port, hasPort = strings.Cut(s, ":")
	}
	host, err := parseHost(host, ipv6)
	if err != nil {
		return authority{}, err
	}
	if !hasPort {
		return authority{host: host, port: defaultPort, implied: true}, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return authority{}, fmt.Errorf("port %q is not a number from 1 to 65535", port)
	}
	return authority{host: host, port: strconv.FormatUint(n, 10)}, nil
}

// parseHost returns a DNS name in lower case, or an IP address in its
// canonical text form.
func parseHost(host string, ipv6 bool) (string, error) {
	if host == "" {
		return "", errors.New("the host is missing")
	}
	if ipv6 {
		// RFC 6874 writes a zone's % as %25.
		addr, err := netip.ParseAddr(strings.Replace(host, "%25", "%", 1))
		if err != nil || !addr.Is6() {
			return "", fmt.Errorf("%q is no IPv6 address", host)
		}
		for _, c := range []byte(addr.Zone()) {
			if !nameByte(c) && c != '.' {
				return "", fmt.Errorf("the zone of %q has characters other than letters, digits and . - _", host)
			}
		}
		return addr.String(), nil
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.String(), nil
	}
	if len(host) > 253 {
		return "", errors.New("the host has more than 253 bytes")
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 {
			return "", fmt.Errorf("host %q has an empty label or one of more than 63 bytes", host)
		}
		for _, c := range []byte(label) {
			if !nameByte(c) {
				return "", fmt.Errorf("host %q has characters other than letters, digits and . - _", host)
			}
		}
	}
	// No top-level domain is a number: this was meant as an IPv4 address.
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		return "", fmt.Errorf("%q is no IPv4 address", host)
	}
	return strings.ToLower(host), nil
}

// nameByte says whether c may be in a region's name or in a label of a host.
func nameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
