package projects

import (
	"iter"
	"sync/atomic"
)

// Snapshot is all organizations and projects at one time. It is immutable and
// safe for concurrent use.
type Snapshot struct {
	suffix        string // ".<apex>"; "" without an apex
	projects      []*Project
	byRef         map[string]*Project
	byDomain      map[string]*Project
	organizations map[string]*Organization
}

// Find returns the project of a host as received, in any case, with or without
// port and trailing dot (contract 1.1, 1.2, 1.7).
func (s *Snapshot) Find(host string) (Match, bool) {
	host = NormalizeHost(host)
	if at := cutApex(host, s.suffix); ValidRef(at.label) {
		p, ok := s.byRef[at.label]
		return Match{Project: p, Shared: true, HostForm: at.hostForm}, ok
	}
	p, ok := s.byDomain[host]
	return Match{Project: p}, ok
}

// Lookup returns the project with the ref.
func (s *Snapshot) Lookup(ref string) (*Project, bool) {
	p, ok := s.byRef[ref]
	return p, ok
}

// Organization returns the organization with the id.
func (s *Snapshot) Organization(id string) (*Organization, bool) {
	o, ok := s.organizations[id]
	return o, ok
}

// Len returns how many projects there are.
func (s *Snapshot) Len() int { return len(s.projects) }

// All goes through the projects by ref.
func (s *Snapshot) All() iter.Seq[*Project] {
	return func(yield func(*Project) bool) {
		for _, p := range s.projects {
			if !yield(p) {
				return
			}
		}
	}
}

// Catalogue is the snapshot in force. Its zero value has none and finds
// nothing. It is safe for concurrent use: requests never wait for a swap, and
// each reads the one snapshot it began with.
type Catalogue struct{ current atomic.Pointer[Snapshot] }

// Find returns the project of a host; see Snapshot.Find.
func (c *Catalogue) Find(host string) (Match, bool) {
	s := c.current.Load()
	if s == nil {
		return Match{}, false
	}
	return s.Find(host)
}

// Load returns the snapshot in force, nil before the first Swap.
func (c *Catalogue) Load() *Snapshot { return c.current.Load() }

// Swap puts s in force and returns what was in force before it, nil for none.
func (c *Catalogue) Swap(s *Snapshot) *Snapshot { return c.current.Swap(s) }
