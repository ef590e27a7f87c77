package routing

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing/projects"
)

// purse is a usage of one organization.
type purse struct {
	wait   time.Duration
	soon   time.Duration // until the next token
	err    error
	taken  int
	tokens int
	client time.Duration // until the client's next token
	calls  int           // of the client, that had a token
	full   string        // the scope of a cap that has no place left
	places int           // taken within the caps
}

func (p *purse) Restricted(*projects.Organization) time.Duration { return p.wait }

func (p *purse) LimitClient(*Invocation) time.Duration {
	if p.client == 0 {
		p.calls++
	}
	return p.client
}

func (p *purse) Limit(*Invocation) time.Duration {
	if p.soon == 0 {
		p.tokens++
	}
	return p.soon
}

func (p *purse) Enter(*Invocation) string {
	if p.full == "" {
		p.places++
	}
	return p.full
}

func (p *purse) Take(*projects.Organization) error {
	if p.err == nil {
		p.taken++
	}
	return p.err
}

func billed(target string, p *purse, header ...string) *Request {
	r := request(target, header...)
	r.Usage = p
	return r
}

// Contract 5.5, 7.5: the hosted platform's body, and when the cycle ends.
func TestAdmitRestricted(t *testing.T) {
	p := newFixture().pipeline(t)
	for _, spent := range []*purse{
		{wait: 90500 * time.Millisecond},
		{err: ErrRestricted}, // the last unit went to another
	} {
		refusal, _ := refused(t, p, billed("/functions/v1/open", spent), http.StatusPaymentRequired, CodeProjectRestricted)
		want := `{"message":"Service for this project is restricted due to the following violations: exceed_edge_functions_invocations_quota. ` +
			`The project owner must upgrade their plan or remove spend caps to restore service."}`
		if got := string(refusal.Body()); got != want {
			t.Errorf("contract 7.5: %s", got)
		}
		if want := max(91*time.Second, 0); spent.wait > 0 && refusal.RetryAfter != want || refusal.RetryAfter <= 0 {
			t.Errorf("contract 7.5: Retry-After %s", refusal.RetryAfter)
		}
	}
}

// Contract 3.23, 3.25, 3.26, 3.29, 5.12: what is refused takes nothing, and 400 comes before 402, 402 before 503.
func TestAdmitTakesLast(t *testing.T) {
	f := newFixture()
	f.functions = append(f.functions, projects.Function{Slug: "busy", Status: projects.StatusThrottled})
	p := f.pipeline(t)
	spent := &purse{wait: time.Hour}
	refused(t, p, billed("/functions/v1/hello", spent), http.StatusUnauthorized, "UNAUTHORIZED_NO_AUTH_HEADER")
	refused(t, p, billed("/functions/v1/open?forceFunctionRegion=mars", spent), http.StatusBadRequest, CodeInvalidRegion)
	refused(t, p, billed("/functions/v1/busy", spent), http.StatusPaymentRequired, CodeProjectRestricted)
	full := &purse{}
	refused(t, p, billed("/functions/v1/nobody", full), http.StatusNotFound, CodeNotFound)
	refused(t, p, billed("/functions/v1/busy", full), http.StatusTooManyRequests, CodeRateLimitExceeded)
	if full.taken+spent.taken != 0 {
		t.Errorf("contract 7.1: %d units for nothing", full.taken+spent.taken)
	}
	admit(t, p, billed("/functions/v1/open", full))
	if full.taken != 1 || full.tokens != 1 {
		t.Errorf("contract 7.1: %d units and %d tokens for one invocation", full.taken, full.tokens)
	}
	full.soon = 1500 * time.Millisecond
	refusal, _ := refused(t, p, billed("/functions/v1/open", full), http.StatusTooManyRequests, CodeRateLimitExceeded)
	if refusal.RetryAfter != 2*time.Second || full.taken != 1 {
		t.Errorf("429 with Retry-After %s, %d units", refusal.RetryAfter, full.taken)
	}
	// 402 comes before 429: no token goes to who is refused for good.
	spent.soon = time.Second
	refused(t, p, billed("/functions/v1/open", spent), http.StatusPaymentRequired, CodeProjectRestricted)
}

// Contract 3.20, 9.8: the client's limit comes after 404, 400 and 405, and before 401 and all that follows. Its token is gone
// whatever follows, the others' are not.
func TestAdmitLimitsClientFirst(t *testing.T) {
	f := newFixture()
	f.functions = append(f.functions, projects.Function{Slug: "busy", Status: projects.StatusThrottled})
	p := f.pipeline(t)
	for _, tt := range []struct {
		name, method, target string
		status               int
		code                 string
		limited              bool // by the client's limit, where there is no token
	}{
		{"unknown function", "GET", "/functions/v1/nobody", http.StatusNotFound, CodeNotFound, false},
		{"URL", "GET", "/functions/v1/open/../x", http.StatusBadRequest, CodeInvalidURL, false},
		{"method", "TRACE", "/functions/v1/open", http.StatusMethodNotAllowed, CodeMethodNotAllowed, false},
		{"no token", "GET", "/functions/v1/hello", http.StatusUnauthorized, "UNAUTHORIZED_NO_AUTH_HEADER", true},
		{"region", "GET", "/functions/v1/open?forceFunctionRegion=mars", http.StatusBadRequest, CodeInvalidRegion, true},
		{"throttled", "GET", "/functions/v1/busy", http.StatusTooManyRequests, CodeRateLimitExceeded, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			full := &purse{}
			r := billed(tt.target, full)
			r.Method = tt.method
			refused(t, p, r, tt.status, tt.code)
			if full.tokens != 0 || full.taken != 0 || full.calls > 0 != tt.limited {
				t.Errorf("it took %d tokens of the client, %d others and %d units", full.calls, full.tokens, full.taken)
			}
			r.Usage = &purse{client: 1500 * time.Millisecond}
			if !tt.limited {
				refused(t, p, r, tt.status, tt.code)
				return
			}
			if refusal, _ := refused(t, p, r, http.StatusTooManyRequests, CodeRateLimitExceeded); refusal.RetryAfter != 2*time.Second {
				t.Errorf("Retry-After %s", refusal.RetryAfter)
			}
		})
	}
	spent := &purse{wait: time.Hour, client: time.Second}
	refused(t, p, billed("/functions/v1/open", spent), http.StatusTooManyRequests, CodeRateLimitExceeded)
	preflight := billed("/functions/v1/hello", spent, "Origin", "https://app.test", "Access-Control-Request-Method", "POST")
	preflight.Method = http.MethodOptions
	if inv := admit(t, p, preflight); inv.Answer != AnswerPreflight || spent.calls != 0 {
		t.Errorf("a preflight that the gateway answers took %d tokens", spent.calls)
	}
}

// Contract 5.20, 5.33: what cannot be counted is not served, and nothing of the reason is told.
func TestAdmitUnmetered(t *testing.T) {
	p := newFixture().pipeline(t)
	inside := errors.New("10.0.0.7: no space left on device")
	refusal, inv := refused(t, p, billed("/functions/v1/open", &purse{err: inside}), http.StatusServiceUnavailable, CodeMeteringUnavailable)
	for _, refusal := range []*Refusal{refusal, p.Failed(inv, errors.Join(regions.ErrUnmetered, inside))} {
		if refusal.Code != CodeMeteringUnavailable || refusal.RetryAfter <= 0 || !errors.Is(refusal.Cause, inside) ||
			strings.Contains(string(refusal.Body()), "10.0.0.7") {
			t.Errorf("%+v: %s", refusal, refusal.Body())
		}
	}
}
