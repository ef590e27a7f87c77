package routing

import (
	"errors"
	"net/http"
	"time"
)

// restricted refuses an organization past its quota with 402 (contract 7.5), also
// requests that do not count (contract 3.25).
func restricted(r *Request, inv *Invocation) *Refusal {
	if r.Usage == nil {
		return nil
	}
	if wait := r.Usage.Restricted(inv.Project.Organization); wait > 0 {
		return overQuota(wait)
	}
	return nil
}

// take takes one unit of the quota for the invocation. It is the last step of
// Admit: refused requests cost nothing.
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

// overQuota is the 402.
func overQuota(wait time.Duration) *Refusal {
	refusal := refuse(http.StatusPaymentRequired, CodeProjectRestricted,
		"Service for this project is restricted due to the following violations: exceed_edge_functions_invocations_quota. "+
			"The project owner must upgrade their plan or remove spend caps to restore service.")
	refusal.BareMessage = true
	refusal.RetryAfter = wholeSeconds(wait)
	return refusal
}

// unmetered is the 503 for an invocation that cannot be recorded.
func unmetered(err error) *Refusal {
	refusal := refuse(http.StatusServiceUnavailable, CodeMeteringUnavailable, "The invocation cannot be recorded at the moment")
	refusal.RetryAfter, refusal.Cause = unavailableRetry, err
	return refusal
}
