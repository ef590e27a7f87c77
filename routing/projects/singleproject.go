package projects

import "strings"

// Single is the catalogue of single-project mode: one project answers on
// every host that the site admits.
type Single struct {
	project *Project
	own     map[string]bool
	suffix  string // ".<apex>"; "" without an apex
}

// NewSingle returns the catalogue of the one project p. apex is the domain
// under which <ref>.functions.<apex> is the host form; "" means none.
func NewSingle(p *Project, apex string) (*Single, error) {
	suffix, err := apexSuffix(apex)
	if err != nil {
		return nil, err
	}
	s := &Single{project: p, own: make(map[string]bool, len(p.Domains)), suffix: suffix}
	for _, d := range p.Domains {
		s.own[d] = true
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
	at := cutApex(host, s.suffix)
	m.HostForm = at.hostForm && at.label != "" && !strings.Contains(at.label, ".")
	return m, true
}
