package discovery

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Host is a name of which all addresses are backends.
type Host struct {
	// Display is Source.Name. "a NAME:PORT" if it is empty.
	Display string
	// Name is the DNS name to look up. An IP address is its own result.
	Name string
	Port uint16
	// Network is ip4 for A records only, ip6 for AAAA records only, and ip or empty
	// for both.
	Network string
	// Scheme is Source.Scheme.
	Scheme string
	// HostText is Endpoint.Host of all. NAME:PORT if it is empty.
	HostText string
	// Resolver is nil for that of the system.
	Resolver *Resolver
	// Interval is Source.Interval.
	Interval time.Duration
}

// HostSource returns a source of the addresses of a name. While the query for one
// family of addresses fails and the other does not, the addresses of the first as they
// were last stay in the list, and the error beside the list says so.
func HostSource(h Host) Source {
	port := strconv.Itoa(int(h.Port))
	host := net.JoinHostPort(strings.TrimSuffix(h.Name, "."), port)
	if h.HostText == "" {
		h.HostText = host
	}
	if h.Display == "" {
		h.Display = "a " + host
	}
	memory := newMemory()
	names := newAddresses(h.Resolver, memory, Target{h.Network, h.Name})
	return Source{
		Name:     h.Display,
		Scheme:   h.Scheme,
		Interval: h.Interval,
		Memory:   memory,
		Lookup: func(ctx context.Context) ([]Endpoint, error) {
			found, incomplete := names.lookup(ctx)
			endpoints := make([]Endpoint, 0, len(found))
			for _, ip := range found {
				endpoints = append(endpoints, Endpoint{Address: net.JoinHostPort(ip.String(), port), Host: h.HostText})
			}
			endpoints, cut := atMost(h.Name, endpoints)
			return endpoints, cmp.Or(incomplete, cut)
		},
	}
}

// addresses looks the addresses of a name up. It is not safe for concurrent use.
type addresses struct {
	resolver *Resolver
	memory   *Memory
	target   Target // as it was given, for the memory
	network  string // ip4, ip6 or ip
	name     string
}

// newAddresses returns the addresses of a target. The resolver is nil for that of the
// system.
func newAddresses(resolver *Resolver, memory *Memory, target Target) *addresses {
	if resolver == nil {
		resolver = system
	}
	return &addresses{
		resolver: resolver,
		memory:   memory,
		target:   target,
		network:  cmp.Or(target.Network, "ip"),
		name:     target.Name,
	}
}

// lookup returns the addresses as they are now, IPv4 addresses first, or none and the
// reason. An error beside addresses is that of a family whose addresses are those of an
// earlier look-up.
func (a *addresses) lookup(ctx context.Context) ([]netip.Addr, error) {
	usable, found, err := addressesOf(ctx, a.resolver.resolver, a.network, a.name)
	asked := a.network
	if err != nil && a.network == "ip" && isNotFound(err) {
		// That is what one family without records is reported as if the query for the
		// other failed, too.
		usable, found, asked, err = a.eachFamily(ctx)
	}
	if err != nil {
		return nil, a.resolver.explain(ctx, a.name, records[asked], err)
	}
	if len(usable) == 0 {
		return nil, fmt.Errorf("%s: none of its %d addresses can be that of a backend: they are unspecified, multicast or link-local addresses", strings.TrimSuffix(a.name, "."), found)
	}
	split := slices.IndexFunc(usable, netip.Addr.Is6)
	if split < 0 {
		split = len(usable)
	}
	v4, v6 := usable[:split], usable[split:]
	last := a.memory.get(a.target)
	// A family is missing from the answer where its query failed, too.
	var failed error
	if a.network == "ip" && len(v4) == 0 && len(last.v4) > 0 {
		v4, failed = a.confirm(ctx, "ip4", last.v4)
	}
	if a.network == "ip" && len(v6) == 0 && len(last.v6) > 0 {
		v6, failed = a.confirm(ctx, "ip6", last.v6)
	}
	now := answer{v4: v4, v6: v6}
	if failed == nil {
		now.at = time.Now()
	}
	a.memory.set(a.target, now)
	return now.all(), failed
}

// eachFamily asks for IPv4 and IPv6 addresses by themselves, and returns those of the
// first family that has any. Without one, the error is that of a query that failed, or
// says that there are none; asked is the network that it is about.
func (a *addresses) eachFamily(ctx context.Context) (usable []netip.Addr, found int, asked string, err error) {
	asked = "ip"
	for _, network := range []string{"ip4", "ip6"} {
		usable, found, one := addressesOf(ctx, a.resolver.strict, network, a.name)
		switch {
		case one == nil:
			return usable, found, network, nil
		case err == nil && isNotFound(one):
			err = one
		case !isNotFound(one) && asked == "ip":
			asked, err = network, one
		}
	}
	return nil, 0, asked, err
}

// confirm asks for a family that the answer was without. If it cannot be told, it
// returns the last addresses of it and the reason.
func (a *addresses) confirm(ctx context.Context, network string, last []netip.Addr) ([]netip.Addr, error) {
	usable, _, err := addressesOf(ctx, a.resolver.strict, network, a.name)
	switch {
	case err == nil:
		return usable, nil
	case isNotFound(err):
		return nil, nil
	}
	reason := a.resolver.explain(ctx, a.name, records[network], err)
	return last, fmt.Errorf("%w; its %ss stay as they were", reason, records[network])
}

// records names what is asked for, by network.
var records = map[string]string{"ip": "A or AAAA record", "ip4": "A record", "ip6": "AAAA record"}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// clean returns the addresses that a backend can have, each once, sorted, with IPv4
// addresses in their own form.
func clean(all []netip.Addr) []netip.Addr {
	usable := make([]netip.Addr, 0, len(all))
	for _, ip := range all {
		if ip = ip.Unmap(); ip.IsValid() && !ip.IsUnspecified() && !ip.IsMulticast() && ip != broadcast {
			usable = append(usable, ip)
		}
	}
	slices.SortFunc(usable, netip.Addr.Compare)
	return slices.Compact(usable)
}
