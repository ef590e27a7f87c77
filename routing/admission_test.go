package routing

import (
	"net/http"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/routing/auth"
	"github.com/edgegate/edgegate/routing/projects"
)

// unloaded is a catalogue whose projects were never read.
type unloaded struct{ ready bool }

func (unloaded) Find(string) (projects.Match, bool) { return projects.Match{}, false }
func (u unloaded) Ready() bool                      { return u.ready }
func (unloaded) Many() bool                         { return false }

// Contract 1.7, 5.7, 5.19: 404 is for hosts that are known to be nobody's, which clients remember; before the projects are known it
// is 503.
func TestAdmitWithoutProjects(t *testing.T) {
	f := newFixture()
	f.catalogue = unloaded{ready: true}
	refusal, _ := refused(t, f.pipeline(t), request("/functions/v1/open"), http.StatusNotFound, CodeProjectNotFound)
	if want := `{"code":"PROJECT_NOT_FOUND","message":"Requested project was not found"}`; string(refusal.Body()) != want {
		t.Errorf("body %s, want %s", refusal.Body(), want)
	}
	f.catalogue = unloaded{}
	refusal, _ = refused(t, f.pipeline(t), request("/functions/v1/open"), http.StatusServiceUnavailable, CodeProjectsUnavailable)
	if want := `{"code":"PROJECTS_UNAVAILABLE","message":"The projects are not known yet"}`; string(refusal.Body()) != want {
		t.Errorf("body %s, want %s", refusal.Body(), want)
	}
	if refusal.RetryAfter <= 0 {
		t.Error("no Retry-After")
	}
}

// A function that is held back is 429, to those alone who may call it and who name no region that there is not.
func TestAdmitThrottled(t *testing.T) {
	f := newFixture()
	f.functions = append(f.functions, projects.Function{Slug: "busy", VerifyJWT: true, Status: projects.StatusThrottled})
	p := f.pipeline(t)
	bearer := []string{"Authorization", "Bearer " + goodToken()}
	for _, tt := range []struct {
		name, target string
		header       []string
		status       int
		code         string
	}{
		{"held back", "/functions/v1/busy", bearer, http.StatusTooManyRequests, CodeRateLimitExceeded},
		{"named region", "/functions/v1/busy?forceFunctionRegion=us-east-1", bearer, http.StatusTooManyRequests, CodeRateLimitExceeded},
		{"contract 3.2 no credentials", "/functions/v1/busy", nil, http.StatusUnauthorized, auth.CodeNoAuthHeader},
		{"contract 2.4 no such region", "/functions/v1/busy?forceFunctionRegion=mars", bearer, http.StatusBadRequest, CodeInvalidRegion},
	} {
		t.Run(tt.name, func(t *testing.T) {
			refusal, _ := refused(t, p, request(tt.target, tt.header...), tt.status, tt.code)
			if tt.status == http.StatusTooManyRequests && refusal.RetryAfter <= 0 {
				t.Error("no Retry-After")
			}
		})
	}
}

// Contract 3.15: a token beside the headers counts for WebSockets, and only where the function says so.
func TestAdmitWebSocketToken(t *testing.T) {
	f := newFixture()
	f.functions = append(
		f.functions,
		projects.Function{Slug: "by-query", VerifyJWT: true, WebSocketToken: projects.TokenQuery},
		projects.Function{Slug: "by-protocol", VerifyJWT: true, WebSocketToken: projects.TokenSubprotocol},
	)
	p := f.pipeline(t)
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket"}
	protocol := append([]string{"Sec-Websocket-Protocol", "jwt-" + goodToken()}, upgrade...)
	bad := goodToken()[:len(goodToken())-4] + "AAAA"
	for _, tt := range []struct {
		name, target string
		header       []string
		code         string // "" when it passes
	}{
		{"query", "by-query?jwt=" + goodToken(), upgrade, ""},
		{"subprotocol", "by-protocol", protocol, ""},
		{"forged in the query", "by-query?jwt=" + bad, upgrade, auth.CodeLegacyJWT},
		{"no WebSocket", "by-query?jwt=" + goodToken(), nil, auth.CodeNoAuthHeader},
		{"in the query of a function that takes the subprotocol", "by-protocol?jwt=" + goodToken(), upgrade, auth.CodeNoAuthHeader},
		{"in the subprotocol of a function that takes the query", "by-query", protocol, auth.CodeNoAuthHeader},
		{"of a function that takes headers only", "hello?jwt=" + goodToken(), protocol, auth.CodeNoAuthHeader},
	} {
		t.Run("contract 3.15 "+tt.name, func(t *testing.T) {
			r := request("/functions/v1/"+tt.target, tt.header...)
			if tt.code != "" {
				refused(t, p, r, http.StatusUnauthorized, tt.code)
				return
			}
			if inv := admit(t, p, r); !strings.Contains(inv.Target, inv.Slug) || inv.Identity == (auth.Identity{}) {
				t.Errorf("passed as %+v to %q", inv.Identity, inv.Target)
			}
		})
	}
}

// More signatures than the processors can check are no fault of the caller's: 503, and nothing is said of the token.
func TestUnauthorizedBusy(t *testing.T) {
	refusal := unauthorized(&auth.Failure{Code: auth.CodeOverloaded, Message: "Too many requests to verify at once", Err: auth.ErrBusy})
	if refusal.Status != http.StatusServiceUnavailable || refusal.Code != CodeGatewayOverloaded || refusal.Challenge != "" || refusal.RetryAfter <= 0 {
		t.Errorf("%+v", refusal)
	}
	if refusal := unauthorized(&auth.Failure{Code: auth.CodeLegacyJWT, Err: auth.ErrSignature, Challenge: "Bearer"}); refusal.Status != http.StatusUnauthorized {
		t.Errorf("%+v", refusal)
	}
}
