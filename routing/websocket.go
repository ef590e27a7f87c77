package routing

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/edgegate/edgegate/regions"
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

// upgradable removes regions from the plan of a WebSocket that have no backend for
// one: HTTP/2 without TLS has no upgrades.
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

// upgradeUnsupported is the 501 of contract 5.14.
func upgradeUnsupported() *Refusal {
	return refuse(http.StatusNotImplemented, CodeUpgradeUnsupported, "The region's runtimes take no WebSockets")
}
