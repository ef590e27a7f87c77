package admin_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/caddymodule/admin"
	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/regions"
)

// withApp is a configuration of the gateway, with a store of its own.
func withApp(t *testing.T, app string) []byte {
	t.Helper()
	dir, err := json.Marshal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return []byte(`{"admin":{"disabled":true,"config":{"persist":false}},
		"logging":{"logs":{"default":{"writer":{"output":"discard"}}}},
		"apps":{"edge_functions":` + strings.Replace(app, `{`, `{"store":{"kind":"embedded","path":`+string(dir)+`},`, 1) + `}}`)
}

const goodApp = `{"location":{"region":"eu-central-1"},
	"regions":[{"name":"us-east-1","backends":["http://127.0.0.1:9"]},{"name":"eu-west-1","backends":["http://127.0.0.1:9","unix//run/edge.sock"]}],
	"project":{"functions":[{"slug":"*"}]}}`

// load runs a configuration until the test ends.
func load(t *testing.T, config []byte) {
	t.Helper()
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
}

func running(t *testing.T) *gateway.App {
	t.Helper()
	app, err := gateway.Running()
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// ask calls a route of the admin API as Caddy's admin server does.
func ask(t *testing.T, method, target, body string) (*httptest.ResponseRecorder, error) {
	t.Helper()
	path, _, _ := strings.Cut(target, "?")
	routes := new(admin.API).Routes()
	i := slices.IndexFunc(routes, func(r caddy.AdminRoute) bool { return r.Pattern == path })
	if i < 0 {
		t.Fatalf("no route %s", path)
	}
	w := httptest.NewRecorder()
	return w, routes[i].Handler.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
}

// answer decodes what a GET answers.
func answer(t *testing.T, target string) map[string]any {
	t.Helper()
	w, err := ask(t, http.MethodGet, target, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || got != "application/json" {
		t.Errorf("%d %s", w.Code, got)
	}
	var decoded map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &decoded); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return decoded
}

// fields fails unless an object has the names that clients rely on. More may follow.
func fields(t *testing.T, what string, object any, names ...string) map[string]any {
	t.Helper()
	m, ok := object.(map[string]any)
	if !ok {
		t.Fatalf("%s is %v", what, object)
	}
	for _, name := range names {
		if _, ok := m[name]; !ok {
			t.Errorf("%s has no %s, only %v", what, name, slices.Sorted(maps.Keys(m)))
		}
	}
	return m
}

func first(t *testing.T, what string, list any) any {
	t.Helper()
	items, ok := list.([]any)
	if !ok || len(items) == 0 {
		t.Fatalf("%s is %v", what, list)
	}
	return items[0]
}

func checkRegion(t *testing.T, list any) {
	t.Helper()
	region := fields(t, "regions[0]", first(t, "regions", list), "region", "state", "since", "rtt_ms", "load", "backends")
	states := []any{"up", "degraded", "down", "draining", "drained", "unknown"}
	if region["region"] != "us-east-1" || !slices.Contains(states, region["state"]) || region["load"] != nil {
		t.Errorf("regions[0] is %v", region)
	}
	if rtt, ok := region["rtt_ms"].(float64); !ok || rtt < 50 || rtt > 150 {
		t.Errorf("Frankfurt to Ashburn in %v ms", region["rtt_ms"])
	}
	if _, err := time.Parse(time.RFC3339Nano, region["since"].(string)); err != nil {
		t.Error(err)
	}
	b := fields(t, "backends[0]", first(t, "backends", region["backends"]), "address", "state")
	if b["address"] != "http://127.0.0.1:9" || !slices.Contains(states, b["state"]) {
		t.Errorf("backends[0] is %v", b)
	}
}

func TestStatus(t *testing.T) {
	load(t, withApp(t, goodApp))
	status := answer(t, "/edge_functions/status")
	fields(t, "status", status, "version", "location", "regions", "store", "projects")
	if location := fields(t, "location", status["location"], "region", "source"); location["region"] != "eu-central-1" || location["source"] != "configured" {
		t.Errorf("location is %v", location)
	}
	checkRegion(t, status["regions"])
	source := fields(t, "projects", status["projects"], "source", "loaded_at", "error")
	loaded, err := time.Parse(time.RFC3339Nano, source["loaded_at"].(string))
	if err != nil || time.Since(loaded) > time.Minute || source["source"] != "config" || source["error"] != nil {
		t.Errorf("projects is %v, %v", source, err)
	}
	if store := fields(t, "store", status["store"], "kind", "state"); store["kind"] != "embedded" || store["state"] != "up" {
		t.Errorf("store is %v", store)
	}
	if status["fleet"] != nil || status["gateway"] == "" {
		t.Errorf("gateway %v without a shared store hears %v", status["gateway"], status["fleet"])
	}
}

func TestStatusWithoutLocation(t *testing.T) {
	for name, tt := range map[string]struct{ location, source, rtt any }{
		"unknown":     {`null`, "unknown", nil},
		"coordinates": {`{"latitude":39.04,"longitude":-77.49}`, "configured", true},
	} {
		t.Run(name, func(t *testing.T) {
			load(t, withApp(t, strings.Replace(goodApp, `{"region":"eu-central-1"}`, tt.location.(string), 1)))
			status := answer(t, "/edge_functions/status")
			location := fields(t, "location", status["location"], "region", "source")
			if location["region"] != "" || location["source"] != tt.source {
				t.Errorf("location is %v", location)
			}
			region := first(t, "regions", status["regions"]).(map[string]any)
			if (region["rtt_ms"] != nil) != (tt.rtt != nil) {
				t.Errorf("rtt_ms is %v", region["rtt_ms"])
			}
		})
	}
}

func TestRegions(t *testing.T) {
	load(t, withApp(t, goodApp))
	got := answer(t, "/edge_functions/regions")
	checkRegion(t, got["regions"])
	if n := len(got["regions"].([]any)); n != 2 {
		t.Errorf("%d regions", n)
	}
}

func TestExplain(t *testing.T) {
	load(t, withApp(t, goodApp))
	for name, tt := range map[string]struct{ target, chosen, reason string }{
		"nearest":       {"/edge_functions/explain", "eu-west-1", "nearest"},
		"any":           {"/edge_functions/explain?region=any", "eu-west-1", "nearest"},
		"named":         {"/edge_functions/explain?region=us-east-1", "us-east-1", "explicit"},
		"named by list": {"/edge_functions/explain?region=us-east-1,eu-west-1", "us-east-1", "explicit_list"},
	} {
		t.Run(name, func(t *testing.T) {
			got := answer(t, tt.target)
			fields(t, "explain", got, "mode", "chosen", "reason", "client", "candidates")
			fields(t, "client", got["client"], "country", "source")
			if got["chosen"] != tt.chosen || got["reason"] != tt.reason || got["mode"] != "gateway" {
				t.Errorf("explain is %v", got)
			}
			candidate := fields(t, "candidates[0]", first(t, "candidates", got["candidates"]),
				"region", "rtt_ms", "base_ms", "fast_ms", "health", "load", "state", "score", "share", "why")
			if candidate["region"] != tt.chosen || candidate["share"] != 1.0 {
				t.Errorf("candidates[0] is %v", candidate)
			}
			if n := len(got["candidates"].([]any)); n != 2 {
				t.Errorf("%d candidates", n)
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	load(t, withApp(t, goodApp))
	for name, tt := range map[string]struct {
		method, target string
		status         int
		want           string
	}{
		"POST of status":          {http.MethodPost, "/edge_functions/status", 405, "only GET is allowed"},
		"POST of regions":         {http.MethodPost, "/edge_functions/regions", 405, "only GET is allowed"},
		"POST of explain":         {http.MethodPost, "/edge_functions/explain", 405, "only GET is allowed"},
		"GET of token":            {http.MethodGet, "/edge_functions/token", 405, "only POST is allowed"},
		"POST of audit":           {http.MethodPost, "/edge_functions/audit", 405, "only GET is allowed"},
		"POST of projects":        {http.MethodPost, "/edge_functions/projects", 405, "only GET is allowed"},
		"DELETE of status":        {http.MethodDelete, "/edge_functions/status", 405, "only GET is allowed"},
		"explain an unknown word": {http.MethodGet, "/edge_functions/explain?regoin=us-east-1", 400, `parameter "regoin"`},
		"explain unknown region":  {http.MethodGet, "/edge_functions/explain?region=us-west-1", 400, "us-west-1"},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := ask(t, tt.method, tt.target, "")
			checkAPIError(t, err, tt.status, tt.want)
			if w.Body.Len() > 0 {
				t.Errorf("the answer is %s", w.Body)
			}
		})
	}
}

func TestWithoutApp(t *testing.T) {
	load(t, []byte(`{"admin":{"disabled":true,"config":{"persist":false}},"logging":{"logs":{"default":{"writer":{"output":"discard"}}}}}`))
	for _, route := range new(admin.API).Routes() {
		method := http.MethodGet
		if slices.Contains([]string{"/edge_functions/token", "/edge_functions/drain", "/edge_functions/undrain", "/edge_functions/undrain/gateway"}, route.Pattern) {
			method = http.MethodPost
		}
		want := "edge_functions is not configured"
		if route.Pattern == regions.DefaultHealthURI { // for probes of this process alone
			want = "there is nothing here"
		}
		_, err := ask(t, method, route.Pattern, "")
		checkAPIError(t, err, http.StatusNotFound, want)
	}
}

func checkAPIError(t *testing.T, err error, status int, want string) {
	t.Helper()
	var refused caddy.APIError
	if !errors.As(err, &refused) || refused.HTTPStatus != status || !strings.Contains(refused.Err.Error(), want) {
		t.Errorf("the error is %#v, want %d with %q", err, status, want)
	}
}
