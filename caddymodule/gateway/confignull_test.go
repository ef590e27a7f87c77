package gateway

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// everyOption is a configuration with a value at each place that is not text of a guest module.
const everyOption = `{
	"location":{"latitude":50.1,"longitude":8.7},
	"nearest":{"from":"client","max_spill":"150ms","max_detour":"20ms"},
	"locate":{"headers":["CF-IPCountry"],"mmdb":["/nowhere/places.mmdb"]},
	"retry":{"status":[502],"body":1024},
	"regions":[{"name":"us-east-1","backends":["http://127.0.0.1:9"],"capacity":10,"websockets":20,"coordinates":[38.9,-77.4],"bias":"1ms"}],
	"idle_timeout":"10s","max_body":1000,
	"memory":{"replay":2097152,"tokens":2097152,"limits":2097152},
	"plans":{"pro":{"functions":10,"wall_clock":"10s","quota":1000,"overage":{"price":"2.00","package":1000},"weight":2,"meter_unavailable":"open"}},
	"rate_limits":[{"scope":"project","count":5,"window":"1s","burst":5}],
	"in_flight":{"project":5,"function":5,"client_ip":5},
	"capacity_share":50,
	"invocation_log":{"sample":10},
	"tracing":{"sample":10},
	"request_metrics":true,"top_projects":5,
	"exporters":[{"exporter":"kept"}],
	"store":{"kind":"embedded","sync":"group"},
	"project":{
		"quota":1000,"grace":"1h","wall_clock":"10s","max_body":1000,"domains":["api.example.com"],"regions":["us-east-1"],
		"jwt":{"secrets":["a-secret-of-enough-bytes-for-hs256-0123456789"],"issuer":["https://a.example.com"],"audience":["b"],"role":["c"],"leeway":"1s"},
		"jwks_env":["{env.EDGEGATE_JWKS}"],
		"api_keys":[{"name":"web","type":"secret","sha256":"` + someHash + `"}],
		"cors":{"origins":["https://app.example.com"]},
		"expose":["x-one"],
		"functions":[{"slug":"hello","version":1,"wall_clock":"5s","expose":["x-two"]}]
	}
}`

// place is one value of a configuration.
type place struct {
	path  string
	entry bool // of a list or of plans, not a field
	value any
	set   func(any)
}

// placesIn returns the places of a value, outer ones first.
func placesIn(path string, value any) []place {
	var list []place
	switch value := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			inner := strings.TrimPrefix(path+"."+name, ".")
			list = append(list, place{inner, path == "plans", value[name], func(v any) { value[name] = v }})
			list = append(list, placesIn(inner, value[name])...)
		}
	case []any:
		for i := range value {
			inner := fmt.Sprintf("%s[%d]", path, i)
			list = append(list, place{inner, true, value[i], func(v any) { value[i] = v }})
			list = append(list, placesIn(inner, value[i])...)
		}
	}
	return list
}

// TestNullEmptyAndNegativeInJSON puts null, nothing and -1 at each place of a configuration: entries of lists and of plans that are null are
// refused by their path, numbers below zero are refused where they mean nothing, and nothing panics.
func TestNullEmptyAndNegativeInJSON(t *testing.T) {
	t.Setenv("EDGEGATE_JWKS", `{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`)
	if said := refused(t, appConfig(everyOption)); said != "" {
		t.Fatal(said)
	}
	signed := []string{"location.latitude", "location.longitude", "regions[0].coordinates[0]", "regions[0].coordinates[1]", "regions[0].bias"}
	try := func(p place, v any, within any) string {
		t.Helper()
		p.set(v)
		defer p.set(p.value)
		text, err := json.Marshal(within)
		if err != nil {
			t.Fatal(err)
		}
		return refused(t, appConfig(string(text)))
	}
	var app any
	if err := json.Unmarshal([]byte(everyOption), &app); err != nil {
		t.Fatal(err)
	}
	for _, p := range placesIn("", app) {
		if said := try(p, nil, app); p.entry && !strings.Contains(said, p.path+": null") {
			t.Errorf("null at %s: %q", p.path, said)
		}
		switch p.value.(type) {
		case float64:
			if said := try(p, -1, app); said == "" && !slices.Contains(signed, p.path) {
				t.Errorf("-1 at %s is taken", p.path)
			}
		case string:
			said := try(p, "", app)
			if p.entry && said == "" {
				t.Errorf(`"" at %s is taken`, p.path)
			}
			if said := try(p, -1, app); said == "" && !slices.Contains(signed, p.path) {
				t.Errorf("-1 at %s is taken", p.path)
			}
		case map[string]any:
			try(p, map[string]any{}, app)
		case []any:
			try(p, []any{}, app)
		}
	}
}

func TestPlansInJSON(t *testing.T) {
	for plan, want := range map[string]string{
		`{"functions":-1}`:              "plan own: functions -1: must be a whole number, from 0",
		`{"wall_clock":-1}`:             "plan own: wall_clock: must not be negative",
		`{"quota":-1}`:                  "plan own: quota -1: must be a whole number of invocations, from 0 to 9007199254740991",
		`{"quota":9223372036854775807}`: "plan own: quota 9223372036854775807: must be a whole number of invocations, from 0 to 9007199254740991",
		`{"weight":-1}`:                 "plan own: weight: must be from 1 to 1000",
		`{"meter_unavailable":"opne"}`:  `plan own: meter_unavailable "opne": allowed are closed, open`,
		`null`:                          "plans.own: null is no value",
	} {
		// A name in capitals, and one given twice, are those of the field as well.
		for _, config := range []string{`{"plans":{"own":PLAN},`, `{"PLANS":{"own":PLAN},`, `{"plans":{"own":PLAN},"plans":{},`} {
			said := refused(t, appConfig(strings.Replace(goodApp, `{`, strings.Replace(config, `:PLAN`, `:`+plan, 1), 1)))
			if !strings.Contains(said, want) {
				t.Errorf("%s with %s: %q, want %q", config, plan, said, want)
			}
		}
	}
	_, err := ProjectRules([]byte(`{"apps":{"edge_functions":{"plans":{"own":null}}}}`))
	if err == nil || !strings.Contains(err.Error(), "plans.own: null is no value") {
		t.Errorf("%v", err)
	}
}
