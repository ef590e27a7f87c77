package routing

import (
	"strings"
	"time"
)

// Header looks up the values of a request header by its canonical name.
// http.Header is one.
type Header interface {
	Values(name string) []string
}

// Request is the neutral view of a request that every front door can give.
type Request struct {
	Method        string
	Host          string // as received, with port
	Target        string // request target as received: origin or absolute form
	Header        Header
	ContentLength int64     // bytes; -1 when unknown
	Start         time.Time // when the request arrived
}

// SplitTarget returns the raw path and the raw query of a request target,
// byte for byte (BEHAVIOUR.md 1.3). query includes its leading "?", so that
// an empty query and none stay apart. The absolute form loses its scheme and
// authority; the asterisk form has no path.
func SplitTarget(target string) (path, query string) {
	if !strings.HasPrefix(target, "/") {
		i := strings.Index(target, "://")
		if i < 0 {
			return "", ""
		}
		target = target[i+len("://"):]
		j := strings.IndexAny(target, "/?")
		if j < 0 {
			return "/", ""
		}
		target = target[j:]
	}
	if i := strings.IndexByte(target, '?'); i >= 0 {
		return target[:i], target[i:]
	}
	return target, ""
}
