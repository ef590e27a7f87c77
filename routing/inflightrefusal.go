package routing

import (
	"net/http"
	"strings"
)

// enter refuses a request over a cap on requests in flight with 503, also one that
// does not count (contract 9.6).
func enter(r *Request, inv *Invocation) *Refusal {
	if r.Usage == nil {
		return nil
	}
	scope := r.Usage.Enter(inv)
	if scope == "" {
		return nil
	}
	refusal := refuse(http.StatusServiceUnavailable, CodeGatewayOverloaded, "Too many requests of this "+strings.TrimSuffix(scope, "_ip")+" are in flight")
	refusal.RetryAfter = overloadedRetry
	return refusal
}
