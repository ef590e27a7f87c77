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
