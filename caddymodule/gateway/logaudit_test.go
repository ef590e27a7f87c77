package gateway

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/caddymodule/audit"
)

// What the start takes for safe (logs.Exposes) is what the audit of a configuration does.
func TestExposingLogsAreFound(t *testing.T) {
	shipped := `"fields":{"request>headers":{"filter":"delete"},"request>uri":{"filter":"query","actions":[]}}`
	for config, safe := range map[string]bool{
		`{"format":"json"}`:                                                    false,
		`{"format":"console"}`:                                                 false,
		`{"format":"edge_functions"}`:                                          true,
		`{"format":"edge_functions","wrap":{"format":"console"}}`:              true,
		`{"format":"append","wrap":{"format":"edge_functions"}}`:               true,
		`{"format":"journald","wrap":{"format":"edge_functions"}}`:             true,
		`{"format":"journald","wrap":{"format":"json"}}`:                       false,
		`{"format":"append","wrap":{"format":"json"}}`:                         false,
		`{"format":"filter","wrap":{"format":"json"},` + shipped + `}`:         true,
		`{"format":"filter","fields":{"request>headers":{"filter":"delete"}}}`: false,
		// Caddy's filter hides from the inner encoder what are headers.
		`{"format":"filter","wrap":{"format":"edge_functions"}}`: false,
	} {
		var encoder map[string]any
		if err := json.Unmarshal([]byte(config), &encoder); err != nil {
			t.Fatal(err)
		}
		found := auditLogs(map[string]any{"logging": map[string]any{"logs": map[string]any{"default": map[string]any{"encoder": encoder}}}})
		if len(found) == 0 != safe {
			t.Errorf("%s: the audit finds %v", config, found)
		}
	}
}

func TestAuditOfLogs(t *testing.T) {
	for name, tt := range map[string]struct{ config, want string }{
		"none":             {`{}`, "log_secrets log default"},
		"safe":             {`{"logging":{"logs":{"default":{"encoder":{"format":"edge_functions"}}}}}`, ""},
		"discarded":        {`{"logging":{"logs":{"default":{"writer":{"output":"discard"}}}}}`, ""},
		"of a site":        {`{"logging":{"logs":{"default":{"encoder":{"format":"edge_functions"}},"log0":{"include":["http.log.access.log0"]}}}}`, "log_secrets log log0"},
		"not of requests":  {`{"logging":{"logs":{"default":{"exclude":["http"]},"admin":{"include":["admin"]}}}}`, ""},
		"access taken out": {`{"logging":{"logs":{"default":{"exclude":["http.log.access"]}}}}`, "log_secrets log default"},
		"with credentials": {`{"logging":{"logs":{"default":{"encoder":{"format":"edge_functions"}}}},"apps":{"http":{"servers":{"srv0":{"logs":{"should_log_credentials":true}}}}}}`, "log_credentials server srv0"},
	} {
		var config map[string]any
		if err := json.Unmarshal([]byte(tt.config), &config); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range auditLogs(config) {
			got = append(got, f.Check+" "+f.Subject)
		}
		if strings.Join(got, ", ") != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// Secrets by {env.NAME} are in no configuration; those that are written out are found, wherever they stand.
func TestAuditOfLiteralSecrets(t *testing.T) {
	config := map[string]any{}
	text := `{"apps":{"edge_functions":{"debug_secret":"x","project":{"jwt":{"secret":"x","secrets":["{env.A}","x"]},
		"api_keys":[{"type":"publishable","key":"x"},{"type":"secret","key":"x"},{"type":"secret","key":"{env.B}"},{"type":"secret","sha256":"x"}]},
		"store":{"url":"redis://:x@{env.HOST}:6379"},"projects":{"source":"redis","url":"redis://user:{env.P}@h?sentinel_password=x"},
		"exporters":[{"exporter":"webhook","url":"https://h/x","secrets":["x"],"token":"{env.T}"},{"exporter":"webhook","url":"https://h","token":"x"}]}}}`
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range auditLiterals(config) {
		got = append(got, strings.TrimPrefix(f.Subject, "edge_functions."))
		if f.Check != "secret_in_config" || f.Severity != audit.Low {
			t.Errorf("%+v", f)
		}
	}
	for subject, remedy := range map[string]string{
		"edge_functions.store.url": "store redis redis://USER:{env.REDIS_PASSWORD}@HOST", "edge_functions.projects.url": "projects redis redis://USER:{env.REDIS_PASSWORD}@HOST",
		"edge_functions.exporters[0].secrets": "secret {env.WEBHOOK_SECRET}", "edge_functions.project.jwt.secret": "jwt_secret {env.JWT_SECRET}",
	} {
		i := slices.IndexFunc(auditLiterals(config), func(f audit.Finding) bool { return f.Subject == subject })
		if i < 0 || !strings.Contains(auditLiterals(config)[i].Remedy, "`"+remedy+"`") {
			t.Errorf("%s: finding %d, want the remedy %q", subject, i, remedy)
		}
	}
	want := "debug_secret exporters[0].secrets exporters[1].token project.api_keys[1].key project.jwt.secret project.jwt.secrets projects.url store.url"
	if strings.Join(got, " ") != want {
		t.Errorf("found %q, want %q", got, want)
	}
}

// Of a URL only a password and parameters that are secrets count, not its port; the remedy is that of the option.
func TestAuditOfSecretsInURLs(t *testing.T) {
	for _, tt := range []struct {
		member string // of the app, with %s where the URL stands
		url    string
		remedy string // "": no finding
	}{
		{`"store":{"url":%q}`, "redis://127.0.0.1:6399", ""},
		{`"store":{"url":%q}`, "redis://h1:6379,h2:6379?mode=cluster", ""},
		{`"store":{"url":%q}`, "redis://user@h:6379/2", ""},
		{`"store":{"url":%q}`, "redis://user:{env.P}@h:6379", ""},
		{`"store":{"url":%q}`, "redis://h:26379?mode=sentinel&master=m&sentinel_password={env.P}", ""},
		{`"store":{"url":%q}`, "redis://:p@h:6379", "store redis"},
		{`"store":{"url":%q}`, "rediss://user:p:q@r@{env.HOST}:6379", "store redis"},
		{`"projects":{"source":"redis","url":%q}`, "redis://127.0.0.1:6399", ""},
		{`"projects":{"source":"redis","url":%q}`, "redis://h:26379?mode=sentinel&sentinel_password=p", "projects redis"},
		{`"exporters":[{"exporter":"webhook","url":%q}]`, "https://billing.localhost:8443/usage", ""},
		{`"exporters":[{"exporter":"webhook","url":%q}]`, "http://127.0.0.1:28903", ""},
		{`"exporters":[{"exporter":"webhook","url":%q}]`, "https://h:8443/a:b@c", ""},
		{`"exporters":[{"exporter":"webhook","url":%q}]`, "https://user:p@h:8443/usage", "export webhook {env.WEBHOOK_URL}"},
		{`"exporters":[{"exporter":"webhook","url":%q}]`, "https://h/usage?token=p", "export webhook {env.WEBHOOK_URL}"},
		{`"exporters":[{"exporter":"stripe","url":%q}]`, "http://localhost:12111", ""},
		{`"exporters":[{"exporter":"stripe","url":%q}]`, "https://u:p@localhost:12111", "api_key {env.STRIPE_KEY}"},
		{`"project":{"jwt":{"jwks_url":%q}}`, "https://auth.example.com:8443/jwks.json", ""},
		{`"project":{"jwt":{"jwks_url":%q}}`, "https://u:p@auth.example.com/jwks.json", "jwks {env.JWKS_URL}"},
	} {
		config := map[string]any{}
		text := fmt.Sprintf(`{"apps":{"edge_functions":{`+tt.member+`}}}`, tt.url)
		if err := json.Unmarshal([]byte(text), &config); err != nil {
			t.Fatal(err)
		}
		found := auditLiterals(config)
		switch {
		case tt.remedy == "" && len(found) > 0:
			t.Errorf("%s: %+v", text, found)
		case tt.remedy != "" && (len(found) != 1 || !strings.Contains(found[0].Remedy, tt.remedy)):
			t.Errorf("%s: %+v, want the remedy %q", text, found, tt.remedy)
		}
	}
}
