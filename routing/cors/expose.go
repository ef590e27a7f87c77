package cors

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// exposedHeaders are the gateway's headers that scripts may read (contract 4.5).
var exposedHeaders = []string{
	"sb-error-code", "sb-request-id", "x-sb-edge-region", "x-sb-region-reason", "retry-after", "www-authenticate",
	"ratelimit", "ratelimit-policy", "x-sb-quota-remaining",
}

// exposedAlone is the list of an answer that exposes nothing else.
var exposedAlone = strings.Join(exposedHeaders, ", ")

// Exposed are names of headers that scripts may read besides the gateway's own: the
// option `expose` of a site, a project or a function. The zero value has none.
type Exposed string

// ParseExposed returns names as one list. Its error joins everything that is wrong.
func ParseExposed(names []string) (Exposed, error) {
	var errs []error
	seen := make(map[string]struct{}, len(names))
	for _, name := range names {
		lower := strings.ToLower(name)
		if _, twice := seen[lower]; twice {
			errs = append(errs, fmt.Errorf("%q is there twice, remove one", name))
		}
		seen[lower] = struct{}{}
		if !isToken(name) {
			errs = append(errs, fmt.Errorf("%q is no name of a header: write names such as x-total-count, each by itself", name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	return Exposed(strings.Join(names, ", ")), nil
}

// expose merges the gateway's exposed headers and more with those already in h. What
// is no header name is dropped: browsers ignore the whole list for one such item.
func expose(h http.Header, more []Exposed) {
	values := h.Values(headerExposeHeaders)
	extra := false
	for _, names := range more {
		extra = extra || names != ""
	}
	if len(values) == 0 && !extra {
		h.Set(headerExposeHeaders, exposedAlone)
		return
	}
	var names []string
	seen := make(map[string]struct{})
	add := func(name string) bool {
		lower := strings.ToLower(name)
		if _, twice := seen[lower]; !twice && isToken(name) {
			seen[lower] = struct{}{}
			names = append(names, name)
		}
		return true
	}
	eachItem(values, add)
	for _, list := range more {
		eachItem([]string{string(list)}, add)
	}
	for _, name := range exposedHeaders {
		add(name)
	}
	h.Set(headerExposeHeaders, strings.Join(names, ", "))
}
