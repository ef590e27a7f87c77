package discovery

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// exchangeTimeout bounds one query to one name server. It is shorter than the 5 s of
// most systems: a packet that is lost, or a name server that is down, must leave time
// within LookupTimeout to ask again, or to ask the next.
const exchangeTimeout = time.Second

// Resolver looks names up.
type Resolver struct {
	// resolver returns what it got: only the IPv4 addresses, say, while the query for
	// IPv6 addresses fails. strict returns all or an error.
	resolver, strict *net.Resolver
	// servers are the name servers for error messages; empty for those of the system.
	servers string
}

// system looks names up as the system is configured to, the hosts file included.
var system = newResolver(nil, &net.Dialer{})

// NewResolver returns a Resolver that asks the name servers at the given addresses
// (HOST:PORT, or tcp/HOST:PORT for one that is to be asked over TCP only) instead of
// those of the system, in turn, beginning with any. One that fails is asked last for some
// seconds. It reads the system's hosts file and search domains. Longer answers than fit into a packet are read over TCP.
//
// dialTimeout bounds connecting to a name server, and fallbackDelay is that of
// net.Dialer, for a name server that is given by name; 0 stands for their defaults.
func NewResolver(addresses []string, dialTimeout, fallbackDelay time.Duration) *Resolver {
	return newResolver(addresses, &net.Dialer{Timeout: dialTimeout, FallbackDelay: fallbackDelay})
}

func newResolver(addresses []string, dialer *net.Dialer) *Resolver {
	servers := newServers(addresses)
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		q := &query{servers: servers, ctx: ctx, started: time.Now()}
		if servers != nil {
			q.server = servers.pick(q.started)
			network, address = q.server.network(network)
		}
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			q.failed(err)
			return nil, err
		}
		return bound(q, conn), nil
	}
	own := len(addresses) > 0
	return &Resolver{
		resolver: &net.Resolver{PreferGo: own, Dial: dial},
		strict:   &net.Resolver{PreferGo: own, Dial: dial, StrictErrors: true},
		servers:  strings.Join(addresses, ", "),
	}
}

// addressesOf returns the usable addresses of a name, sorted. Link-local addresses without
// a zone are not usable: 169.254.169.254 is the metadata service of many clouds. An IP
// address in place of the name is the operator's own choice. The network is ip, ip4 or
// ip6.
func addressesOf(ctx context.Context, resolver *net.Resolver, network, name string) (usable []netip.Addr, found int, err error) {
	var all []netip.Addr
	if ip, err := netip.ParseAddr(name); err == nil {
		if network == "ip4" && !ip.Unmap().Is4() || network == "ip6" && ip.Unmap().Is4() {
			return nil, 0, &net.DNSError{Name: name, IsNotFound: true}
		}
		return clean([]netip.Addr{ip}), 1, nil
	} else if network == "ip" {
		// Only this one keeps the zones of the hosts file.
		found, err := resolver.LookupIPAddr(ctx, name)
		if err != nil {
			return nil, 0, err
		}
		for _, ip := range found {
			if addr, ok := netip.AddrFromSlice(ip.IP); ok {
				all = append(all, addr.Unmap().WithZone(ip.Zone))
			}
		}
	} else if all, err = resolver.LookupNetIP(ctx, network, name); err != nil {
		return nil, 0, err
	}
	usable = slices.DeleteFunc(clean(all), func(ip netip.Addr) bool { return ip.IsLinkLocalUnicast() && ip.Zone() == "" })
	return usable, len(all), nil
}

// bound returns the connection for one query, which ends with ctx and after
// exchangeTimeout. The resolver of package net by itself waits for the timeout of the
// system, even after ctx was canceled.
func bound(q *query, conn net.Conn) net.Conn {
	ctx := q.ctx
	end := time.Now().Add(exchangeTimeout)
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	b := bounds{ctx: ctx, end: end, stop: stop}
	// The resolver tells packets from streams by the methods of the connection.
	if udp, ok := conn.(*net.UDPConn); ok {
		return &packetConn{udp, b, q}
	}
	return &streamConn{conn, b, q}
}

type bounds struct {
	ctx  context.Context //nolint:containedctx // of the query that the connection is for
	end  time.Time
	stop func() bool
}

// earlier returns the deadline that holds if t is asked for.
func (b bounds) earlier(t time.Time) time.Time {
	if b.ctx.Err() != nil {
		return time.Unix(1, 0)
	}
	if t.IsZero() || t.After(b.end) {
		return b.end
	}
	return t
}

type packetConn struct {
	*net.UDPConn
	bounds
	query *query
}

func (c *packetConn) Read(b []byte) (int, error) {
	n, err := c.UDPConn.Read(b)
	if err != nil {
		c.query.failed(err)
	} else {
		c.query.answeredPacket(b[:n])
	}
	return n, err
}

func (c *packetConn) SetDeadline(t time.Time) error { return c.UDPConn.SetDeadline(c.earlier(t)) }

func (c *packetConn) Close() error {
	c.stop()
	return c.UDPConn.Close()
}

type streamConn struct {
	net.Conn
	bounds
	query *query
}

func (c *streamConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.query.answeredStream(b[:n])
	if err != nil {
		c.query.failed(err)
	}
	return n, err
}

func (c *streamConn) SetDeadline(t time.Time) error { return c.Conn.SetDeadline(c.earlier(t)) }

func (c *streamConn) Close() error {
	c.stop()
	return c.Conn.Close()
}
