package dynamic

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/edgegate/edgegate/regions/discovery"
)

// addresses returns the source of the module a.
func (l *loader) addresses(options json.RawMessage) (discovery.Source, error) {
	var module reverseproxy.AUpstreams
	if err := caddy.StrictUnmarshalJSON(options, &module); err != nil {
		return discovery.Source{}, err
	}
	port, errPort := l.port(module.Port)
	resolver, at, errResolver := l.resolver(module.Resolver, module.DialTimeout, module.FallbackDelay)
	interval, errInterval := refresh(module.Refresh)
	if err := errors.Join(l.checkName(module.Name, formA), errPort, errResolver, errInterval); err != nil {
		return discovery.Source{}, err
	}
	network := versions(module.Versions)
	text := module.Port
	if text == "" || !l.preview {
		text = strconv.Itoa(int(port))
	}
	return discovery.HostSource(discovery.Host{
		Display:  "a " + net.JoinHostPort(strings.TrimSuffix(module.Name, "."), text) + only(network) + at,
		Name:     module.Name,
		Port:     port,
		Network:  network,
		Resolver: resolver,
		Interval: interval,
	}), nil
}

// service returns the source of the module srv.
func (l *loader) service(options json.RawMessage) (discovery.Source, error) {
	var module reverseproxy.SRVUpstreams
	if err := caddy.StrictUnmarshalJSON(options, &module); err != nil {
		return discovery.Source{}, err
	}
	whole := module.Name
	var errParts error
	switch {
	case module.Service != "" && module.Proto != "":
		if strings.HasPrefix(module.Service, "_") || strings.HasPrefix(module.Proto, "_") {
			errParts = errors.New("service and proto are written without the underscore at their beginning")
		}
		whole = "_" + module.Service + "._" + module.Proto + "." + module.Name
	case module.Service != "" || module.Proto != "":
		errParts = errors.New("service and proto go together; give both, or the whole name, such as _http._tcp.runtime.example.com")
	}
	network, errNetwork := dialNetwork(module.DialNetwork)
	resolver, at, errResolver := l.resolver(module.Resolver, module.DialTimeout, module.FallbackDelay)
	interval, errInterval := refresh(module.Refresh)
	var errName error
	if errName = l.checkName(module.Name, formSRV); errName == nil && errParts == nil {
		errName = l.checkName(whole, formSRV)
	}
	if err := errors.Join(errName, errParts, errNetwork, errResolver, errInterval); err != nil {
		return discovery.Source{}, err
	}
	return discovery.ServiceSource(discovery.Service{
		Display:  "srv " + strings.TrimSuffix(whole, ".") + only(network) + at,
		Service:  module.Service,
		Proto:    module.Proto,
		Name:     module.Name,
		Network:  network,
		Scheme:   l.scheme,
		Resolver: resolver,
		Interval: interval,
	}), nil
}

// unknown reports whether a text will be known only when its placeholders are filled in.
func (l *loader) unknown(text string) bool { return l.preview && placeholder.MatchString(text) }

var label = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)

// What to write instead of a name that is a number.
const (
	formA   = "write the name, and the port after it, as in `dynamic a runtime 9000`"
	formSRV = "write the whole name, such as _http._tcp.runtime.example.com"
)

// checkName returns an error if the text is no DNS name and no IP address. A name of
// digits and dots is neither: it is a port without its name, or a mistyped address.
// The form ends the error about it.
func (l *loader) checkName(name, form string) error {
	if l.unknown(name) {
		return nil
	}
	if name == "" {
		return errors.New("the name is missing")
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return nil
	}
	if host, port, err := net.SplitHostPort(name); err == nil && port != "" && strings.Trim(port, "0123456789") == "" {
		return fmt.Errorf("name %q: write the port by itself, as in `dynamic a %s %s`", name, host, port)
	}
	if strings.Trim(name, "0123456789.") == "" {
		return fmt.Errorf("name %q is neither a DNS name nor an IP address; %s", name, form)
	}
	for part := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if !label.MatchString(part) || len(name) > 254 {
			return fmt.Errorf("name %q is no DNS name: want letters, digits, - and _ between dots, at most 63 between two of them", name)
		}
	}
	return nil
}

// port returns the port of backends.
func (l *loader) port(text string) (uint16, error) {
	if text == "" {
		if l.scheme == "https" {
			return 443, nil
		}
		return 80, nil
	}
	if l.unknown(text) {
		return 0, nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("port %q: must be a number from 1 to 65535", text)
	}
	return uint16(port), nil
}

// refresh returns the time between two look-ups.
func refresh(interval caddy.Duration) (time.Duration, error) {
	switch refresh := time.Duration(interval); {
	case refresh == 0:
		return discovery.DefaultInterval, nil
	case refresh < discovery.MinInterval:
		return 0, fmt.Errorf("refresh %s: must be at least %s", refresh, discovery.MinInterval)
	default:
		return refresh, nil
	}
}

// versions returns the network of the families of addresses, as Caddy does: without
// any choice both; one that is not chosen is left out.
func versions(v *reverseproxy.IPVersions) string {
	if v == nil || v.IPv4 == nil && v.IPv6 == nil {
		return "ip"
	}
	v4, v6 := v.IPv4 != nil && *v.IPv4, v.IPv6 != nil && *v.IPv6
	switch {
	case v4 && !v6:
		return "ip4"
	case v6 && !v4:
		return "ip6"
	}
	return "ip"
}

// dialNetwork returns the network of the families that a network of dialing has.
func dialNetwork(network string) (string, error) {
	switch network {
	case "", "tcp":
		return "ip", nil
	case "tcp4":
		return "ip4", nil
	case "tcp6":
		return "ip6", nil
	}
	return "", fmt.Errorf("dial_network %q: allowed are tcp, tcp4, tcp6", network)
}

// only is the part of a source's name that says which family it is restricted to.
func only(network string) string {
	return map[string]string{"ip4": " ipv4", "ip6": " ipv6"}[network]
}

// resolver returns the resolver of an option, nil for that of the system, and the part
// of the source's name that says which it is.
func (l *loader) resolver(option *reverseproxy.UpstreamResolver, dialTimeout, fallbackDelay caddy.Duration) (*discovery.Resolver, string, error) {
	if dialTimeout < 0 {
		return nil, "", errors.New("dial_timeout: must not be negative")
	}
	if option == nil {
		return nil, "", nil
	}
	if len(option.Addresses) == 0 {
		return nil, "", errors.New("resolvers: no address of a name server")
	}
	var addresses []string
	for _, text := range option.Addresses {
		if l.unknown(text) {
			addresses = append(addresses, text)
			continue
		}
		address, err := nameServer(text)
		if err != nil {
			return nil, "", err
		}
		addresses = append(addresses, address)
	}
	resolver := discovery.NewResolver(addresses, time.Duration(dialTimeout), time.Duration(fallbackDelay))
	return resolver, " by " + strings.Join(addresses, ","), nil
}

// nameServer returns an address as discovery.NewResolver takes it.
func nameServer(text string) (string, error) {
	const forms = "write ADDRESS, ADDRESS:PORT or tcp/ADDRESS:PORT"
	address, err := caddy.ParseNetworkAddressWithDefaults(text, "udp", 53)
	switch {
	case err != nil:
		return "", fmt.Errorf("resolvers %q: %w; %s", text, err, forms)
	case address.Host == "" || address.PortRangeSize() != 1 || address.StartPort == 0:
		return "", fmt.Errorf("resolvers %q: %s", text, forms)
	}
	prefix := ""
	switch address.Network {
	case "udp":
	case "tcp":
		prefix = "tcp/"
	default:
		return "", fmt.Errorf("resolvers %q: name servers are asked over udp or tcp; %s", text, forms)
	}
	return prefix + address.JoinHostPort(0), nil
}
