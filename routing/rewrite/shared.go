package rewrite

import (
	"net/http"
	"slices"
	"strings"
)

// dropped are the headers that a function may not set on a shared host
// (contract 6.3, 6.4). They would act on the whole host, on the apex above it, on
// the other functions there, or on a server in front of the gateway.
var dropped = [...]string{
	"Set-Cookie", "Service-Worker-Allowed", "Clear-Site-Data", "Refresh", "Strict-Transport-Security",
	"Alt-Svc", "Report-To", "Nel", "Reporting-Endpoints", "X-Sendfile",
}

// droppedPrefix starts the names of the headers by which a function would command
// an nginx in front of the gateway.
const droppedPrefix = "X-Accel-"

// SharedHost applies to the header of a function's answer what holds on hosts that
// functions of several people share (contract 6.3, 6.4): it removes the names that
// no function may set there, and the links that make browsers fetch or connect, and
// forbids script to every answer that a browser could take for a document. What
// becomes of HTML in answers to GET is another matter: see Header and MakePlain.
func SharedHost(h http.Header, status int) {
	for _, name := range dropped {
		delete(h, name)
	}
	for name := range h {
		if strings.HasPrefix(name, droppedPrefix) {
			delete(h, name)
		}
	}
	filterLinks(h)
	if mergesIntoStored(status) || MayRunScript(h.Values(headerContentType)) {
		addSandbox(h)
	}
}

// mergesIntoStored reports whether browsers put the header of an answer into one
// that they have stored (RFC 9111, sections 3.2 and 3.4). Its Content-Type is not
// the one of the stored body then, and a weaker policy in it would take the place
// of ours.
func mergesIntoStored(status int) bool {
	return status == http.StatusNotModified || status == http.StatusPartialContent
}

// addSandbox adds our policy to those of the function: all of them hold at once, so
// that none can weaken another.
func addSandbox(h http.Header) {
	if !slices.Contains(h[headerPolicy], sandbox) {
		h.Add(headerPolicy, sandbox)
	}
}

// MayRunScript reports whether a browser could run script in a document of this
// Content-Type, given all values of the header: the HTML and XML families, parts
// that replace one another, and whatever makes browsers look at the body or is
// read differently by different browsers, of which no value at all is one.
func MayRunScript(values []string) bool {
	if len(values) != 1 || strings.Contains(values[0], ",") {
		return true // several types, of which browsers do not all take the same
	}
	typ := essence(values[0])
	if !isMediaType(values[0], typ) {
		return true
	}
	typ = strings.ToLower(typ)
	main, sub, _ := strings.Cut(typ, "/")
	switch {
	case typ == "unknown/unknown", typ == "application/unknown":
		return true // browsers sniff
	case main == "multipart":
		return true // Firefox takes multipart/mixed for x-mixed-replace
	case sub == "xml", strings.HasSuffix(sub, "+xml"), strings.HasPrefix(sub, "xml-"):
		return true
	}
	for _, family := range [...]string{"html", "svg", "xsl", "rdf", "mathml", "xul"} {
		if strings.Contains(sub, family) {
			return true
		}
	}
	return false
}
