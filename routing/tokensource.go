package routing

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/edgegate/edgegate/routing/projects"
)

// Names under which browsers, which cannot set headers of a WebSocket or an
// EventSource, may send a token or a publishable key (contract 3.15).
const (
	tokenParameter   = "jwt"
	keyParameter     = "apikey"
	tokenSubprotocol = "jwt-"

	typeEventStream = "text/event-stream"
)

// isEventSource reports whether a request looks like one by EventSource: a GET that
// accepts event streams alone (HTML standard, section 9.2).
func isEventSource(method string, h Header) bool {
	accept := h.Values("Accept")
	if method != http.MethodGet || len(accept) != 1 {
		return false
	}
	mediaType, _, _ := strings.Cut(accept[0], ";")
	return strings.EqualFold(strings.Trim(mediaType, " \t"), typeEventStream) && !strings.Contains(accept[0], ",")
}

// tokenSource returns the place, other than the headers, where the request may carry
// a token.
func tokenSource(r *Request, f *projects.Function) projects.TokenSource {
	switch {
	case f.WebSocketToken != projects.TokenHeader && IsWebSocket(r.Method, r.Header):
		return f.WebSocketToken
	case f.EventSourceToken != projects.TokenHeader && isEventSource(r.Method, r.Header):
		return f.EventSourceToken
	}
	return projects.TokenHeader
}

// otherCredentials returns the token, "" for none, and the API keys that a request
// carries outside of the headers, if its function allows it. Two tokens are
// returned as two parts, which is the same mistake as in a header (contract
// 3.3).
func otherCredentials(r *Request, f *projects.Function) (token string, keys []string) {
	var tokens []string
	switch tokenSource(r, f) {
	case projects.TokenHeader:
	case projects.TokenQuery:
		tokens, keys = queryValues(r.Target, tokenParameter), queryValues(r.Target, keyParameter)
	case projects.TokenSubprotocol:
		tokens = subprotocolTokens(r.Header)
	}
	return strings.Join(tokens, " "), keys
}

// queryValues returns the values of a parameter that are not empty.
func queryValues(target, parameter string) []string {
	_, query := SplitTarget(target)
	var values []string
	for pair := range strings.SplitSeq(strings.TrimPrefix(query, "?"), "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(name); err != nil || name != parameter {
			continue
		}
		// A value that cannot be decoded stays as it is, and is no valid token.
		if decoded, err := url.QueryUnescape(value); err == nil {
			value = decoded
		}
		if value != "" {
			values = append(values, value)
		}
	}
	return values
}

func subprotocolTokens(h Header) []string {
	var tokens []string
	for _, line := range h.Values("Sec-Websocket-Protocol") {
		for item := range strings.SplitSeq(line, ",") {
			token, ok := strings.CutPrefix(strings.Trim(item, " \t"), tokenSubprotocol)
			if ok && token != "" {
				tokens = append(tokens, token)
			}
		}
	}
	return tokens
}
