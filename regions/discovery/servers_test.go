package discovery_test

import (
	"net"
	"testing"

	"github.com/edgegate/edgegate/regions/discovery"
	"github.com/edgegate/edgegate/regions/discovery/dnstest"
)

// TestOneServerFails: of two name servers one fails, and no look-up does.
func TestOneServerFails(t *testing.T) {
	t.Parallel()
	bad := func(mode dnstest.Mode) func(t *testing.T) string {
		return func(t *testing.T) string {
			t.Helper()
			s := dnstest.Start(t)
			s.SetMode(name, mode)
			return s.Address
		}
	}
	for what, start := range map[string]func(t *testing.T) string{
		"silent":   bad(dnstest.Timeout),
		"refusing": bad(dnstest.Refused),
		"SERVFAIL": bad(dnstest.ServFail),
		"garbage":  bad(dnstest.Garbage),
		"dead": func(t *testing.T) string {
			t.Helper()
			packets, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = packets.Close() }()
			return packets.LocalAddr().String()
		},
	} {
		for _, over := range []string{"", "tcp/"} {
			t.Run(what+" "+over, func(t *testing.T) {
				t.Parallel()
				failing, s := start(t), dnstest.Start(t)
				s.SetHost(name, "10.0.0.1", "2001:db8::1")
				resolver := discovery.NewResolver([]string{over + failing, over + s.Address}, 0, 0)
				source := discovery.HostSource(discovery.Host{Name: name, Port: 9000, Resolver: resolver})
				for range 50 {
					expect(t, lookup(t, source), "10.0.0.1:9000", "[2001:db8::1]:9000")
				}
			})
		}
	}
}
