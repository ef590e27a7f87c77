package cors

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// parseOrigin checks a configured origin and returns it as browsers send it: in
// lower case and without the scheme's default port (RFC 6454 section 6.2). An
// entry that no browser could ever send is refused, it would never match.
func parseOrigin(origin string) (string, error) {
	switch {
	case origin == "":
		return "", errors.New("it is empty: write scheme://host[:port]")
	case strings.EqualFold(origin, "null"):
		return "", errors.New("any sandboxed page can claim it: list the real origins, or use *")
	}
	for i := range len(origin) {
		if c := origin[i]; c <= ' ' || c == 0x7f {
			return "", errors.New("it contains white space or control characters: write one origin an entry")
		} else if c > 0x7f {
			return "", errors.New("it contains characters outside ASCII: write the host in its xn-- form")
		}
	}
	scheme, rest, ok := strings.Cut(strings.ToLower(origin), "://")
	if !ok {
		return "", fmt.Errorf("it has no scheme: write https://%s", origin)
	}
	if !isScheme(scheme) {
		return "", errors.New("the scheme is not valid: write https://host or http://host")
	}
	switch host, tail, cut := cutAny(rest, "/?#"); {
	case tail == "/":
		return "", fmt.Errorf("it ends in a slash: write %s://%s", scheme, host)
	case cut:
		return "", fmt.Errorf("it has a path or query: write %s://%s", scheme, host)
	case strings.Contains(host, "@"):
		return "", errors.New("it has a user name: write scheme://host[:port]")
	case strings.Contains(host, "*"):
		return "", errors.New("wildcards inside an origin are not supported: list each host, or use * alone")
	}
	host, port, err := splitPort(rest)
	if err != nil {
		return "", err
	}
	if port == "" || scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		return scheme + "://" + host, nil
	}
	return scheme + "://" + host + ":" + port, nil
}

// splitPort takes apart host[:port] and checks both.
func splitPort(hostport string) (host, port string, err error) {
	host = hostport
	if i := strings.LastIndexByte(hostport, ':'); i >= 0 && i > strings.LastIndexByte(hostport, ']') {
		host, port = hostport[:i], hostport[i+1:]
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil || number == 0 || port[0] == '0' {
			return "", "", errors.New("the port is not a number from 1 to 65535")
		}
	}
	if inner, bracketed := strings.CutPrefix(host, "["); bracketed {
		address, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !address.Is6() || address.Zone() != "" || !strings.HasSuffix(host, "]") {
			return "", "", errors.New("the host is not an IPv6 address in brackets")
		}
		return "[" + address.String() + "]", port, nil
	}
	if host == "" {
		return "", "", errors.New("it has no host: write scheme://host[:port]")
	}
	for i := range len(host) {
		c := host[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_') {
			return "", "", fmt.Errorf("the host contains %q: write scheme://host[:port]", c)
		}
	}
	return host, port, nil
}

// cutAny is strings.Cut at the first of several characters, which stays in tail.
func cutAny(s, chars string) (head, tail string, cut bool) {
	if i := strings.IndexAny(s, chars); i >= 0 {
		return s[:i], s[i:], true
	}
	return s, "", false
}

// isScheme follows RFC 3986 section 3.1, in lower case. Schemes of apps, such as
// capacitor or chrome-extension, are origins like any other.
func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || !('0' <= c && c <= '9' || c == '+' || c == '-' || c == '.')) {
			return false
		}
	}
	return s != ""
}
