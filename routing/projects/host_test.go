package projects

import (
	"strings"
	"testing"
)

// Hosts are compared as RFC 9110 section 4.2.3 says: case apart, and without
// what does not name the host.
func TestNormalizeHost(t *testing.T) {
	tests := []struct{ name, host, want string }{
		{"plain", "api.example.org", "api.example.org"},
		{"port", "api.example.org:8443", "api.example.org"},
		{"empty port", "api.example.org:", "api.example.org"},
		{"capitals", "API.Example.ORG", "api.example.org"},
		{"trailing dot", "api.example.org.", "api.example.org"},
		{"trailing dot and port", "api.example.org.:80", "api.example.org"},
		{"IPv4", "127.0.0.1:8000", "127.0.0.1"},
		{"IPv6", "[::1]:8000", "::1"},
		{"IPv6 without port", "[2001:DB8::1]", "2001:db8::1"},
		{"IPv6 without brackets", "::1", "::1"},
		{"open bracket", "[::1", ""},
		{"empty brackets", "[]", ""},
		{"port only", ":80", ""},
		{"empty", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := NormalizeHost(tt.host); got != tt.want {
				t.Errorf("NormalizeHost(%q) = %q, want %q", tt.host, got, tt.want)
			}
		})
	}
	if allocs := testing.AllocsPerRun(100, func() { NormalizeHost("api.example.org.:8443") }); allocs > 0 {
		t.Errorf("%v allocations for a host in lower case", allocs)
	}
}

// Contract 1.1, 1.2, 6.3: what a host says in single-project mode.
func TestSingleFind(t *testing.T) {
	p := mustNew(t, ProjectConfig{Domains: []string{"api.example.org", "x.functions.example.com"}})
	tests := []struct {
		name, apex, host string
		shared, hostForm bool
	}{
		{"contract 1.1 own host", "example.com", "api.example.org", false, false},
		{"contract 1.1 own host, otherwise written", "example.com", "API.example.org.:443", false, false},
		{"contract 1.1 any other host", "example.com", "127.0.0.1:8000", true, false},
		{"contract 1.1 below an own host", "example.com", "x.api.example.org", true, false},
		{"contract 1.1 no host", "example.com", "", true, false},
		{"contract 1.1 ref host", "example.com", "abcdefghijklmnopqrst.example.com", true, false},
		{"contract 1.2 host form", "example.com", "abcdefghijklmnopqrst.functions.example.com", true, true},
		{"contract 1.2 otherwise written", "Example.COM", "Abc.Functions.example.com.:443", true, true},
		{"contract 1.2 no label", "example.com", ".functions.example.com", true, false},
		{"contract 1.2 the bare suffix", "example.com", "functions.example.com", true, false},
		{"contract 1.2 two labels", "example.com", "a.b.functions.example.com", true, false},
		{"contract 1.2 another apex", "example.com", "abc.functions.example.net", true, false},
		{"contract 1.2 a longer apex", "example.com", "abc.functions.example.com.evil.test", true, false},
		{"contract 1.2 no dot before functions", "example.com", "abcfunctions.example.com", true, false},
		{"contract 1.2 an own host never", "example.com", "x.functions.example.com", false, false},
		{"contract 1.2 without apex", "", "abc.functions.example.com", true, false},
		{"contract 1.2 without apex, odd host", "", "abc.functions.", true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := NewSingle(p, tt.apex)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := s.Find(tt.host)
			if want := (Match{Project: p, Shared: tt.shared, HostForm: tt.hostForm}); !ok || got != want {
				t.Errorf("Find(%q) = %+v, %v, want %+v", tt.host, got, ok, want)
			}
		})
	}
}

// Contract 1.2: an apex that no host could be under is a mistake.
func TestNewSingleRefusesApex(t *testing.T) {
	p := mustNew(t, ProjectConfig{})
	for _, apex := range []string{"https://example.com", "example.com/", "example.com:443", "*.example.com", "example.com.", "a b", "[::1"} {
		if _, err := NewSingle(p, apex); err == nil || !strings.Contains(err.Error(), "must be a bare host name") {
			t.Errorf("contract 1.2: apex %q: %v", apex, err)
		}
	}
}

func FuzzFind(f *testing.F) {
	for _, host := range []string{"api.example.org", "x.functions.example.com:80", "[::1]:80", "[", ":", "..", "A.functions.EXAMPLE.com."} {
		f.Add(host)
	}
	s, err := NewSingle(mustNew(f, ProjectConfig{Domains: []string{"api.example.org"}}), "example.com")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, host string) {
		m, ok := s.Find(host)
		if !ok || m.Project == nil || m.HostForm && !m.Shared {
			t.Errorf("contract 1.2: Find(%q) = %+v, %v", host, m, ok)
		}
		if own := NormalizeHost(host) == "api.example.org"; own == m.Shared {
			t.Errorf("contract 6.3: Find(%q) = %+v", host, m)
		}
	})
}
