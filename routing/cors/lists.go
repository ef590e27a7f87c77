package cors

import (
	"net/http"
	"slices"
	"strings"
)

// whitespace is the white space that HTTP allows round a list's items (RFC 9110
// section 5.6.3).
const whitespace = " \t"

// addVary adds names to Vary on one line, keeping what is there. `Vary: *` says
// more than any name and stays alone.
func addVary(h http.Header, names ...string) {
	there := items(h.Values(headerVary))
	merged := there
	if slices.Contains(there, "*") {
		return
	}
	for _, name := range names {
		if !containsFold(there, name) {
			merged = append(merged, name)
		}
	}
	if len(merged) > len(there) {
		h.Set(headerVary, strings.Join(merged, ", "))
	}
}

func containsFold(items []string, name string) bool {
	for _, item := range items {
		if strings.EqualFold(item, name) {
			return true
		}
	}
	return false
}

// items returns the non-empty items of a comma-separated header.
func items(values []string) []string {
	var list []string
	eachItem(values, func(item string) bool {
		list = append(list, item)
		return true
	})
	return list
}

// eachItem calls yield for each non-empty item of a comma-separated header, until
// it returns false.
func eachItem(values []string, yield func(string) bool) {
	for _, value := range values {
		for item := range strings.SplitSeq(value, ",") {
			item = strings.Trim(item, whitespace)
			if item != "" && !yield(item) {
				return
			}
		}
	}
}

// isToken reports whether s can be a header's name (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return true
}
