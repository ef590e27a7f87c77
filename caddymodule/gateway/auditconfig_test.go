package gateway

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
		if f := auditAdmin(config); f != nil {
			got = f.Check + " " + string(f.Severity)
		}
		if got != tt.want {
			t.Errorf("admin %s, backend %s: %q, want %q", tt.admin, tt.backend, got, tt.want)
		}
	}
}
