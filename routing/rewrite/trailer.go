package rewrite

import (
	"net/http"
	"slices"
	"strings"
)

// ours are the headers of answers that are not a function's to say in the end, as
// the gateway settles them in the beginning (contract 1.8, 2.7, 2.8, 4, 6.3), and
// those by which HTTP frames, routes and authenticates (RFC 9110, section 6.5.1).
// Names with one of ourPrefixes are, too.
var (
	ours = []string{
		"X-Served-By", "Vary", "Server", "Link", "Allow", "Ratelimit", "Ratelimit-Policy", "Retry-After", "Www-Authenticate",
		"X-Content-Type-Options", "X-Frame-Options", "X-Xss-Protection", "Cache-Control", "Expires", "Age", "Date", "Location",
		"Content-Type", "Content-Length", "Content-Encoding", "Content-Range", "Content-Disposition", "Content-Location",
		"Content-Security-Policy", "Content-Security-Policy-Report-Only", "Connection", "Keep-Alive", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Proxy-Authenticate", "Proxy-Connection",
	}
	ourPrefixes = []string{"Sb-", "X-Sb-", "Access-Control-", "Cross-Origin-", droppedPrefix}
)

// InTrailer reports whether a function may send a header, given by its canonical
// name, as a trailer: not what the head's policy sets or removes.
func InTrailer(name string) bool {
	return !slices.Contains(ours, name) && !slices.Contains(dropped[:], name) &&
		!slices.ContainsFunc(ourPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// Trailer removes from a function's trailers, announced or sent, those that it may
// not send.
func Trailer(h http.Header) {
	for name := range h {
		if !InTrailer(http.CanonicalHeaderKey(name)) {
			delete(h, name)
		}
	}
}
