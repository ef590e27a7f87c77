package admin_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestDrain(t *testing.T) {
	load(t, withApp(t, goodApp))
	for _, step := range []struct{ method, path, body, want string }{
		{http.MethodPost, "drain", `{"region":"eu-west-1","over":"0s","dry_run":true}`, `"state":"drained","dry_run":true`},
		{http.MethodGet, "drain", "", `{"drains":[]}`},
		{http.MethodPost, "drain", `{"region":"eu-west-1","over":"0s"}`, `"takers":["us-east-1"]`},
		{http.MethodGet, "drain", "", `{"drains":[{"region":"eu-west-1","state":"drained",`},
		{http.MethodPost, "undrain", `{"region":"eu-west-1"}`, `"ends":null`},
	} {
		w, err := ask(t, step.method, "/edge_functions/"+step.path, step.body)
		if err != nil || !strings.Contains(w.Body.String(), step.want) {
			t.Errorf("%s %s %s: %v, %s; want in it %s", step.method, step.path, step.body, err, w.Body, step.want)
		}
	}
	for _, step := range []struct{ path, body, want string }{
		{"drain", `region=x`, "the order is not"},
		{"undrain", `{"region":"eu-west-1","at":"now"}`, `unknown field "at"`},
		{"drain", `{"region":"eu-wst-1"}`, `region "eu-wst-1" is not configured (did you mean "eu-west-1"?)`},
		{"undrain", `{"region":"eu-west-1"}`, "region eu-west-1 is not drained"},
	} {
		_, err := ask(t, http.MethodPost, "/edge_functions/"+step.path, step.body)
		checkAPIError(t, err, http.StatusBadRequest, step.want)
	}
}

func TestHealth(t *testing.T) {
	if w, err := ask(t, http.MethodGet, "/edge_functions/health", ""); err != nil || w.Body.String() != `{"ready":false,"reasons":["starting"]}`+"\n" {
		t.Errorf("before a configuration: %v, %s", err, w.Body)
	}
	load(t, withApp(t, goodApp))
	for _, step := range []struct{ method, path, body, want string }{
		{http.MethodGet, "health", "", `{"ready":true,"reasons":[]}`},
		{http.MethodGet, "drain/gateway", "", `{"phase":"serving","since":null,"ends":null,"stops":false}`},
		{http.MethodPost, "drain/gateway", `{"over":"1h","no_stop":true}`, `{"phase":"draining","since":"`},
		{http.MethodGet, "health", "", `{"ready":false,"reasons":["draining"]}`},
		{http.MethodGet, "status", "", `"health":{"ready":false,"reasons":["draining"]}`},
		{http.MethodPost, "drain/gateway", `{"over":"0s","no_stop":true}`, `{"phase":"drained","since":"`},
		{http.MethodPost, "undrain/gateway", `{}`, `{"phase":"serving"`},
		{http.MethodGet, "health", "", `{"ready":true,"reasons":[]}`},
	} {
		w, err := ask(t, step.method, "/edge_functions/"+step.path, step.body)
		if err != nil || !strings.Contains(w.Body.String(), step.want) {
			t.Errorf("%s %s %s: %v, %s; want in it %s", step.method, step.path, step.body, err, w.Body, step.want)
		}
	}
	for _, step := range []struct{ path, body, want string }{
		{"drain/gateway", `over=1`, "the order is not"},
		{"drain/gateway", `{"over":"1h","stop":true}`, `unknown field "stop"`},
		{"drain/gateway", `{"over":"long"}`, `over "long": must be a duration`},
		{"drain/gateway", `{"over":"25h"}`, "must be between 0s and 24h"},
		{"undrain/gateway", `{}`, "this gateway is not drained"},
	} {
		_, err := ask(t, http.MethodPost, "/edge_functions/"+step.path, step.body)
		checkAPIError(t, err, http.StatusBadRequest, step.want)
	}
	_, err := ask(t, http.MethodPost, "/edge_functions/health", "")
	checkAPIError(t, err, http.StatusMethodNotAllowed, "only GET is allowed")
	_, err = ask(t, http.MethodGet, "/edge_functions/health?live", "")
	checkAPIError(t, err, http.StatusBadRequest, "none is allowed")
}
