package health

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// gatewayOf answers what its name says.
type gatewayOf Answer

func (g gatewayOf) Health() Answer { return Answer(g) }

func TestHandler(t *testing.T) {
	ready, not := gatewayOf{true, []Reason{}}, gatewayOf{false, []Reason{NoLedger, DrainOrdered}}
	const notBody = `{"ready":false,"reasons":["ledger_not_writable","draining"]}`
	for _, tc := range []struct {
		gateway      Gateway
		mode, method string
		status       int
		body         string
	}{
		{ready, "", http.MethodGet, 200, `{"ready":true,"reasons":[]}`},
		{ready, modeReady, http.MethodHead, 200, `{"ready":true,"reasons":[]}`},
		{not, "", http.MethodGet, 503, notBody},
		{not, modeReady, http.MethodHead, 503, notBody},
		{not, modeLive, http.MethodGet, 200, notBody},
		{ready, "", http.MethodPost, 405, `{"code":"METHOD_NOT_ALLOWED","message":"only GET and HEAD are allowed"}`},
		{not, modeLive, http.MethodOptions, 405, `{"code":"METHOD_NOT_ALLOWED","message":"only GET and HEAD are allowed"}`},
	} {
		handler := &Handler{Mode: tc.mode, gateway: tc.gateway}
		w := httptest.NewRecorder()
		if err := handler.ServeHTTP(w, httptest.NewRequest(tc.method, "/x?y", nil), nil); err != nil {
			t.Fatal(err)
		}
		if w.Code != tc.status || w.Body.String() != tc.body || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s, mode %q: %d %s %v", tc.method, tc.mode, w.Code, w.Body, w.Header())
		}
		if allow := w.Header().Get("Allow"); (allow == "GET, HEAD") != (tc.status == 405) {
			t.Errorf("%s: Allow %q", tc.method, allow)
		}
	}
}

func TestDirective(t *testing.T) {
	for text, want := range map[string]string{
		"edge_functions_health":              "",
		"edge_functions_health live":         "",
		"edge_functions_health ready":        "",
		"edge_functions_health alive":        `unexpected "alive"; write ` + "`edge_functions_health [MATCHER] [live|ready]`",
		"edge_functions_health live ready":   `unexpected "ready"`,
		"edge_functions_health {\n\tlive\n}": "live",
	} {
		err := new(Handler).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	if err := (&Handler{Mode: "alive"}).Provision(ctx); err == nil || !strings.Contains(err.Error(), "allowed are live, ready") {
		t.Errorf("mode alive: %v", err)
	}
	if err := new(Handler).Provision(ctx); err == nil || !strings.Contains(err.Error(), "edge_functions global option is missing") {
		t.Errorf("without a gateway: %v", err)
	}
}

// gatewayState answers from a State, as the app does.
type gatewayState struct{ *State }

func (g gatewayState) Health() Answer { return g.Answer(found(good)) }

func BenchmarkHandler(b *testing.B) {
	handler := &Handler{gateway: gatewayState{running()}}
	r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
	b.ReportAllocs()
	for b.Loop() {
		if err := handler.ServeHTTP(httptest.NewRecorder(), r, nil); err != nil {
			b.Fatal(err)
		}
	}
}
