package routing

import (
	"net/http"
	"time"
)

// clientLimited refuses a client over a rate limit of its address with 429,
// before its keys and tokens are checked (contract 9.8).
func clientLimited(r *Request, inv *Invocation) *Refusal {
	if r.Usage == nil {
		return nil
	}
	return tooSoon(r.Usage.LimitClient(inv))
}

// limited refuses an invocation over any other rate limit with 429.
func limited(r *Request, inv *Invocation) *Refusal {
	if r.Usage == nil {
		return nil
	}
	return tooSoon(r.Usage.Limit(inv))
}

// tooSoon is the 429 with its Retry-After; nil if there is no wait.
func tooSoon(wait time.Duration) *Refusal {
	if wait <= 0 {
		return nil
	}
	refusal := refuse(http.StatusTooManyRequests, CodeRateLimitExceeded, "Rate limit exceeded")
	refusal.RetryAfter = wholeSeconds(wait)
	return refusal
}

// wholeSeconds rounds up, to at least one second: Retry-After has no fractions.
func wholeSeconds(d time.Duration) time.Duration {
	return max((d + time.Second - 1).Truncate(time.Second), time.Second)
}
