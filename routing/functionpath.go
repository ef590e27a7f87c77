package routing

import (
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/edgegate/edgegate/routing/projects"
)

// Prefix is the path under which functions are called in the path form
// (contract 1.1). It is stripped before the backend sees the path.
const Prefix = "/functions/v1"

// functionPath returns the path that the backend gets, /<slug>[/rest], and the
// slug in it. ok is false when the path names no function (contract 1.1 to
// 1.4).
func functionPath(path string, hostForm bool) (backendPath, slug string, ok bool) {
	if !hostForm {
		rest, found := strings.CutPrefix(path, Prefix)
		if !found {
			return "", "", false
		}
		path = rest
	}
	if !strings.HasPrefix(path, "/") {
		return "", "", false
	}
	slug = path[1:]
	if i := strings.IndexByte(slug, '/'); i >= 0 {
		slug = slug[:i]
	}
	if !projects.ValidSlug(slug) {
		return "", "", false
	}
	return path, slug, true
}

// breaksRequestLine reports whether a target has bytes that a request line
// cannot carry: white space and control characters end its parts, and # ends a
// URL. HTTP/2 and HTTP/3 deliver a target in a field of its own and let them
// pass (contract 1.5). Bytes from 0x80 on are left to the backend.
func breaksRequestLine(target string) bool {
	for i := 0; i < len(target); i++ {
		if c := target[i]; c <= ' ' || c == '#' || c == 0x7f {
			return true
		}
	}
	return false
}

// validHost reports whether a Host can be sent on in a header line. net/http
// looks at it in HTTP/1 only.
func validHost(host string) bool { return httpguts.ValidHostHeader(host) }
