package rewrite

import (
	"net/http"
	"strings"
)

// SniffLength is the most bytes of a body that Sniff needs: those that
// http.DetectContentType and the MIME Sniffing standard look at.
const SniffLength = 512

// signatures start an HTML document, after white space and in any case; a space
// or ">" must follow. They are those of net/http, in whose words the server
// declares what has no Content-Type.
var signatures = []string{
	"<!doctype html", "<html", "<head", "<script", "<iframe", "<h1", "<div", "<font", "<table",
	"<a", "<style", "<title", "<b", "<body", "<br", "<p", "<!--",
}

// Sniff reports whether a body is HTML, given the bytes that have come so far; eof
// says that there are no more. decided means that further bytes cannot change the
// answer: a body that comes byte by byte is undecided while it may yet become HTML
// and gets the verdict that http.DetectContentType has on its first SniffLength
// bytes. While undecided, the caller must hold the bytes back.
func Sniff(prefix []byte, eof bool) (html, decided bool) {
	if len(prefix) >= SniffLength {
		prefix, eof = prefix[:SniffLength], true
	}
	if strings.HasPrefix(http.DetectContentType(prefix), "text/html") {
		return true, true
	}
	return false, eof || !couldBecomeHTML(prefix)
}

// couldBecomeHTML reports whether a prefix, not HTML yet, is the beginning of a
// body whose first SniffLength bytes are.
func couldBecomeHTML(prefix []byte) bool {
	start := 0
	for start < len(prefix) && isSpace(prefix[start]) {
		start++
	}
	rest := prefix[start:]
	for _, signature := range signatures {
		// The byte that ends the tag has to fit in as well.
		fits := start+len(signature) < SniffLength
		if fits && len(rest) <= len(signature) && asciiEqualFold(string(rest), signature[:len(rest)]) {
			return true
		}
	}
	return false
}

// isSpace reports whether a byte may stand before a signature (MIME Sniffing
// standard, whitespace byte).
func isSpace(b byte) bool {
	return b == ' ' || b == '\t' || b == '\n' || b == '\f' || b == '\r'
}
