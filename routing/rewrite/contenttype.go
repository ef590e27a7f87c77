package rewrite

import (
	"net/http"
	"strings"
)

// whitespace is HTTP whitespace (Fetch standard), wider than HTTP's own grammar
// since browsers trim all of it.
const whitespace = " \t\r\n"

// Header judges a response by its header: ContentType, except that an encoded body
// without a usable type is Plain at once. Browsers look for HTML in the decoded
// bytes, and those are not seen here (contract 6.7).
func Header(h http.Header) Verdict {
	verdict := ContentType(h.Values(headerContentType))
	if verdict != SniffBody {
		return verdict
	}
	for _, value := range h.Values("Content-Encoding") {
		for coding := range strings.SplitSeq(value, ",") {
			coding = strings.Trim(coding, whitespace)
			if coding != "" && !asciiEqualFold(coding, "identity") {
				return Plain
			}
		}
	}
	return SniffBody
}

// ContentType judges the values of a response's Content-Type header. Browsers
// disagree on which of several types counts, so one text/html among them is enough
// for Plain. Types that make browsers look at the body (MIME Sniffing standard,
// section 7), or that they cannot read, are SniffBody; no value is too.
func ContentType(values []string) Verdict {
	// After a quote, browsers that heed quoted strings may see no new part where a
	// comma is. Such a part can make the verdict stricter, never milder.
	usable, invitesSniffing, quoted := false, false, false
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			switch typ := essence(part); {
			case asciiEqualFold(typ, "text/html"):
				return Plain
			case asciiEqualFold(typ, "unknown/unknown"), asciiEqualFold(typ, "application/unknown"):
				invitesSniffing = true
			case !quoted && isMediaType(part, typ):
				usable = true
			}
			quoted = quoted || strings.Contains(part, `"`)
		}
	}
	if invitesSniffing || !usable {
		return SniffBody
	}
	return Keep
}

// essence returns what a browser may take for the type in one part of the header.
// The standard ends it at the semicolon; Chromium also at white space or an opening
// parenthesis, so that "text/html x" and "text/html(x)" are HTML there.
func essence(part string) string {
	part = strings.Trim(part, whitespace)
	if end := strings.IndexAny(part, ";("+whitespace); end >= 0 {
		return part[:end]
	}
	return part
}

// isMediaType reports whether browsers can read a part as type/subtype, */* apart,
// which they pass over. typ is the part's essence.
func isMediaType(part, typ string) bool {
	strict, _, _ := strings.Cut(part, ";")
	if strings.Trim(strict, whitespace) != typ || typ == "*/*" {
		return false
	}
	main, sub, ok := strings.Cut(typ, "/")
	return ok && isToken(main) && isToken(sub)
}

// isToken follows RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// asciiEqualFold compares with lower, ASCII letters in any case. Unlike
// strings.EqualFold it does not fold characters outside ASCII into it.
func asciiEqualFold(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
