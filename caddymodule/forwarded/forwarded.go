// Package forwarded writes the headers by which a backend learns how the client
// called the gateway: X-Forwarded-For, -Host, -Proto, -Port and -Prefix, and
// Forwarded.
//
//	host := forwarded.SetHeaders(out.Header, in, trusted)
//
// It decides whose word counts: what a trusted proxy states about its client is
// kept and continued, what anybody else states is removed, as are all headers that
// only the gateway may set. Which proxies are trusted is decided by Caddy's
// trusted_proxies.
package forwarded

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/edgegate/edgegate/routing"
)

// SetHeaders makes the headers of a backend's request say how the client called,
// and returns the public host (contract 1.8). header has those headers of the
// client's request that go to the backend, in is the client's request. trusted
// says that the peer is a trusted proxy.
func SetHeaders(header http.Header, in *http.Request, trusted bool) (host string) {
	dropForged(header, trusted)
	if values := in.Header["Forwarded"]; trusted && len(values) > 0 {
		header["Forwarded"] = values
	}
	address := calledHere(in)
	if trusted {
		address = calledThere(in.Header, address)
	}
	setOrDelete(header, "X-Forwarded-For", forwardedFor(in, trusted))
	setOrDelete(header, "X-Forwarded-Host", address.host)
	header.Set("X-Forwarded-Proto", address.proto)
	header.Set("X-Forwarded-Port", address.port)
	header.Set("X-Forwarded-Prefix", routing.Prefix)
	return address.host
}

// dropForged removes the headers that only the gateway may set, and those that
// only a trusted proxy may.
func dropForged(header http.Header, trusted bool) {
	for name := range header {
		if owned(name) || !trusted && aboutClient(name) {
			delete(header, name)
		}
	}
}

// owned reports whether a header is the gateway's own. Runtimes that hand
// headers over as environment variables do not tell _ from -.
func owned(name string) bool {
	name = dashed(name)
	return hasPrefix(name, "sb-") || hasPrefix(name, "x-sb-")
}

// clientHeaders are what backends read as the client's address or as the URL
// that it called. A name that ends in * stands for all that begin so.
var clientHeaders = []string{
	"x-forwarded*", "forwarded", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "cf-connecting-ip*", "cf-ip*",
	"fastly-client-ip", "x-original-*", "x-rewrite-url",
	"proxy", // becomes HTTP_PROXY where headers become environment variables
}

func aboutClient(name string) bool {
	name = dashed(name)
	for _, known := range clientHeaders {
		if prefix, all := strings.CutSuffix(known, "*"); all && hasPrefix(name, prefix) || strings.EqualFold(name, known) {
			return true
		}
	}
	return false
}

func dashed(name string) string { return strings.ReplaceAll(name, "_", "-") }

func hasPrefix(name, prefix string) bool {
	return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
}

// publicAddress is the address that a client called.
type publicAddress struct{ host, proto, port string }

// calledHere returns the address of this gateway, as its peer wrote it.
func calledHere(in *http.Request) publicAddress {
	address := publicAddress{host: in.Host, proto: "http"}
	if in.TLS != nil {
		address.proto = "https"
	}
	address.port = portOf(address)
	return address
}

// calledThere returns the address that the outermost proxy states. Host, proto and
// port are one statement: where a proxy names one of the first two, what it
// leaves out of the port is not filled in from here.
func calledThere(header http.Header, here publicAddress) publicAddress {
	proto := firstOf(header, "X-Forwarded-Proto", forwardedProto)
	host := firstOf(header, "X-Forwarded-Host", forwardedHost)
	if proto == "" && host == "" {
		return here
	}
	there := here
	if proto != "" {
		there.proto = proto
	}
	if host != "" {
		there.host = host
	}
	if there.port = firstOf(header, "X-Forwarded-Port", forwardedPort); there.port == "" {
		there.port = portOf(there)
	}
	return there
}

// portOf returns the port of an address by its host, else by its proto.
func portOf(address publicAddress) string {
	if _, port, err := net.SplitHostPort(address.host); err == nil && port != "" {
		return port
	}
	if address.proto == "https" {
		return "443"
	}
	return "80"
}

// firstOf returns the first good value of a header that proxies append to: the
// outermost comes first. "" means that there is none.
func firstOf(header http.Header, name string, good func(string) string) string {
	for _, line := range header.Values(name) {
		for value := range strings.SplitSeq(line, ",") {
			if value = good(strings.TrimSpace(value)); value != "" {
				return value
			}
		}
	}
	return ""
}

// forwardedProto returns http or https; some proxies write ws and wss when they
// forward a WebSocket.
func forwardedProto(value string) string {
	switch strings.ToLower(value) {
	case "http", "ws":
		return "http"
	case "https", "wss":
		return "https"
	}
	return ""
}

func forwardedHost(value string) string {
	if value == "" || !httpguts.ValidHostHeader(value) {
		return ""
	}
	if _, port, err := net.SplitHostPort(value); err == nil && port != "" && forwardedPort(port) == "" {
		return ""
	}
	return value
}

func forwardedPort(value string) string {
	port, err := strconv.ParseUint(value, 10, 16)
	if err != nil || port == 0 {
		return ""
	}
	return strconv.FormatUint(port, 10)
}

// forwardedFor returns the chain of addresses from the client to the peer. A peer
// behind a Unix socket has none.
func forwardedFor(in *http.Request, trusted bool) string {
	var chain []string
	if trusted {
		for _, value := range in.Header.Values("X-Forwarded-For") {
			if value = strings.TrimSpace(value); value != "" {
				chain = append(chain, value)
			}
		}
	}
	if peer, err := netip.ParseAddrPort(in.RemoteAddr); err == nil {
		chain = append(chain, peer.Addr().Unmap().WithZone("").String())
	}
	return strings.Join(chain, ", ")
}

func setOrDelete(header http.Header, name, value string) {
	if value == "" {
		header.Del(name)
		return
	}
	header.Set(name, value)
}
