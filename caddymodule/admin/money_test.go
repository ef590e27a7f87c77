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
		"a quota without its limit":      {"POST", "/edge_functions/quota", `{"organization":"acme"}`, 400, "limit is missing"},
		"a quota that is taken back":     {"POST", "/edge_functions/quota", `{"organization":"acme","limit":null}`, 0, `"set":false`},
		"a quota of a word":              {"POST", "/edge_functions/quota", `{"organization":"acme","limit":"many"}`, 400, "limit: must be a whole number, not string"},
		"an organization of a number":    {"POST", "/edge_functions/quota", `{"organization":1,"limit":1}`, 400, "organization: must be a string, not number"},
		"a quota too high":               {"POST", "/edge_functions/quota", `{"organization":"acme","limit":9007199254740992}`, 400, "from 0 to 9007199254740991"},
		"a quota of 2^63":                {"POST", "/edge_functions/quota", `{"organization":"acme","limit":9223372036854775808}`, 400, "limit: must be a whole number"},
		"a release of nobody":            {"POST", "/edge_functions/quota", `{"release":""}`, 400, "release: must be the id of a gateway"},
		"an order too long":              {"POST", "/edge_functions/quota", `{"organization":"` + strings.Repeat("x", 1<<16) + `"}`, 400, "longer than 65536 bytes"},
		"a quota in a list":              {"POST", "/edge_functions/quota", `[1]`, 400, "the body: must be an object, not array"},
		"two quotas":                     {"POST", "/edge_functions/quota", `{"organization":"acme","limit":1}{"organization":"acme","limit":2}`, 400, "there is more after the object"},
		"a correction and more":          {"POST", "/edge_functions/usage/adjust", `{"organization":"acme","units":1} x`, 400, "there is more after the object"},
		"a correction of a half":         {"POST", "/edge_functions/usage/adjust", `{"units":0.5}`, 400, "units: must be a whole number, not number 0.5"},
		"a correction too long":          {"POST", "/edge_functions/usage/adjust", `{"reason":"` + strings.Repeat("x", 1<<17) + `"}`, 400, "longer than 65536 bytes"},
		"a push and more":                {"POST", "/edge_functions/usage/exporters", `{}{}`, 400, "there is more after the object"},
		"a push of a word":               {"POST", "/edge_functions/usage/exporters", `{"rejected":"yes"}`, 400, "rejected: must be true or false, not string"},
		"a misspelt parameter":           {"GET", "/edge_functions/usage?organisation=acme", "", 400, `parameter "organisation": allowed are period, organization, daily (did you mean "organization"?)`},
		"a misspelt parameter of export": {"GET", "/edge_functions/usage/export?format=csv&preiod=2026-11", "", 400, `(did you mean "period"?)`},
		"a parameter of a bill":          {"GET", "/edge_functions/usage/bill?month=2026-11", "", 400, `parameter "month": allowed are period, organization`},
		"a parameter of the status":      {"GET", "/edge_functions/status?verbose=1", "", 400, `parameter "verbose": none is allowed`},
		"a parameter of the audit":       {"GET", "/edge_functions/audit?min=high", "", 400, `parameter "min": none is allowed`},
		"a parameter of an order":        {"POST", "/edge_functions/quota?organization=acme", `{}`, 400, `parameter "organization": none is allowed`},
		"what was corrected":             {"GET", "/edge_functions/usage/adjust", "", 0, `{`},
		"a correction of another shape":  {"POST", "/edge_functions/usage/adjust", `{"invocation":1}`, 400, "invocation"},
		"the exporters":                  {"GET", "/edge_functions/usage/exporters", "", 0, `"exporters":[]`},
		"a push without exporters":       {"POST", "/edge_functions/usage/exporters", `{}`, 400, "there is no exporter"},
		"a proof of no line":             {"GET", "/edge_functions/usage/proof", "", 400, ""},
		"a proof of an unknown line":     {"GET", "/edge_functions/usage/proof?line=0123", "", 400, ""},
		"a reconciliation":               {"GET", "/edge_functions/usage/reconcile", "", 0, `{`},
		"a reconciliation of no month":   {"GET", "/edge_functions/usage/reconcile?period=x", "", 400, `period "x"`},
		"another method":                 {"POST", "/edge_functions/usage", "", 405, "only GET is allowed"},
		"another method of two":          {"PUT", "/edge_functions/quota", "", 405, "only GET and POST are allowed"},
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
