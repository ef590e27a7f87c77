// Package rewrite decides what the answers of functions may do to a browser on a
// host that functions of several people share (contract 6.3, 6.4): HTML becomes
// plain text, no script runs, and headers that reach beyond the answer are removed.
// It also decides which headers may be trailers.
//
// It does not decide where the rules hold: method, shared or own host, and
// `html keep` are the caller's. Bodies are looked at, never changed.
package rewrite

import "net/http"

// Verdict tells from a response's Content-Type whether the response is HTML.
type Verdict int

const (
	// Keep is a response that no browser shows as HTML: it passes as it is.
	Keep Verdict = iota
	// Plain is a response that browsers show as HTML: call MakePlain.
	Plain
	// SniffBody is a response without a usable Content-Type. Browsers look at the
	// body then, and so must the caller, by Sniff: MakePlain if that is HTML, else
	// NoSniff.
	SniffBody
)

// String returns the verdict's name.
func (v Verdict) String() string {
	switch v {
	case Keep:
		return "keep"
	case Plain:
		return "plain"
	case SniffBody:
		return "sniff"
	}
	return "unknown"
}

const (
	headerContentType = "Content-Type"
	headerNoSniff     = "X-Content-Type-Options"
	headerPolicy      = "Content-Security-Policy"
)

// sandbox is the policy of a document that may load nothing and run nothing, and
// that has an origin of its own.
const sandbox = "default-src 'none'; sandbox"

// MakePlain makes h the header of a response that is shown as text, whatever its
// body (contract 6.3). What the function said on these three is replaced: a
// second policy of its own could only be stricter, a second type could win.
func MakePlain(h http.Header) {
	h.Set(headerContentType, "text/plain")
	h.Set(headerNoSniff, "nosniff")
	h.Set(headerPolicy, sandbox)
}

// NoSniff forbids browsers to find HTML where Sniff did not: theirs is laxer in
// places (Chromium takes "<script\n"), and a function's useless Content-Type, such
// as unknown/unknown, invites it. Content-Type itself stays as it is.
func NoSniff(h http.Header) {
	h.Set(headerNoSniff, "nosniff")
}
