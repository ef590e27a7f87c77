package projects

import (
	"fmt"
	"strings"
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

// Match is what a host says about a request.
type Match struct {
	Project *Project
	// Shared is true unless the host is one of the project's own
	// (BEHAVIOUR.md 6.3, 6.4).
	Shared bool
	// HostForm is true for <ref>.functions.<apex>, where the first path
	// segment is the slug (BEHAVIOUR.md 1.2).
	HostForm bool
}

// Single is the catalogue of single-project mode: one project answers on
// every host that the site admits.
type Single struct {
	project *Project
	own     map[string]bool
	suffix  string // ".functions.<apex>"; "" without an apex
}

// NewSingle returns the catalogue of the one project p. apex is the domain
// under which <ref>.functions.<apex> is the host form; "" means none.
func NewSingle(p *Project, apex string) (*Single, error) {
	s := &Single{project: p, own: make(map[string]bool, len(p.Domains))}
	for _, d := range p.Domains {
		s.own[d] = true
	}
	if apex != "" {
		if !bareHost(apex) {
			return nil, fmt.Errorf("apex %q: must be a bare host name, without scheme, port or wildcard", apex)
		}
		s.suffix = ".functions." + NormalizeHost(apex)
	}
	return s, nil
}

// Find returns the project for host. It always finds one: in single-project
// mode the site's address alone decides which hosts are answered.
func (s *Single) Find(host string) (Match, bool) {
	host = NormalizeHost(host)
	if s.own[host] {
		return Match{Project: s.project}, true
	}
	m := Match{Project: s.project, Shared: true}
	if s.suffix != "" {
		label, ok := strings.CutSuffix(host, s.suffix)
		m.HostForm = ok && label != "" && !strings.Contains(label, ".")
	}
	return m, true
}
