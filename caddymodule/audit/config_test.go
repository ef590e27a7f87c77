package audit

import (
	"encoding/json"
	"fmt"
	"testing"
)

// Who reaches the admin API controls the gateway: strangers over the network, functions over loopback.
func TestAuditAdmin(t *testing.T) {
	const local, far = "http://127.0.0.1:9000", "http://10.1.0.10:9000"
	for _, tt := range []struct{ admin, backend, want string }{
		{`{}`, far, ""},
		{`{}`, local, "admin_loopback medium"},
		{`{}`, "http://localhost:9000", "admin_loopback medium"},
		{`{}`, "http://[::1]:9000", "admin_loopback medium"},
		{`{}`, "unix//run/edge.sock", "admin_loopback medium"},
		{`{"listen":"localhost:2019"}`, local, "admin_loopback medium"},
		{`{"listen":"127.0.0.1:2020"}`, local, "admin_loopback medium"},
		{`{"listen":"unix//run/edgegate/admin.sock|0600"}`, local, ""},
		{`{"disabled":true}`, local, ""},
		{`{"listen":":2019"}`, far, "admin_address high"},
		{`{"listen":"0.0.0.0:2019"}`, local, "admin_address high"},
		{`{"listen":"10.0.0.1:2019"}`, local, "admin_address high"},
	} {
		var config map[string]any
		text := fmt.Sprintf(`{"admin":%s,"apps":{"edge_functions":{"regions":[{"backends":[%q]}]}}}`, tt.admin, tt.backend)
		if err := json.Unmarshal([]byte(text), &config); err != nil {
			t.Fatal(err)
		}
		got := ""
		if f := ofAdmin(config); f != nil {
			got = f.Check + " " + string(f.Severity)
		}
		if got != tt.want {
			t.Errorf("admin %s, backend %s: %q, want %q", tt.admin, tt.backend, got, tt.want)
		}
	}
}

func TestAuditConfig(t *testing.T) {
	good := map[string]any{"apps": map[string]any{"http": map[string]any{"servers": map[string]any{"srv0": map[string]any{
		"trusted_proxies": map[string]any{}, "routes": []any{map[string]any{"handle": []any{map[string]any{"handler": "edge_functions"}}}},
	}}}}}
	if findings := ofConfig(good); len(findings) != 0 {
		t.Errorf("a good one: %+v", findings)
	}
	headers := map[string]any{"handler": "headers", "response": map[string]any{"set": map[string]any{
		"Access-Control-Allow-Origin": []any{"*"}, "Access-Control-Allow-Credentials": []any{"true"},
	}}}
	bad := map[string]any{
		"admin": map[string]any{"listen": "0.0.0.0:2019"},
		"apps": map[string]any{
			"http": map[string]any{"servers": map[string]any{"srv0": map[string]any{
				"routes": []any{map[string]any{"handle": []any{headers, map[string]any{"handler": "edge_functions"}}}},
			}}},
			"tls": map[string]any{"automation": map[string]any{"policies": []any{map[string]any{"on_demand": true}}}},
		},
	}
	want := map[string]Severity{"admin_address": High, "on_demand_permission": High, "trusted_proxies": Low, "cors_credentials": High}
	findings := ofConfig(bad)
	for _, f := range findings {
		if want[f.Check] != f.Severity || f.Remedy == "" {
			t.Errorf("finding %+v", f)
		}
	}
	if len(findings) != len(want) {
		t.Errorf("%d findings, want %d: %+v", len(findings), len(want), findings)
	}
}
