package projects

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// NormalizeHost returns host in the form that domains are compared in: lower
// case, without port and without the trailing dot. IPv6 literals lose their
// brackets. It allocates only when there is an upper-case letter.
func NormalizeHost(host string) string {
	if strings.HasPrefix(host, "[") {
		if end := strings.IndexByte(host, ']'); end > 0 {
			return strings.ToLower(host[1:end])
		}
		return ""
	}
	if i := strings.IndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i+1:], ':') < 0 {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// bareHost reports whether host is a name that NormalizeHost leaves as it is,
// case apart.
func bareHost(host string) bool {
	return host != "" && NormalizeHost(host) == strings.ToLower(host) && !strings.ContainsAny(host, "/*@ ")
}

// maxHost and maxLabel are the sizes of RFC 1035, section 2.3.4, in bytes.
const (
	maxHost  = 253
	maxLabel = 63
)

// ParseDomain returns an own host of a project in the form that requests are
// compared in: ASCII (RFC 5891, the profile for look-ups) and normalized. The
// error describes a valid domain; it does not repeat the given one.
func ParseDomain(domain string) (string, error) {
	if !bareHost(domain) {
		return "", errors.New("must be a bare host name, without scheme, port or wildcard")
	}
	if addr, err := netip.ParseAddr(domain); err == nil {
		return addr.String(), nil
	}
	host := NormalizeHost(domain)
	if !ascii(host) || strings.Contains(host, "xn--") {
		converted, err := idna.Lookup.ToASCII(host)
		if err != nil {
			return "", errors.New("is no valid international host name")
		}
		host = converted
	}
	if len(host) > maxHost {
		return "", fmt.Errorf("has %d characters, a host name has at most %d", len(host), maxHost)
	}
	for label := range strings.SplitSeq(host, ".") {
		if !validLabel(label) {
			return "", fmt.Errorf("%s: a part of a host name is 1 to %d letters, digits, _ and -, and neither starts nor ends with -", quoted(label), maxLabel)
		}
	}
	return host, nil
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func validLabel(label string) bool {
	for i := 0; i < len(label); i++ {
		c := label[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return label != "" && len(label) <= maxLabel && label[0] != '-' && label[len(label)-1] != '-'
}

// Match is the result of looking a host up.
type Match struct {
	Project *Project
	// Shared is true unless the host is one of the project's own
	// (contract 6.3, 6.4).
	Shared bool
	// HostForm is true for <ref>.functions.<apex>, where the first path
	// segment is the slug (contract 1.2).
	HostForm bool
}

// functionsLabel is the label between the ref and the apex in the host form.
const functionsLabel = ".functions"

// apexHost is a host below the apex, taken apart. The zero apexHost is any
// other host.
type apexHost struct {
	label    string // what is before the apex and, in the host form, before .functions
	hostForm bool
}

// cutApex takes a normalized host apart. suffix is the apex with a dot before
// it; "" when there is none.
func cutApex(host, suffix string) apexHost {
	if suffix == "" {
		return apexHost{}
	}
	label, ok := strings.CutSuffix(host, suffix)
	if !ok {
		return apexHost{}
	}
	before, hostForm := strings.CutSuffix(label, functionsLabel)
	return apexHost{label: before, hostForm: hostForm}
}

// apexSuffix checks an apex and returns the suffix of all hosts below it.
func apexSuffix(apex string) (string, error) {
	if apex == "" {
		return "", nil
	}
	host, err := ParseDomain(apex)
	if err != nil {
		return "", fmt.Errorf("apex %q: %w", apex, err)
	}
	return "." + host, nil
}
