package rewrite

import (
	"net/http"
	"slices"
	"strings"
)

const headerLink = "Link"

// fetching are the link relations that make a browser fetch or connect as soon as
// it sees the header (contract 6.3).
var fetching = []string{"preload", "preconnect", "dns-prefetch", "modulepreload", "stylesheet"}

// filterLinks removes the links of h that have such a relation. The others stay as
// they are.
func filterLinks(h http.Header) {
	lines := h[headerLink]
	if len(lines) == 0 {
		return
	}
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		if line = quietLinks(line); line != "" {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		h.Del(headerLink)
		return
	}
	h[headerLink] = kept
}

// quietLinks returns a value of the Link header without the links that make
// browsers fetch. A value that is none by RFC 8288 becomes "": browsers would read
// it in ways of their own.
func quietLinks(value string) string {
	links, ok := splitLinks(value)
	if !ok {
		return ""
	}
	kept := make([]string, 0, len(links))
	for _, l := range links {
		if !l.fetches {
			kept = append(kept, l.text)
		}
	}
	if len(kept) == len(links) {
		return value
	}
	return strings.Join(kept, ", ")
}

// link is one link of a Link header.
type link struct {
	text    string // as received
	fetches bool   // one of its relations makes browsers fetch
}

// splitLinks reads a value of the Link header by the grammar of RFC 8288, section
// 3, except that a parameter's value without quotes may have any visible
// characters but those that end it, as in its appendix B.
func splitLinks(value string) (links []link, ok bool) {
	s := linkScanner{rest: value}
	for {
		s.skip(whitespace + ",")
		if s.rest == "" {
			return links, true
		}
		start := s.rest
		fetches, ok := s.link()
		if !ok {
			return nil, false
		}
		text := strings.TrimRight(start[:len(start)-len(s.rest)], whitespace)
		links = append(links, link{text, fetches})
		if s.rest != "" && s.rest[0] != ',' {
			return nil, false
		}
	}
}

// linkScanner reads a Link header from left to right.
type linkScanner struct{ rest string }

// skip passes over characters.
func (s *linkScanner) skip(chars string) { s.rest = strings.TrimLeft(s.rest, chars) }

// take passes over one character, if it comes next.
func (s *linkScanner) take(c byte) bool {
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// link reads one link, its target and parameters.
func (s *linkScanner) link() (fetches, ok bool) {
	if !s.take('<') {
		return false, false
	}
	end := strings.IndexByte(s.rest, '>')
	if end < 0 || strings.ContainsFunc(s.rest[:end], func(r rune) bool { return r <= ' ' || r == '<' || r == '"' || r == 0x7f }) {
		return false, false
	}
	s.rest = s.rest[end+1:]
	for {
		s.skip(whitespace)
		if !s.take(';') {
			return fetches, true
		}
		s.skip(whitespace)
		name, value, ok := s.parameter()
		if !ok {
			return false, false
		}
		// The first counts by the RFC. Who knows whether every browser has read it.
		fetches = fetches || asciiEqualFold(name, "rel") && anyFetches(value)
	}
}

// parameter reads `name`, `name=value` or `name="value"`, or nothing, between
// semicolons.
func (s *linkScanner) parameter() (name, value string, ok bool) {
	end := strings.IndexAny(s.rest, "=;,"+whitespace)
	if end < 0 {
		end = len(s.rest)
	}
	name, s.rest = s.rest[:end], s.rest[end:]
	if name == "" {
		return "", "", s.rest == "" || s.rest[0] != '='
	}
	if !isToken(name) {
		return "", "", false
	}
	s.skip(whitespace)
	if !s.take('=') {
		return name, "", true
	}
	s.skip(whitespace)
	if s.take('"') {
		value, ok = s.quoted()
		return name, value, ok
	}
	end = strings.IndexAny(s.rest, ";,"+whitespace)
	if end < 0 {
		end = len(s.rest)
	}
	value, s.rest = s.rest[:end], s.rest[end:]
	return name, value, value != "" && !strings.ContainsAny(value, `"<>`)
}

// quoted reads the rest of a quoted string.
func (s *linkScanner) quoted() (text string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; c {
		case '"':
			s.rest = s.rest[i+1:]
			return b.String(), true
		case '\\':
			if i++; i == len(s.rest) {
				return "", false
			}
			b.WriteByte(s.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// anyFetches reports whether one of the relations in a rel parameter makes browsers
// fetch. To some readers an apostrophe is a quote.
func anyFetches(rel string) bool {
	relations := strings.FieldsFunc(strings.ToLower(rel), func(r rune) bool { return r <= ' ' || r == '\'' })
	return slices.ContainsFunc(relations, func(relation string) bool { return slices.Contains(fetching, relation) })
}
