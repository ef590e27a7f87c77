package discovery_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/edgegate/edgegate/regions/discovery"
	"github.com/edgegate/edgegate/regions/discovery/dnstest"
)

func TestHostFollowsRecords(t *testing.T) {
	s := dnstest.Start(t)
	source := runtimes(s)
	for _, step := range [][]string{
		{"10.0.0.1"},
		{"10.0.0.1", "10.0.0.2"},
		{"10.0.0.3"},
		{"2001:db8::1"},
		{"10.0.0.9", "2001:db8::1", "10.0.0.10"},
	} {
		s.SetHost(name, step...)
		var ips []netip.Addr
		for _, text := range step {
			ips = append(ips, netip.MustParseAddr(text))
		}
		got := lookup(t, source)
		if len(got) != len(ips) {
			t.Fatalf("%v, want the addresses %v", got, step)
		}
		for i, e := range got {
			if e.Host != "runtime.example.test:9000" {
				t.Errorf("host %q", e.Host)
			}
			if i > 0 && netip.MustParseAddrPort(got[i-1].Address).Compare(netip.MustParseAddrPort(e.Address)) >= 0 {
				t.Errorf("not sorted: %v", got)
			}
		}
	}
	expect(t, lookup(t, source), "10.0.0.9:9000", "10.0.0.10:9000", "[2001:db8::1]:9000")
	s.SetHost(name)
	expectError(t, failure(t, source), "runtime.example.test", "no such name", s.Address)
}

func TestHostNetworks(t *testing.T) {
	s := dnstest.Start(t)
	s.SetHost(name, "10.0.0.1", "2001:db8::1")
	for network, want := range map[string][]string{
		"":    {"10.0.0.1:80", "[2001:db8::1]:80"},
		"ip":  {"10.0.0.1:80", "[2001:db8::1]:80"},
		"ip4": {"10.0.0.1:80"},
		"ip6": {"[2001:db8::1]:80"},
	} {
		source := discovery.HostSource(discovery.Host{Name: name, Port: 80, Network: network, Resolver: asking(s)})
		expect(t, lookup(t, source), want...)
	}
	s.SetHost(name, "2001:db8::1")
	source := discovery.HostSource(discovery.Host{Name: name, Port: 80, Network: "ip4", Resolver: asking(s)})
	expectError(t, failure(t, source), "no A record")
	literal := discovery.HostSource(discovery.Host{Name: "10.0.0.1", Port: 80, Network: "ip6", Resolver: asking(s)})
	expectError(t, failure(t, literal), "no AAAA record")
}

func TestHostTexts(t *testing.T) {
	s := dnstest.Start(t)
	s.SetHost(name, "10.0.0.1")
	source := discovery.HostSource(discovery.Host{
		Display:  "http://Runtime:9000",
		Name:     name,
		Port:     9000,
		Scheme:   "h2c",
		HostText: "Runtime:9000",
		Resolver: asking(s),
		Interval: time.Minute,
	})
	if source.Name != "http://Runtime:9000" || source.Scheme != "h2c" || source.Interval != time.Minute {
		t.Errorf("%+v", source)
	}
	if got := lookup(t, source); got[0].Host != "Runtime:9000" {
		t.Errorf("%+v", got)
	}
	if plain := discovery.HostSource(discovery.Host{Name: "runtime.", Port: 9000}); plain.Name != "a runtime:9000" {
		t.Errorf("%q", plain.Name)
	}
}

// TestHostAddresses: of what name servers give, what no backend can have is left out.
func TestHostAddresses(t *testing.T) {
	s := dnstest.Start(t)
	source := runtimes(s)
	s.SetHost(name, "10.0.0.2", "10.0.0.1", "10.0.0.2", "0.0.0.0", "224.0.0.1", "::", "ff02::1", "::ffff:10.0.0.3", "::ffff:10.0.0.1")
	expect(t, lookup(t, source), "10.0.0.1:9000", "10.0.0.2:9000", "10.0.0.3:9000")
	s.SetHost(name, "0.0.0.0", "::")
	expectError(t, failure(t, source), "runtime.example.test", "none of its 2 addresses")

	s.SetHost(name, "169.254.169.254", "10.0.0.1", "fe80::1", "::ffff:169.254.0.1")
	expect(t, lookup(t, source), "10.0.0.1:9000")
	s.SetHost(name, "169.254.169.254")
	expectError(t, failure(t, source), "none of its 1 addresses", "link-local")
	for address, want := range map[string]string{"fe80::1%lo": "[fe80::1%lo]:9000", "169.254.7.1": "169.254.7.1:9000"} {
		literal := discovery.HostSource(discovery.Host{Name: address, Port: 9000, Resolver: asking(s)})
		expect(t, lookup(t, literal), want)
	}
}

// TestHostManyAddresses: an answer that does not fit into a packet is read over TCP.
func TestHostManyAddresses(t *testing.T) {
	s := dnstest.Start(t)
	source := runtimes(s)
	var all []string
	for i := range 500 {
		all = append(all, fmt.Sprintf("10.0.%d.%d", i/250, i%250+1))
	}
	s.SetHost(name, all...)
	if got := lookup(t, source); len(got) != len(all) || got[499].Address != "10.0.1.250:9000" {
		t.Errorf("%d addresses, the last is %v", len(got), got[len(got)-1])
	}
	if s.QueriesOverTCP(name, "A") == 0 {
		t.Error("nothing was asked over TCP")
	}
	for i := range discovery.MaxEndpoints {
		all = append(all, fmt.Sprintf("10.1.%d.%d", i/250, i%250+1))
	}
	s.SetHost(name, all...)
	got, err := part(t, source)
	if len(got) != discovery.MaxEndpoints || got[len(got)-1].Address != "10.1.1.250:9000" {
		t.Errorf("%d addresses, the last is %v", len(got), got[len(got)-1])
	}
	expectError(t, err, "runtime.example.test: of 1500 addresses the first 1000 are used")
}

func TestHostFailures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		mode dnstest.Mode
		want string
	}{
		{"SERVFAIL", dnstest.ServFail, "the answer is SERVFAIL ("},
		{"REFUSED", dnstest.Refused, "the answer is a failure other than SERVFAIL, such as REFUSED ("},
		{"NXDOMAIN", dnstest.NXDomain, "there is no such name"},
		{"no records", dnstest.Empty, "no A or AAAA record"},
		{"silence", dnstest.Timeout, "no answer in time"},
		{"garbage", dnstest.Garbage, "no answer in time"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := dnstest.Start(t)
			source := runtimes(s)
			s.SetHost(name, "10.0.0.1")
			expect(t, lookup(t, source), "10.0.0.1:9000")
			s.SetMode(name, tt.mode)
			expectError(t, failure(t, source), "runtime.example.test: ", tt.want, s.Address)
			s.SetMode(name, dnstest.OK)
			expect(t, lookup(t, source), "10.0.0.1:9000")
		})
	}
}

func TestHostNobodyListens(t *testing.T) {
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := packets.LocalAddr().String()
	if err := packets.Close(); err != nil {
		t.Fatal(err)
	}
	source := discovery.HostSource(discovery.Host{Name: name, Port: 9000, Resolver: discovery.NewResolver([]string{address}, 0, 0)})
	err = failure(t, source)
	expectError(t, err, "runtime.example.test", "connection refused", address)
	if n := strings.Count(err.Error(), address); n != 1 {
		t.Errorf("%q names the name server %d times", err, n)
	}
}

// TestHostOneFamilyFails: the addresses of a family stay while only the query for it
// fails, and go when the name server says that they are gone.
func TestHostOneFamilyFails(t *testing.T) {
	s := dnstest.Start(t)
	source := runtimes(s)
	s.SetHost(name, "10.0.0.1", "2001:db8::1")
	expect(t, lookup(t, source), "10.0.0.1:9000", "[2001:db8::1]:9000")

	s.SetMode(name, dnstest.ServFail, "A")
	s.SetHost(name, "10.0.0.1", "2001:db8::2")
	for range 2 {
		endpoints, err := part(t, source)
		expect(t, endpoints, "10.0.0.1:9000", "[2001:db8::2]:9000")
		expectError(t, err, "runtime.example.test: ", "SERVFAIL", "its A records stay as they were")
	}

	s.SetMode(name, dnstest.Timeout, "A")
	endpoints, err := part(t, source)
	expect(t, endpoints, "10.0.0.1:9000", "[2001:db8::2]:9000")
	expectError(t, err, "no answer in time", "its A records stay as they were")

	s.SetMode(name, dnstest.OK, "A")
	s.SetHost(name, "2001:db8::2")
	expect(t, lookup(t, source), "[2001:db8::2]:9000")

	// A server that never could answer for a family keeps nobody from the other.
	s.SetMode(name, dnstest.ServFail, "A")
	expect(t, lookup(t, source), "[2001:db8::2]:9000")
}

// TestHostHalfAnAnswer: while the query for one family fails, an answer without addresses
// of the other says nothing about the name.
func TestHostHalfAnAnswer(t *testing.T) {
	for _, tt := range []struct{ failing, empty, address string }{
		{"A", "AAAA", "10.0.0.1"},
		{"AAAA", "A", "2001:db8::1"},
	} {
		for mode, want := range map[dnstest.Mode]string{dnstest.ServFail: "SERVFAIL", dnstest.Timeout: "no answer in time"} {
			s := dnstest.Start(t)
			s.SetHost(name, tt.address)
			s.SetMode(name, mode, tt.failing)
			err := failure(t, runtimes(s))
			expectError(t, err, "runtime.example.test: ", want)
			if strings.Contains(err.Error(), "no such name") {
				t.Errorf("%q, though the query for %s records failed", err, tt.failing)
			}
		}
	}
}

// TestResolverAsksTheNext: one name server that is silent costs a part of the time only.
func TestResolverAsksTheNext(t *testing.T) {
	silent, s := dnstest.Start(t), dnstest.Start(t)
	silent.SetMode(name, dnstest.Timeout)
	s.SetHost(name, "10.0.0.1")
	for range 4 {
		resolver := discovery.NewResolver([]string{silent.Address, s.Address}, 0, 0)
		source := discovery.HostSource(discovery.Host{Name: name, Port: 9000, Network: "ip4", Resolver: resolver})
		expect(t, lookup(t, source), "10.0.0.1:9000")
	}
	if silent.Queries(name) == 0 {
		t.Error("the silent server was never asked")
	}
}

func TestResolverOverTCPOnly(t *testing.T) {
	s := dnstest.Start(t)
	s.SetHost(name, "10.0.0.1")
	resolver := discovery.NewResolver([]string{"tcp/" + s.Address}, 0, 0)
	expect(t, lookup(t, discovery.HostSource(discovery.Host{Name: name, Port: 9000, Resolver: resolver})), "10.0.0.1:9000")
	if s.Queries(name) != s.QueriesOverTCP(name) {
		t.Errorf("%d of %d queries came over TCP", s.QueriesOverTCP(name), s.Queries(name))
	}
}

// TestLookupEndsWithContext: a look-up returns when its context ends, and leaves no
// goroutine behind that waits for the answer.
func TestLookupEndsWithContext(t *testing.T) {
	s := dnstest.Start(t)
	s.SetHost(name, "10.0.0.1")
	s.SetDelay(name, time.Hour)
	running := goleak.IgnoreCurrent()
	for _, source := range []discovery.Source{
		runtimes(s),
		discovery.ServiceSource(discovery.Service{Name: name, Resolver: asking(s)}),
		discovery.HostSource(discovery.Host{Name: name, Port: 9000, Resolver: discovery.NewResolver([]string{"tcp/" + s.Address}, 0, 0)}),
	} {
		before := s.Queries(name)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := source.Lookup(ctx)
			done <- err
		}()
		for s.Queries(name) == before {
			time.Sleep(time.Millisecond)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want that the context was canceled", source.Name, err)
		}
	}
	// Handlers of the server itself wait for the end of the test.
	goleak.VerifyNone(t, running, goleak.IgnoreAnyFunction("github.com/edgegate/edgegate/regions/discovery/dnstest.(*Server).ServeDNS"))
}

// TestSystemResolver looks up what every system knows without a name server.
func TestSystemResolver(t *testing.T) {
	source := discovery.HostSource(discovery.Host{Name: "localhost", Port: 9000, Network: "ip4"})
	expect(t, lookup(t, source), "127.0.0.1:9000")
}
