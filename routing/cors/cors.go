// Package cors decides which Cross-Origin Resource Sharing headers an answer
// carries (contract section 4, the Fetch standard's CORS protocol): the
// gateway's own preflight answer, the answers the gateway makes, and those of
// functions.
//
// It does not decide whether a request is served, which mode a function is in,
// or what the status is, and it never compares origins on behalf of a function
// in mode `cors function`.
package cors

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

const (
	headerAllowOrigin      = "Access-Control-Allow-Origin"
	headerAllowCredentials = "Access-Control-Allow-Credentials"
	headerAllowMethods     = "Access-Control-Allow-Methods"
	headerAllowHeaders     = "Access-Control-Allow-Headers"
	headerExposeHeaders    = "Access-Control-Expose-Headers"
	headerMaxAge           = "Access-Control-Max-Age"
	headerRequestMethod    = "Access-Control-Request-Method"
	headerRequestHeaders   = "Access-Control-Request-Headers"
	headerOrigin           = "Origin"
	headerVary             = "Vary"
)

// anyOrigin is the origin that stands for all of them.
const anyOrigin = "*"

// Config is a CORS policy as configured, for a site or a project.
type Config struct {
	// Origins are those allowed to read answers: scheme://host[:port], compared in
	// lower case and without a default port, or "*" alone. Default (nil): "*".
	Origins []string
	// Credentials lets browsers send cookies and read the answers to such requests.
	// It needs a list of origins (contract 4.6). Default: off.
	Credentials bool
}

// Policy is a checked Config. It is immutable and safe for concurrent use.
type Policy struct {
	any         bool
	origins     map[string]struct{}
	credentials bool
}

// New returns the Policy of a Config. Its error joins everything that is wrong,
// each with what to write instead.
func New(c Config) (*Policy, error) {
	origins := c.Origins
	if origins == nil {
		origins = []string{anyOrigin}
	}
	p := &Policy{origins: make(map[string]struct{}, len(origins)), credentials: c.Credentials}
	var errs []error
	if len(origins) == 0 {
		errs = append(errs, errors.New("the list of origins is empty: name at least one, or leave it out to allow every origin"))
	}
	for _, origin := range origins {
		if origin == anyOrigin {
			p.any = true
			continue
		}
		normal, err := parseOrigin(origin)
		if err != nil {
			errs = append(errs, fmt.Errorf("origin %q: %w", origin, err))
			continue
		}
		if _, twice := p.origins[normal]; twice {
			errs = append(errs, fmt.Errorf("origin %q: it is there twice, remove one", origin))
		}
		p.origins[normal] = struct{}{}
	}
	if p.any && len(origins) > 1 {
		errs = append(errs, errors.New(`origin "*" allows every origin: remove it, or remove the others`))
	}
	if p.any && p.credentials {
		errs = append(errs, errors.New(`origin "*" cannot be combined with credentials: list the origins that may send cookies, or turn credentials off`))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}

// Allowed reports whether an Origin header's value is in the policy. An empty
// value, that is no Origin, never is.
func (p *Policy) Allowed(origin string) bool {
	if origin == "" {
		return false
	}
	if p.any {
		return true
	}
	_, listed := p.origins[strings.ToLower(origin)]
	return listed
}

// Gateway puts the CORS headers of an answer that the gateway makes itself into
// h, so that a browser sees the real error (contract 4.4). more is exposed besides
// the gateway's own headers (contract 4.5).
func (p *Policy) Gateway(h http.Header, origin string, more ...Exposed) {
	p.vary(h)
	if p.Allowed(origin) {
		p.allow(h, origin)
		expose(h, more)
	}
}

// Response settles the CORS headers of a function's response in h. ours is the
// mode `auto`: an Access-Control-Allow-Origin of the function stays, and a missing
// one is added by policy (contract 4.3); more is exposed besides the gateway's own
// headers (contract 4.5). Without ours, mode `cors function`, the function's word
// stands (contract 4.1). In both modes each header that may stand once does
// (contract 4.9); contradicted reports that the function allowed two different
// origins, and so allows none.
func (p *Policy) Response(h http.Header, origin string, ours bool, more ...Exposed) (contradicted bool) {
	contradicted = once(h)
	if !ours {
		return contradicted
	}
	p.vary(h)
	switch {
	case contradicted:
	case len(items(h.Values(headerAllowOrigin))) > 0:
	case p.Allowed(origin):
		p.allow(h, origin)
	default:
		// A value that is left here is blank and allows no origin.
		h.Del(headerAllowOrigin)
	}
	if origin != "" && h.Get(headerAllowOrigin) != "" {
		expose(h, more)
	}
	return contradicted
}

// single are the headers that may stand once in an answer.
var single = [...]string{headerAllowOrigin, headerAllowCredentials, headerMaxAge}

// Single returns the headers that Response leaves one value of (contract 4.9), by
// their canonical names.
func Single() [3]string { return single }

// once leaves one value of each header that browsers refuse when it has several
// (contract 4.9): the first, but for two different origins, of which nobody knows
// which was meant. It reports whether there were two.
func once(h http.Header) (contradicted bool) {
	for _, name := range single {
		values := h[name]
		if len(values) == 0 || len(values) == 1 && !strings.Contains(values[0], ",") {
			continue
		}
		list := items(values)
		switch {
		case len(list) == 0: // blank ones
			h[name] = values[:1]
			continue
		case name == headerAllowOrigin && slices.ContainsFunc(list, func(other string) bool { return other != list[0] }):
			h.Del(name)
			contradicted = true
			continue
		}
		h.Set(name, list[0])
	}
	return contradicted
}

// allow writes the policy's answer to an allowed origin. Credentials are settled
// with the origin: a function's own word on them, given without an origin, must
// not widen the policy.
func (p *Policy) allow(h http.Header, origin string) {
	if p.any {
		origin = anyOrigin
	}
	h.Set(headerAllowOrigin, origin)
	if p.credentials {
		h.Set(headerAllowCredentials, "true")
	} else {
		h.Del(headerAllowCredentials)
	}
}

// vary tells caches that the answer depends on the origin, which under a list it
// always does, also when there was none (contract 4.4).
func (p *Policy) vary(h http.Header) {
	if !p.any {
		addVary(h, headerOrigin)
	}
}
