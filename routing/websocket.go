package routing

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing/projects"
)

// IsWebSocket reports whether a request asks for a WebSocket (RFC 6455,
// section 4.1).
func IsWebSocket(method string, h Header) bool {
	if method != http.MethodGet {
		return false
	}
	upgrade := h.Values("Upgrade")
	return len(upgrade) > 0 && strings.EqualFold(upgrade[0], "websocket") &&
		httpguts.HeaderValuesContainsToken(h.Values("Connection"), "upgrade")
}

// upgradable leaves those regions in the plan of a WebSocket that have a backend
// for one: HTTP/2 without TLS has no upgrades.
func upgradable(r *Request, inv *Invocation) *Refusal {
	if len(inv.Plan.Candidates) == 0 || !IsWebSocket(r.Method, r.Header) {
		return nil
	}
	inv.Plan.Candidates = slices.DeleteFunc(inv.Plan.Candidates, func(c regions.Candidate) bool { return !c.Region.Upgrades() })
	if len(inv.Plan.Candidates) == 0 {
		return upgradeUnsupported()
	}
	return nil
}

// upgradeUnsupported is the 501 of BEHAVIOUR.md section 5.
func upgradeUnsupported() *Refusal {
	return refuse(http.StatusNotImplemented, CodeUpgradeUnsupported, "The region's runtimes take no WebSockets")
}

// Where browsers, which cannot set the headers of a WebSocket, may put a token
// (BEHAVIOUR.md 3.15).
const (
	tokenParameter   = "jwt"
	tokenSubprotocol = "jwt-"
)

// webSocketToken returns the token that a WebSocket brought where its function
// allows it, "" for none. Two tokens are returned as two parts, which is the
// same mistake as in a header (BEHAVIOUR.md 3.3).
func webSocketToken(r *Request, from projects.TokenSource) string {
	if from == projects.TokenHeader || !IsWebSocket(r.Method, r.Header) {
		return ""
	}
	var tokens []string
	if from == projects.TokenQuery {
		tokens = queryTokens(r.Target)
	} else {
		tokens = subprotocolTokens(r.Header)
	}
	return strings.Join(tokens, " ")
}

func queryTokens(target string) []string {
	_, query := SplitTarget(target)
	var tokens []string
	for pair := range strings.SplitSeq(strings.TrimPrefix(query, "?"), "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(name); err != nil || name != tokenParameter {
			continue
		}
		// What cannot be decoded stays as it is, and is no token.
		if decoded, err := url.QueryUnescape(value); err == nil {
			value = decoded
		}
		if value != "" {
			tokens = append(tokens, value)
		}
	}
	return tokens
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
