package discovery_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions/discovery"
	"github.com/edgegate/edgegate/regions/discovery/dnstest"
)

// TestNamesMaxAge: an answer is used again while it is recent, a failure is not.
func TestNamesMaxAge(t *testing.T) {
	s := dnstest.Start(t)
	s.SetHost(name, "10.0.0.1")
	names := discovery.NewNames(asking(s), time.Hour)
	target := discovery.Target{Network: "ip4", Name: name}
	missing := discovery.Target{Name: "missing." + name}
	for range 3 {
		found, _, err := names.Lookup(t.Context(), []discovery.Target{target, missing, target})
		if len(found) != 1 || len(found[target]) != 1 || found[target][0] != netip.MustParseAddr("10.0.0.1") {
			t.Errorf("%v", found)
		}
		if err == nil {
			t.Error("no error for a name that is missing")
		}
	}
	if n := s.Queries(name); n != 1 {
		t.Errorf("%d queries, want 1", n)
	}
	// Each time for both families, and for each by itself to be sure.
	if n := s.Queries(missing.Name, "A"); n != 6 {
		t.Errorf("%d queries for the missing name, want 6", n)
	}
	// A name that was not in the list is forgotten.
	if found, _, err := names.Lookup(t.Context(), nil); len(found) != 0 || err != nil {
		t.Errorf("%v, %v", found, err)
	}
	if _, _, err := names.Lookup(t.Context(), []discovery.Target{target}); err != nil || s.Queries(name) != 2 {
		t.Errorf("%v, %d queries, want 2", err, s.Queries(name))
	}
}
