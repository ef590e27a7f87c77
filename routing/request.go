package routing

import (
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/edgegate/edgegate/regions/geo"
)

// Header looks up the values of a request header by its canonical name.
// http.Header is one.
type Header interface {
	Values(name string) []string
}

// Request is the view of a request that routing decides on, independent of the
// server in front.
type Request struct {
	Method        string
	Host          string // as received, with port
	Target        string // request target as received: origin or absolute form
	Header        Header
	Trailer       http.Header // by the names announced, without values; nil for none
	ContentLength int64       // bytes; -1 when unknown
	Start         time.Time   // when the request arrived
	Client        geo.Client
	Usage         Usage // quotas and rate limits; nil: none
}

// SplitTarget returns the raw path and the raw query of a request target,
// byte for byte (contract 1.3). query includes its leading "?", so that
// an empty query and none stay apart. The absolute form loses its scheme and
// authority; the asterisk and the authority form have no path.
func SplitTarget(target string) (path, query string) {
	target = originForm(target)
	if i := strings.IndexByte(target, '?'); i >= 0 {
		return target[:i], target[i:]
	}
	return target, ""
}

// originForm returns the part of target from its path on: RFC 9112, section
// 3.2, "" for the forms without one.
func originForm(target string) string {
	if strings.HasPrefix(target, "/") {
		return target
	}
	scheme, rest, ok := strings.Cut(target, "://")
	if !ok || strings.ContainsAny(scheme, "/?#") {
		return ""
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		return rest[i:]
	}
	return "/"
}

// validTrailers reports whether all trailers that a request announces are allowed
// as trailers (contract 1.8, RFC 9110, section 6.5.1).
func validTrailers(r *Request) bool {
	for name := range r.Trailer {
		if !httpguts.ValidTrailerHeader(name) || !httpguts.ValidHeaderFieldName(name) {
			return false
		}
	}
	for _, line := range r.Header.Values("Trailer") {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(strings.Trim(name, " \t"))
			if name != "" && (!httpguts.ValidTrailerHeader(name) || !httpguts.ValidHeaderFieldName(name)) {
				return false
			}
		}
	}
	return true
}
