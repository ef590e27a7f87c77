package cors

import (
	"net/http"
	"strings"
)

// HeaderValues is the part of a request's header that this package reads.
type HeaderValues interface {
	// Values returns all values of a header by its canonical name.
	Values(name string) []string
}

// PreflightRequest has the parts of a preflight request that decide its answer.
type PreflightRequest struct {
	// Origin is the request's Origin; see Origin.
	Origin string
	// Headers are the values of Access-Control-Request-Headers as received.
	Headers []string
}

const (
	allowedMethods = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
	// maxAge is in seconds: the longest that Chromium keeps a preflight answer.
	maxAge = "7200"

	// What of a request's list is echoed at most. Browsers send far less; without
	// a bound one could make the gateway send back more than it may receive.
	maxEchoedNames = 64
	maxEchoedBytes = 4 << 10
)

// allowedHeaders are allowed in every preflight: those that supabase-js sends.
var allowedHeaders = []string{"authorization", "x-client-info", "apikey", "content-type", "x-region"}

// IsPreflight reports whether a request is a CORS preflight (contract 4.2, Fetch
// standard): OPTIONS with an Origin and an Access-Control-Request-Method.
func IsPreflight(method string, h interface{ Values(string) []string }) bool {
	return method == http.MethodOptions && Origin(h) != "" && len(items(h.Values(headerRequestMethod))) > 0
}

// Origin returns a request's origin, "" if it has none. Several values, which no
// browser sends, come joined by commas and so are in no list of origins.
func Origin(h HeaderValues) string {
	values := h.Values(headerOrigin)
	if len(values) == 1 {
		return strings.Trim(values[0], whitespace)
	}
	return strings.Join(items(values), ", ")
}

// NewPreflightRequest reads a preflight's header.
func NewPreflightRequest(h HeaderValues) PreflightRequest {
	return PreflightRequest{Origin: Origin(h), Headers: h.Values(headerRequestHeaders)}
}

// Preflight puts the headers of the gateway's 204 to a preflight into h
// (contract 4.2). An origin that is not allowed gets only Vary (contract 4.4).
func (p *Policy) Preflight(h http.Header, req PreflightRequest) {
	addVary(h, headerOrigin, headerRequestMethod, headerRequestHeaders)
	if !p.Allowed(req.Origin) {
		return
	}
	p.allow(h, req.Origin)
	h.Set(headerAllowMethods, allowedMethods)
	h.Set(headerAllowHeaders, echo(req.Headers))
	h.Set(headerMaxAge, maxAge)
}

// echo returns the Access-Control-Allow-Headers for the requested names: those
// that are header names, as sent, then the ones always allowed. "*" is left out,
// in an answer it would mean every header.
func echo(requested []string) string {
	var b strings.Builder
	seen := make(map[string]struct{}, len(allowedHeaders)+4)
	add := func(name string) bool {
		lower := strings.ToLower(name)
		if _, twice := seen[lower]; twice {
			return false
		}
		seen[lower] = struct{}{}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(name)
		return true
	}
	echoed := 0
	eachItem(requested, func(name string) bool {
		if !isToken(name) || name == anyOrigin {
			return true
		}
		if echoed == maxEchoedNames || b.Len()+len(", ")+len(name) > maxEchoedBytes {
			return false
		}
		if add(name) {
			echoed++
		}
		return true
	})
	for _, name := range allowedHeaders {
		add(name)
	}
	return b.String()
}
