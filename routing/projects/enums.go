package projects

import (
	"fmt"
	"strings"

	"github.com/edgegate/edgegate/regions/spelling"
)

// CORSMode says who answers for cross-origin calls of a function
// (contract 4.1).
type CORSMode uint8

// The CORS modes. The zero value is the default.
const (
	CORSAuto     CORSMode = iota // the gateway answers preflights and completes answers
	CORSFunction                 // OPTIONS reaches the function, its answers pass untouched
)

var corsNames = []string{"auto", "function"}

// String returns the mode as operators write it.
func (m CORSMode) String() string { return corsNames[m] }

// ParseCORSMode reads auto, function, or nothing, which is auto.
func ParseCORSMode(text string) (CORSMode, error) { return parseName[CORSMode](text, corsNames) }

// HTMLMode is the treatment of text/html answers on shared domains
// (contract 6.3).
type HTMLMode uint8

// The HTML modes. The zero value leaves the choice to the site.
const (
	HTMLBySite HTMLMode = iota
	HTMLPlain
	HTMLKeep
)

var htmlNames = []string{"", "text/plain", "keep"}

// String returns the mode as operators write it, "" for HTMLBySite.
func (m HTMLMode) String() string { return htmlNames[m] }

// ParseHTMLMode reads text/plain, keep, or nothing, which is HTMLBySite.
func ParseHTMLMode(text string) (HTMLMode, error) { return parseName[HTMLMode](text, htmlNames) }

// Status is the life-cycle state of a function.
type Status uint8

// The statuses. The zero value is the default.
const (
	StatusActive    Status = iota
	StatusRemoved          // answered as if it were not there: 404
	StatusThrottled        // answered 429, whatever the rate
)

var statusNames = []string{"ACTIVE", "REMOVED", "THROTTLED"}

// String returns the status as operators write it.
func (s Status) String() string { return statusNames[s] }

// ParseStatus reads ACTIVE, REMOVED, THROTTLED, or nothing, which is ACTIVE.
func ParseStatus(text string) (Status, error) { return parseName[Status](text, statusNames) }

// TokenSource says where a WebSocket or an EventSource may bring its token besides
// the headers, which browsers cannot set on one (contract 3.15).
type TokenSource uint8

// The token sources. The zero value is the default.
const (
	TokenHeader TokenSource = iota
	TokenQuery
	TokenSubprotocol
)

var tokenNames = []string{"", "query", "subprotocol"}

// String returns the source as operators write it, "" for TokenHeader.
func (s TokenSource) String() string { return tokenNames[s] }

// ParseTokenSource reads query, subprotocol, or nothing, which is TokenHeader.
func ParseTokenSource(text string) (TokenSource, error) {
	return parseName[TokenSource](text, tokenNames)
}

// ParseEventSourceToken reads query, or nothing, which is TokenHeader: an
// EventSource has no subprotocol.
func ParseEventSourceToken(text string) (TokenSource, error) {
	return parseName[TokenSource](text, tokenNames[:TokenQuery+1])
}

// parseName finds text among names; its index there is the value. Nothing is
// the zero value. The error lists what is allowed.
func parseName[T ~uint8](text string, names []string) (T, error) {
	for i, name := range names {
		if text == name {
			return T(i), nil
		}
	}
	if text == "" {
		return 0, nil
	}
	allowed := names
	if allowed[0] == "" {
		allowed = allowed[1:]
	}
	return 0, notAllowed(text, allowed)
}

func notAllowed(text string, allowed []string) error {
	return fmt.Errorf("%s: allowed are %s%s", quoted(text), strings.Join(allowed, ", "), spelling.DidYouMean(text, allowed))
}

// quoted shows what was written, cut so that a message stays readable.
func quoted(text string) string {
	const limit = 64
	if len(text) > limit {
		return fmt.Sprintf("%q...", text[:limit])
	}
	return fmt.Sprintf("%q", text)
}
