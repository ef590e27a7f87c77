package routing

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions/capacity"
	"github.com/edgegate/edgegate/routing/projects"
)

// Contract 3.27, 3.28, 5.23, 9.6: the place of in_flight comes after the rate limits and the region's 503, and before the unit, which
// a refused call leaves alone. Preflights that reach the function are within it, those of the gateway are not (contract 4.1).
func TestAdmitInFlight(t *testing.T) {
	p := newFixture().pipeline(t)
	for scope, message := range map[string]string{
		"project":   `{"code":"GATEWAY_OVERLOADED","message":"Too many requests of this project are in flight"}`,
		"function":  `{"code":"GATEWAY_OVERLOADED","message":"Too many requests of this function are in flight"}`,
		"client_ip": `{"code":"GATEWAY_OVERLOADED","message":"Too many requests of this client are in flight"}`,
	} {
		full := &purse{full: scope}
		refusal, _ := refused(t, p, billed("/functions/v1/open", full), http.StatusServiceUnavailable, CodeGatewayOverloaded)
		if got := string(refusal.Body()); got != message || refusal.RetryAfter != time.Second {
			t.Errorf("%s: %s, Retry-After %s", scope, got, refusal.RetryAfter)
		}
		if full.taken != 0 || full.tokens != 1 {
			t.Errorf("%s: it took %d units and %d tokens", scope, full.taken, full.tokens)
		}
	}
	for _, before := range []struct {
		name, target string
		purse        purse
		status       int
		code         string
	}{
		{"429", "/functions/v1/open", purse{full: "project", soon: time.Second}, http.StatusTooManyRequests, CodeRateLimitExceeded},
		{"402", "/functions/v1/open", purse{full: "project", wait: time.Second}, http.StatusPaymentRequired, CodeProjectRestricted},
		{"401", "/functions/v1/hello", purse{full: "project"}, http.StatusUnauthorized, "UNAUTHORIZED_NO_AUTH_HEADER"},
	} {
		refused(t, p, billed(before.target, &before.purse), before.status, before.code)
	}
	preflight := func(slug string, u *purse) *Request {
		r := billed("/functions/v1/"+slug, u, "Origin", "https://app.test", "Access-Control-Request-Method", "POST")
		r.Method = http.MethodOptions
		return r
	}
	refused(t, p, preflight("own-cors", &purse{full: "project"}), http.StatusServiceUnavailable, CodeGatewayOverloaded)
	admit(t, p, preflight("hello", &purse{full: "project"}))
	room := &purse{}
	admit(t, p, preflight("own-cors", room))
	if room.places != 1 || room.taken != 0 {
		t.Errorf("a preflight took %d places and %d units", room.places, room.taken)
	}
	spent := &purse{err: errors.New("no ledger")}
	refused(t, p, billed("/functions/v1/open", spent), http.StatusServiceUnavailable, CodeMeteringUnavailable)
	markDown(t, p, "us-east-1")
	down := &purse{full: "project"}
	refused(t, p, billed("/functions/v1/open", down, "X-Region", "us-east-1"), http.StatusServiceUnavailable, CodeRegionUnavailable)
}

// Contract 9.6: whose room a call takes: its project's, with the weight of its plan, and where there are others no more than a
// share of it. WebSockets take their own.
func TestAdmitTenant(t *testing.T) {
	f := newFixture()
	one, two := f.project(t), f.project(t)
	heavy := *two
	heavy.Organization = &projects.Organization{ID: "acme", Plan: &projects.Plan{Weight: 7}}
	socket := []string{"Connection", "Upgrade", "Upgrade", "websocket"}
	for _, tc := range []struct {
		name      string
		catalogue hosts
		share     int64
		header    []string
		want      capacity.Tenant
		socket    bool
	}{
		{"the only one", hosts{sharedHost: {Project: one}}, 0, nil, capacity.Tenant{Project: one.Ref, Weight: 1}, false},
		{"one of two", hosts{sharedHost: {Project: one}, "b": {Project: two}}, 0, nil, capacity.Tenant{Project: one.Ref, Weight: 1, Share: 80}, false},
		{"another share", hosts{sharedHost: {Project: one}, "b": {Project: two}}, 50, nil, capacity.Tenant{Project: one.Ref, Weight: 1, Share: 50}, false},
		{"a weight", hosts{sharedHost: {Project: &heavy}, "b": {Project: one}}, 0, nil, capacity.Tenant{Project: two.Ref, Weight: 7, Share: 80}, false},
		{"a WebSocket", hosts{sharedHost: {Project: one}}, 0, socket, capacity.Tenant{Project: one.Ref, Weight: 1}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f.catalogue, f.settings.CapacityShare = tc.catalogue, tc.share
			inv := admit(t, f.pipeline(t), request("/functions/v1/open", tc.header...))
			if inv.Tenant != tc.want || inv.Socket != tc.socket {
				t.Errorf("%+v, socket %v", inv.Tenant, inv.Socket)
			}
		})
	}
}
