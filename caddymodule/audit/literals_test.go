package audit

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

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
	for _, f := range ofLiterals(config) {
		got = append(got, strings.TrimPrefix(f.Subject, "edge_functions."))
		if f.Check != "secret_in_config" || f.Severity != Low {
			t.Errorf("%+v", f)
		}
	}
	for subject, remedy := range map[string]string{
		"edge_functions.store.url": "store redis redis://USER:{env.REDIS_PASSWORD}@HOST", "edge_functions.projects.url": "projects redis redis://USER:{env.REDIS_PASSWORD}@HOST",
		"edge_functions.exporters[0].secrets": "secret {env.WEBHOOK_SECRET}", "edge_functions.project.jwt.secret": "jwt_secret {env.JWT_SECRET}",
	} {
		i := slices.IndexFunc(ofLiterals(config), func(f Finding) bool { return f.Subject == subject })
		if i < 0 || !strings.Contains(ofLiterals(config)[i].Remedy, "`"+remedy+"`") {
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
		found := ofLiterals(config)
		switch {
		case tt.remedy == "" && len(found) > 0:
			t.Errorf("%s: %+v", text, found)
		case tt.remedy != "" && (len(found) != 1 || !strings.Contains(found[0].Remedy, tt.remedy)):
			t.Errorf("%s: %+v, want the remedy %q", text, found, tt.remedy)
		}
	}
}
