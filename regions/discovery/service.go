package discovery

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Service is a name whose SRV records (RFC 2782) are backends.
type Service struct {
	// Display is Source.Name. "srv _SERVICE._PROTO.NAME" if it is empty.
	Display string
	// Service and Proto are without underscores. Both are empty where Name is the
	// whole name, such as _http._tcp.runtime.example.com.
	Service, Proto, Name string
	// Network is ip4 for IPv4 addresses of targets only, ip6 for IPv6 addresses only,
	// and ip or empty for both.
	Network string
	// Scheme is Source.Scheme.
	Scheme string
	// Resolver is nil for that of the system.
	Resolver *Resolver
	// Interval is Source.Interval.
	Interval time.Duration
}

// ServiceSource returns a source of all addresses of the targets of SRV records, with
// their priorities; the weight of a target is split over its addresses. A target
// without addresses is left out. While its look-up fails and others do not, its last
// addresses stay in the list. The error beside the list says so of one of them. If no
// target can be looked up, there is no list.
func ServiceSource(s Service) Source {
	f := &serviceFinder{Service: s, whole: s.Name, names: NewNames(s.Resolver, 0)}
	if s.Service != "" || s.Proto != "" {
		f.whole = "_" + s.Service + "._" + s.Proto + "." + s.Name
	}
	if f.Resolver == nil {
		f.Resolver = system
	}
	return Source{
		Name:     cmp.Or(s.Display, "srv "+f.whole),
		Scheme:   s.Scheme,
		Interval: s.Interval,
		Memory:   f.names.Memory(),
		Lookup:   f.lookup,
	}
}

type serviceFinder struct {
	Service
	whole string // the name that has the records
	names *Names // of targets
}

// display is the name for errors.
func (f *serviceFinder) display() string { return strings.TrimSuffix(f.whole, ".") }

func (f *serviceFinder) lookup(ctx context.Context) ([]Endpoint, error) {
	_, records, err := f.Resolver.resolver.LookupSRV(ctx, f.Service.Service, f.Proto, f.Name)
	// Records whose names are invalid, an IP address as the target among them, are left
	// out, and an error is returned with the others.
	switch {
	case err == nil:
	case len(records) == 0:
		return nil, f.Resolver.explain(ctx, f.whole, "SRV record", err)
	default:
		err = fmt.Errorf("%s: SRV records whose target is no valid name are left out; an IP address is none", f.display())
	}
	// RFC 2782: a target of "." says that the service is not to be had here.
	usable := slices.DeleteFunc(slices.Clone(records), func(r *net.SRV) bool { return r.Target == "." || r.Port == 0 })
	if len(usable) == 0 {
		return nil, fmt.Errorf("%s: the name server says that the service is not available: no SRV record has a target and a port", f.display())
	}
	slices.SortFunc(usable, func(a, b *net.SRV) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Port, b.Port))
	})
	if len(usable) > MaxEndpoints {
		err = fmt.Errorf("%s: of %d SRV records the first %d are used", f.display(), len(usable), MaxEndpoints)
		usable = usable[:MaxEndpoints]
	}
	targets := make([]Target, 0, len(usable))
	for _, r := range usable {
		targets = append(targets, Target{Network: f.Network, Name: r.Target})
	}
	resolved, recent, failed := f.names.Lookup(ctx, targets)
	switch {
	case len(resolved) == 0:
		return nil, fmt.Errorf("%s: no target has an address: %w", f.display(), failed)
	case recent == 0: // all addresses are old: nothing was found
		return nil, fmt.Errorf("%s: no target can be looked up: %w", f.display(), failed)
	}
	if failed != nil {
		failed = fmt.Errorf("%s: a target: %w", f.display(), failed)
	}
	found := make(map[string][]netip.Addr, len(resolved))
	for target, ips := range resolved {
		found[target.Name] = ips
	}
	endpoints, cut := atMost(f.whole, expand(usable, found, f.Scheme == "https"))
	return endpoints, cmp.Or(err, failed, cut)
}

// expand returns the endpoints of records by priority and address. Of an address that
// two records give, the lower priority counts, or the sum of both weights. Where
// certificates are for names, an address under two names is two endpoints.
func expand(records []*net.SRV, found map[string][]netip.Addr, byName bool) []Endpoint {
	scale := make(map[uint16]uint64) // by priority
	for _, r := range records {
		scale[r.Priority] = max(scale[r.Priority], 1)
	}
	// Weights matter relative to others of their priority only. They are multiplied
	// where a small one must be split over many addresses.
	for _, r := range records {
		if n := len(found[r.Target]); r.Weight > 0 && int(r.Weight) < n {
			scale[r.Priority] = max(scale[r.Priority], uint64(n))
		}
	}
	for _, r := range records {
		if r.Weight > 0 {
			scale[r.Priority] = min(scale[r.Priority], math.MaxUint16/uint64(r.Weight))
		}
	}
	var endpoints []Endpoint
	at := make(map[string]int)
	for _, r := range records {
		port := strconv.Itoa(int(r.Port))
		ips := found[r.Target]
		weight := uint64(r.Weight) * scale[r.Priority]
		for i, ip := range ips {
			e := Endpoint{
				Address:  net.JoinHostPort(ip.String(), port),
				Host:     net.JoinHostPort(strings.TrimSuffix(r.Target, "."), port),
				Priority: r.Priority,
				Weight:   part(weight, i, len(ips)),
			}
			key := e.Address
			if byName {
				key += " " + e.Host
			}
			known, twice := at[key]
			switch {
			case !twice:
				at[key] = len(endpoints)
				endpoints = append(endpoints, e)
			case endpoints[known].Priority == e.Priority:
				endpoints[known].Weight += min(e.Weight, math.MaxUint16-endpoints[known].Weight)
			}
		}
	}
	slices.SortFunc(endpoints, func(a, b Endpoint) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), netip.MustParseAddrPort(a.Address).Compare(netip.MustParseAddrPort(b.Address)))
	})
	return endpoints
}

// part returns the i-th of n parts of a weight. The parts add up to it, but that none
// is 0 unless the weight is.
func part(weight uint64, i, n int) uint16 {
	share, rest := weight/uint64(n), weight%uint64(n)
	if uint64(i) < rest {
		share++
	}
	if weight > 0 {
		share = max(share, 1)
	}
	return uint16(share) // expand keeps weights within 16 bits
}
