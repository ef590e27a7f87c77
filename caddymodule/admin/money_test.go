package admin_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// Questions and orders about money: what is answered of a gateway that has counted nothing, and what is refused.
func TestMoney(t *testing.T) {
	load(t, withApp(t, strings.Replace(goodApp, `"project":{`, `"project":{"organization":"acme","plan":"pro",`, 1)))
	for name, tc := range map[string]struct {
		method, target, body string
		status               int    // 0: it is answered
		want                 string // of the error, or of the answer
	}{
		"usage":                          {"GET", "/edge_functions/usage", "", 0, `"acme"`},
		"usage by days":                  {"GET", "/edge_functions/usage?daily=true", "", 0, `"acme"`},
		"usage of another word":          {"GET", "/edge_functions/usage?daily=yes", "", 400, `daily "yes": allowed are true, false`},
		"usage of no month":              {"GET", "/edge_functions/usage?period=soon", "", 400, `period "soon": must be a month such as 2026-11`},
		"a bill":                         {"GET", "/edge_functions/usage/bill", "", 0, `{`},
		"a bill of no month":             {"GET", "/edge_functions/usage/bill?period=13", "", 400, `period "13"`},
		"the quotas":                     {"GET", "/edge_functions/quota?organization=acme", "", 0, `"acme"`},
		"a quota of another shape":       {"POST", "/edge_functions/quota", `{"organisation":"acme"}`, 400, "organisation"},
		"what was corrected":             {"GET", "/edge_functions/usage/adjust", "", 0, `{`},
		"a correction of another shape":  {"POST", "/edge_functions/usage/adjust", `{"invocation":1}`, 400, "invocation"},
		"the exporters":                  {"GET", "/edge_functions/usage/exporters", "", 0, `"exporters":[]`},
		"a push without exporters":       {"POST", "/edge_functions/usage/exporters", `{}`, 400, "there is no exporter"},
		"a proof of no line":             {"GET", "/edge_functions/usage/proof", "", 400, ""},
		"a proof of an unknown line":     {"GET", "/edge_functions/usage/proof?line=0123", "", 400, ""},
		"a reconciliation":               {"GET", "/edge_functions/usage/reconcile", "", 0, `{`},
		"a reconciliation of no month":   {"GET", "/edge_functions/usage/reconcile?period=x", "", 400, `period "x"`},
		"another method":                 {"POST", "/edge_functions/usage", "", 405, "only GET is allowed"},
		"another method of two":          {"PUT", "/edge_functions/quota", "", 405, "only GET and POST is allowed"},
		"an export by another method":    {"POST", "/edge_functions/usage/export", "", 405, "only GET is allowed"},
		"an export of a month of nobody": {"GET", "/edge_functions/usage/export?format=csv&period=x", "", 400, `period "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := ask(t, tc.method, tc.target, tc.body)
			if tc.status == 0 {
				if err != nil || w.Code != http.StatusOK || !strings.Contains(w.Body.String(), tc.want) {
					t.Errorf("%d %v %s", w.Code, err, w.Body)
				}
				return
			}
			refused, ok := errors.AsType[caddy.APIError](err)
			if !ok || refused.HTTPStatus != tc.status || !strings.Contains(refused.Err.Error(), tc.want) {
				t.Errorf("%d %v, want %d %q", refused.HTTPStatus, err, tc.status, tc.want)
			}
		})
	}
}
