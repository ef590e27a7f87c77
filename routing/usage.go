package routing

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/edgegate/edgegate/routing/projects"
)

// Usage keeps one request within what its organization may use (contract
// 7.3, 7.5).
type Usage interface {
	// Restricted returns for how long the organization's invocations are refused;
	// 0: they are not. It uses nothing.
	Restricted(*projects.Organization) time.Duration

	// LimitClient takes a token of each rate limit of the client's address. It is
	// asked before keys and tokens are looked at (contract 9.8): what it took is
	// gone whatever follows. It returns for how long there will be none, and takes
	// none then.
	LimitClient(*Invocation) time.Duration

	// Limit takes a token of each other rate limit that the invocation is under; it
	// returns for how long there will be none, and takes none then.
	Limit(*Invocation) time.Duration

	// Enter takes a place within each cap on what runs at once (contract 9.6),
	// until the request ends. It returns the scope of the cap that has none left,
	// "" if all had; else it takes none.
	Enter(*Invocation) (scope string)

	// Take takes the unit that the invocation costs. The error is ErrRestricted,
	// or another one where it is not known whether there is one.
	Take(*projects.Organization) error
}

// ErrRestricted says that an organization's quota is used up.
var ErrRestricted = errors.New("quota used up")

// restricted is the 402 of an organization past its quota (contract 7.5),
// also to requests that do not count (contract 3.25).
func restricted(r *Request, inv *Invocation) *Refusal {
	if r.Usage == nil {
		return nil
	}
	if wait := r.Usage.Restricted(inv.Project.Organization); wait > 0 {
		return overQuota(wait)
	}
	return nil
}

// clientLimited is the 429 of a client whose requests come too soon, whatever
// they bring (contract 9.8).
func clientLimited(r *Request, inv *Invocation) *Refusal {
	if r.Usage == nil {
		return nil
	}
	return tooSoon(r.Usage.LimitClient(inv))
}

// limited is the 429 of an invocation that comes too soon.
func limited(r *Request, inv *Invocation) *Refusal {
	if r.Usage == nil {
		return nil
	}
	return tooSoon(r.Usage.Limit(inv))
}

func tooSoon(wait time.Duration) *Refusal {
	if wait <= 0 {
		return nil
	}
	refusal := refuse(http.StatusTooManyRequests, CodeRateLimitExceeded, "Rate limit exceeded")
	refusal.RetryAfter = wholeSeconds(wait)
	return refusal
}

// wholeSeconds rounds up, to one at least: Retry-After has no fractions.
func wholeSeconds(d time.Duration) time.Duration {
	return max((d + time.Second - 1).Truncate(time.Second), time.Second)
}

// enter is the 503 of a request beside too many others, also of one that does
// not count.
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

// take takes the invocation's unit, as the last thing that Admit does: what is
// refused costs nothing.
func take(r *Request, inv *Invocation) *Refusal {
	if r.Usage == nil {
		return nil
	}
	err := r.Usage.Take(inv.Project.Organization)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrRestricted):
		return overQuota(r.Usage.Restricted(inv.Project.Organization))
	}
	return unmetered(err)
}

func overQuota(wait time.Duration) *Refusal {
	refusal := refuse(http.StatusPaymentRequired, CodeProjectRestricted,
		"Service for this project is restricted due to the following violations: exceed_edge_functions_invocations_quota. "+
			"The project owner must upgrade their plan or remove spend caps to restore service.")
	refusal.BareMessage = true
	refusal.RetryAfter = wholeSeconds(wait)
	return refusal
}

// unmetered is the 503 of an invocation that cannot be recorded.
func unmetered(err error) *Refusal {
	refusal := refuse(http.StatusServiceUnavailable, CodeMeteringUnavailable, "The invocation cannot be recorded at the moment")
	refusal.RetryAfter, refusal.Cause = unavailableRetry, err
	return refusal
}
