package dynamic

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/edgegate/edgegate/regions/discovery"
)

// guest returns the source of any other module. Its options are as they were written,
// and with placeholders filled in.
func (l *loader) guest(name string, written, filled json.RawMessage) (discovery.Source, error) {
	// The sum tells two of them apart, and nothing of what the options are.
	display := fmt.Sprintf("%s %.4x", name, sha256.Sum256(written))
	source := discovery.Source{Name: display, Interval: discovery.MinInterval}
	if l.preview {
		source.Lookup = func(context.Context) ([]discovery.Endpoint, error) {
			return nil, errors.New(name + ": the module is not loaded")
		}
		return source, nil
	}
	module, err := l.ctx.LoadModuleByID(Namespace+"."+name, filled)
	if err != nil {
		return discovery.Source{}, err
	}
	upstreams, ok := module.(reverseproxy.UpstreamSource)
	if !ok {
		return discovery.Source{}, errors.New("the module is no source of upstreams")
	}
	g := &guest{
		name:      name,
		upstreams: upstreams,
		scheme:    l.scheme,
		names:     discovery.NewNames(nil, discovery.DefaultInterval),
	}
	source.Memory, source.Lookup = g.names.Memory(), g.lookup
	return source, nil
}

// guest asks a module for its upstreams.
type guest struct {
	name      string
	upstreams reverseproxy.UpstreamSource
	scheme    string
	names     *discovery.Names
	asked     *question // that has no answer yet
}

// question is one call of a module.
type question struct {
	done      chan struct{} // closed when the module returned
	upstreams []*reverseproxy.Upstream
	err       error
}

func (g *guest) lookup(ctx context.Context) ([]discovery.Endpoint, error) {
	upstreams, err := g.ask(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g.name, err)
	}
	endpoints, err := g.endpoints(ctx, upstreams)
	if err != nil {
		err = fmt.Errorf("%s: %w", g.name, err)
	}
	return endpoints, err
}

// ask calls the module and waits until it returns, or ctx ends. A module that does not
// return is not called again before it does.
func (g *guest) ask(ctx context.Context) ([]*reverseproxy.Upstream, error) {
	if earlier := g.asked; earlier != nil {
		select {
		case <-earlier.done: // its answer is old
			g.asked = nil
		case <-ctx.Done():
			return nil, late(ctx, "an earlier call of the module did not return yet")
		}
	}
	q := &question{done: make(chan struct{})}
	go func() {
		defer close(q.done)
		defer func() {
			if reason := recover(); reason != nil {
				q.err = fmt.Errorf("the module panicked: %v", reason)
			}
		}()
		q.upstreams, q.err = g.upstreams.GetUpstreams(request(ctx))
	}()
	select {
	case <-q.done:
		return q.upstreams, q.err
	case <-ctx.Done():
		g.asked = q
		return nil, late(ctx, "the module did not return in time")
	}
}

// late returns the error of a look-up whose context has ended.
func late(ctx context.Context, text string) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return errors.New(text)
}

// request returns a request as modules get it from reverse_proxy, with nothing of a
// client in it.
func request(ctx context.Context) *http.Request {
	r := (&http.Request{
		Method:     http.MethodGet,
		URL:        &url.URL{Path: "/"},
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     make(http.Header),
		Body:       http.NoBody,
		Host:       "dynamic.invalid",
		RemoteAddr: "127.0.0.1:0",
		RequestURI: "/",
	}).WithContext(ctx)
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, new(caddyhttp.Server))
}

// upstream is the address of a backend as a module gave it: its name is not looked up
// yet.
type upstream struct {
	target discovery.Target
	port   string
	socket string // instead of target and port
}

// endpoints returns the addresses of upstreams, each once, or once a name where
// certificates are for names, and the error of one that is
// not valid or has no address. If none can be looked up, there are no endpoints.
func (g *guest) endpoints(ctx context.Context, upstreams []*reverseproxy.Upstream) ([]discovery.Endpoint, error) {
	var (
		parsed  []upstream
		targets []discovery.Target
		failure error
	)
	for _, u := range upstreams {
		if u == nil {
			continue
		}
		one, err := g.parse(u.Dial)
		if err != nil {
			failure = err
			continue
		}
		parsed = append(parsed, one)
		if one.socket == "" {
			targets = append(targets, one.target)
		}
	}
	found, recent, err := g.names.Lookup(ctx, targets)
	if failure == nil {
		failure = err
	}
	if recent == 0 && len(targets) == len(parsed) && failure != nil {
		return nil, failure // there are no sockets, and all addresses are old
	}
	var endpoints []discovery.Endpoint
	seen := make(map[string]bool)
	add := func(e discovery.Endpoint) {
		key := e.Address
		if g.scheme == "https" { // certificates are for names
			key += " " + e.Host
		}
		if !seen[key] {
			seen[key] = true
			endpoints = append(endpoints, e)
		}
	}
	for _, one := range parsed {
		if one.socket != "" {
			add(discovery.Endpoint{Address: one.socket})
			continue
		}
		for _, ip := range found[one.target] {
			add(discovery.Endpoint{
				Address: net.JoinHostPort(ip.String(), one.port),
				Host:    net.JoinHostPort(one.target.Name, one.port),
			})
		}
	}
	return endpoints, failure
}

// parse reads the address of an upstream: [NETWORK/]HOST:PORT, or unix/ and the
// absolute path of a socket.
func (g *guest) parse(dial string) (upstream, error) {
	filled, err := caddy.NewReplacer().ReplaceOrErr(dial, true, true)
	if err != nil {
		return upstream{}, fmt.Errorf("upstream %q: %w", dial, err)
	}
	address, err := caddy.ParseNetworkAddress(filled)
	if err != nil {
		return upstream{}, fmt.Errorf("upstream %q: %w", dial, err)
	}
	if address.Network == "unix" || address.Network == "unix+h2c" && g.scheme == "h2c" {
		if !path.IsAbs(address.Host) {
			return upstream{}, fmt.Errorf("upstream %q: the path of the socket is not absolute", dial)
		}
		return upstream{socket: address.Host}, nil
	}
	network, err := dialNetwork(address.Network)
	if err != nil {
		return upstream{}, fmt.Errorf("upstream %q: it cannot be reached over %s", dial, address.Network)
	}
	if address.Host == "" || address.StartPort == 0 || address.PortRangeSize() != 1 {
		return upstream{}, fmt.Errorf("upstream %q: want HOST:PORT", dial)
	}
	if ip, err := netip.ParseAddr(address.Host); err == nil {
		address.Host = ip.Unmap().String()
	}
	return upstream{
		target: discovery.Target{Network: network, Name: address.Host},
		port:   strconv.FormatUint(uint64(address.StartPort), 10),
	}, nil
}
