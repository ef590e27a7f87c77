package discovery_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/edgegate/edgegate/regions/discovery"
	"github.com/edgegate/edgegate/regions/discovery/dnstest"
)

const service = "_http._tcp." + name

func services(s *dnstest.Server) discovery.Source {
	return discovery.ServiceSource(discovery.Service{Name: service, Resolver: asking(s)})
}

func TestServiceRecords(t *testing.T) {
	s := dnstest.Start(t)
	s.SetService(service,
		dnstest.SRV{Target: "a." + name, Port: 9001, Priority: 10, Weight: 7},
		dnstest.SRV{Target: "b." + name, Port: 9002, Priority: 10, Weight: 1},
		dnstest.SRV{Target: "c." + name, Port: 9003, Priority: 20},
		dnstest.SRV{Target: "d." + name, Port: 9004, Priority: 5, Weight: 65535},
		dnstest.SRV{Target: "10.0.3.2", Port: 9004, Priority: 5, Weight: 1}, // no name, left out
	)
	s.SetHost("a."+name, "10.0.0.2", "10.0.0.1", "2001:db8::1")
	s.SetHost("b."+name, "10.0.1.1", "10.0.1.2")
	s.SetHost("c."+name, "10.0.2.1")
	s.SetHost("d."+name, "10.0.3.1")
	a, b := "a.runtime.example.test:9001", "b.runtime.example.test:9002"
	want := []discovery.Endpoint{
		{Address: "10.0.3.1:9004", Host: "d.runtime.example.test:9004", Priority: 5, Weight: 65535},
		// All weights of a priority are doubled for 1 to be split in two.
		{Address: "10.0.0.1:9001", Host: a, Priority: 10, Weight: 5},
		{Address: "10.0.0.2:9001", Host: a, Priority: 10, Weight: 5},
		{Address: "10.0.1.1:9002", Host: b, Priority: 10, Weight: 1},
		{Address: "10.0.1.2:9002", Host: b, Priority: 10, Weight: 1},
		{Address: "[2001:db8::1]:9001", Host: a, Priority: 10, Weight: 4},
		{Address: "10.0.2.1:9003", Host: "c.runtime.example.test:9003", Priority: 20},
	}
	got, err := part(t, services(s))
	if !slices.Equal(got, want) {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
	expectError(t, err, "_http._tcp.runtime.example.test: SRV records whose target is no valid name are left out")
	parts := discovery.ServiceSource(discovery.Service{Service: "http", Proto: "tcp", Name: name, Network: "ip6", Resolver: asking(s)})
	if got, _ := part(t, parts); len(got) != 1 || got[0].Address != "[2001:db8::1]:9001" || got[0].Weight != 7 {
		t.Errorf("%+v", got)
	}
	if parts.Name != "srv _http._tcp.runtime.example.test." {
		t.Errorf("%q", parts.Name)
	}
}

// TestServiceAddressTwice: an address is one backend, however many records give it.
func TestServiceAddressTwice(t *testing.T) {
	s := dnstest.Start(t)
	s.SetService(service,
		dnstest.SRV{Target: "a." + name, Port: 9000, Weight: 40000},
		dnstest.SRV{Target: "b." + name, Port: 9000, Weight: 40000},
		dnstest.SRV{Target: "c." + name, Port: 9000, Priority: 1, Weight: 3},
		dnstest.SRV{Target: "c." + name, Port: 9001, Priority: 1, Weight: 3},
	)
	for _, target := range []string{"a.", "b.", "c."} {
		s.SetHost(target+name, "10.0.0.1")
	}
	want := []discovery.Endpoint{
		{Address: "10.0.0.1:9000", Host: "a.runtime.example.test:9000", Weight: 65535},
		{Address: "10.0.0.1:9001", Host: "c.runtime.example.test:9001", Priority: 1, Weight: 3},
	}
	if got := lookup(t, services(s)); !slices.Equal(got, want) {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
}

// TestServiceTargets: targets that cannot be resolved take none of the others along.
func TestServiceTargets(t *testing.T) {
	s := dnstest.Start(t)
	source := services(s)
	s.SetService(service, dnstest.SRV{Target: "a." + name, Port: 9000}, dnstest.SRV{Target: "b." + name, Port: 9000})
	s.SetHost("a."+name, "10.0.0.1")
	endpoints, err := part(t, source)
	expect(t, endpoints, "10.0.0.1:9000")
	expectError(t, err, "_http._tcp.runtime.example.test: a target: b.runtime.example.test: ", "no A or AAAA record")

	s.SetHost("b."+name, "10.0.0.2")
	expect(t, lookup(t, source), "10.0.0.1:9000", "10.0.0.2:9000")

	// A failure says nothing about the addresses, an answer does.
	for _, now := range []struct {
		mode  dnstest.Mode
		words string
		want  []string
	}{
		{dnstest.ServFail, "SERVFAIL", []string{"10.0.0.1:9000", "10.0.0.2:9000"}},
		{dnstest.Timeout, "no answer in time", []string{"10.0.0.1:9000", "10.0.0.2:9000"}},
		{dnstest.NXDomain, "no such name", []string{"10.0.0.1:9000"}},
		{dnstest.ServFail, "SERVFAIL", []string{"10.0.0.1:9000"}},
	} {
		s.SetMode("b."+name, now.mode)
		endpoints, err := part(t, source)
		expect(t, endpoints, now.want...)
		expectError(t, err, "b.runtime.example.test: ", now.words)
	}

	s.SetMode("a."+name, dnstest.NXDomain)
	s.SetMode("b."+name, dnstest.NXDomain)
	expectError(t, failure(t, source), "no target has an address", ".runtime.example.test", "no A or AAAA record")
}

// TestServiceHalfAnAnswer: a target stays while the query for its one family fails, even
// if the name server says that it has no addresses of the other.
func TestServiceHalfAnAnswer(t *testing.T) {
	s := dnstest.Start(t)
	source := services(s)
	s.SetService(service, dnstest.SRV{Target: "a." + name, Port: 9000}, dnstest.SRV{Target: "b." + name, Port: 9000})
	s.SetHost("a."+name, "10.0.0.1")
	s.SetHost("b."+name, "10.0.0.2")
	expect(t, lookup(t, source), "10.0.0.1:9000", "10.0.0.2:9000")
	s.SetMode("b."+name, dnstest.ServFail, "A")
	endpoints, err := part(t, source)
	expect(t, endpoints, "10.0.0.1:9000", "10.0.0.2:9000")
	expectError(t, err, "b.runtime.example.test: ", "SERVFAIL")
}

// TestServiceNoTarget: if no target can be looked up, the look-up has failed.
func TestServiceNoTarget(t *testing.T) {
	for mode, want := range map[dnstest.Mode]string{dnstest.ServFail: "SERVFAIL", dnstest.Timeout: "no answer in time"} {
		s := dnstest.Start(t)
		source := services(s)
		s.SetService(service, dnstest.SRV{Target: "a." + name, Port: 9000}, dnstest.SRV{Target: "b." + name, Port: 9000})
		s.SetHost("a."+name, "10.0.0.1")
		s.SetHost("b."+name, "10.0.0.2")
		expect(t, lookup(t, source), "10.0.0.1:9000", "10.0.0.2:9000")
		s.SetMode("a."+name, mode)
		endpoints, _ := part(t, source)
		expect(t, endpoints, "10.0.0.1:9000", "10.0.0.2:9000")
		s.SetMode("b."+name, mode)
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			endpoints, err := source.Lookup(ctx)
			cancel()
			if err == nil || len(endpoints) > 0 {
				t.Fatalf("%v and the error %v, want an error only", endpoints, err)
			}
			expectError(t, err, "_http._tcp.runtime.example.test: no target can be looked up: ", ".runtime.example.test: ", want)
		}
		s.SetMode("a."+name, dnstest.OK)
		endpoints, _ = part(t, source)
		expect(t, endpoints, "10.0.0.1:9000", "10.0.0.2:9000")
	}
}

func TestServiceFailures(t *testing.T) {
	s := dnstest.Start(t)
	source := services(s)
	expectError(t, failure(t, source), "_http._tcp.runtime.example.test: ", "no SRV record", s.Address)
	s.SetMode(service, dnstest.ServFail)
	expectError(t, failure(t, source), "_http._tcp.runtime.example.test: ", "SERVFAIL")
	s.SetMode(service, dnstest.Timeout)
	expectError(t, failure(t, source), "_http._tcp.runtime.example.test: ", "no answer in time")
	s.SetMode(service, dnstest.OK)
	s.SetService(service, dnstest.SRV{Target: "10.0.0.1", Port: 9000})
	expectError(t, failure(t, source), "_http._tcp.runtime.example.test: ", "an IP address is none")
	s.SetService(service, dnstest.SRV{Target: ".", Port: 9000})
	expectError(t, failure(t, source), "_http._tcp.runtime.example.test", "says that the service is not available")
	s.SetService(service, dnstest.SRV{Target: ".", Port: 9000}, dnstest.SRV{Target: "a." + name}, dnstest.SRV{Target: "a." + name, Port: 9000})
	s.SetHost("a."+name, "10.0.0.1")
	expect(t, lookup(t, source), "10.0.0.1:9000")
}

// TestServiceManyTargets looks up 500 targets, of which each has two addresses.
func TestServiceManyTargets(t *testing.T) {
	s := dnstest.Start(t)
	source := services(s)
	var records []dnstest.SRV
	for i := range 500 {
		target := fmt.Sprintf("t%d.%s", i, name)
		records = append(records, dnstest.SRV{Target: target, Port: 9000})
		s.SetHost(target, fmt.Sprintf("10.0.%d.%d", i/250, i%250+1), fmt.Sprintf("10.1.%d.%d", i/250, i%250+1))
	}
	s.SetService(service, records...)
	if got := lookup(t, source); len(got) != 1000 {
		t.Errorf("%d endpoints, want 1000", len(got))
	}
	if s.QueriesOverTCP(service, "SRV") == 0 {
		t.Error("nothing was asked over TCP")
	}
	s.SetHost("t7."+name, "10.0.0.8", "10.1.0.8", "10.2.0.8")
	got, err := part(t, source)
	if len(got) != 1000 {
		t.Errorf("%d endpoints, want 1000", len(got))
	}
	expectError(t, err, "_http._tcp.runtime.example.test: of 1001 addresses the first 1000 are used")
	s.SetService(service, records[:2]...)
	if got := lookup(t, source); len(got) != 4 {
		t.Errorf("%d endpoints, want 4", len(got))
	}
}
