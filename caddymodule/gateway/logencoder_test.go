package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/logging"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const marker = "S3cretMarker"

// The texts of section 8 that must not be in a log, and what must stay of them.
func TestMaskText(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "",
		"/functions/v1/a?b=1":           "/functions/v1/a?b=1",
		"/f?jwt=" + marker:              "/f?jwt=REDACTED",
		"/f?a=1&jwt=" + marker + "&b=2": "/f?a=1&jwt=REDACTED&b=2",
		"/f?token=" + marker + "#x":     "/f?token=REDACTED#x",
		"/f?%6Awt=" + marker:            "/f?%6Awt=REDACTED",
		"/f?JWT=" + marker:              "/f?JWT=REDACTED",
		"/f?apikey=" + marker + ";access_token=" + marker:         "/f?apikey=REDACTED;access_token=REDACTED",
		"/f?token[]=" + marker + "&token%5B0%5D=" + marker:        "/f?token[]=REDACTED&token%5B0%5D=REDACTED",
		"/f?jwt=a=" + marker:                                      "/f?jwt=REDACTED",
		"/f?to=https%3A%2F%2Fx%2F%3Ftoken%3D" + marker:            "/f?to=REDACTED",
		"/f?to=https%3A%2F%2Fx%2F%3Fa%3Db":                        "/f?to=https%3A%2F%2Fx%2F%3Fa%3Db",
		"jwt=" + marker:                                           "jwt=REDACTED",
		`parse "http://x/?jwt=` + marker + `": bad`:               `parse "http://x/?jwt=REDACTED": bad`,
		"dial redis://user:" + marker + "@host:6379":              "dial redis://REDACTED@host:6379",
		"Bearer " + marker + " refused":                           "Bearer REDACTED refused",
		"Auth header is not 'Bearer {token}'":                     "Auth header is not 'Bearer {token}'",
		"sent eyJhbGciOi.eyJzdWIi.c2ln, refused":                  "sent REDACTED, refused",
		"sb_secret_" + marker + " sb_publishable_" + marker:       "sb_secret_REDACTED sb_publishable_REDACTED",
		"whsec_" + marker + "= sk_live_" + marker + " rk_test_x1": "whsec_REDACTED sk_live_REDACTED rk_test_REDACTED",
		"bad host:port:eyJhbGciOi.eyJzdWIi.c2ln":                  "bad host:port:REDACTED",
	} {
		if got := maskText(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

// lines returns what an encoder writes of one entry, with the fields as the context of the logger and as its own.
func lines(t *testing.T, enc zapcore.Encoder, message string, fields ...zap.Field) string {
	t.Helper()
	var out strings.Builder
	logger := zap.New(zapcore.NewCore(enc, zapcore.AddSync(&out), zapcore.DebugLevel))
	logger.Info(message, fields...)
	logger.With(fields...).Info(message)
	logger.WithLazy(fields...).Info(message, fields...)
	return out.String()
}

func newLogEncoder(t *testing.T, config string) *LogEncoder {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	module, err := ctx.LoadModuleByID("caddy.logging.encoders.edge_functions", json.RawMessage(config))
	if err != nil {
		t.Fatal(err)
	}
	return module.(*LogEncoder)
}

type inMarshaler struct{ text string }

func (m inMarshaler) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("url", m.text)
	_ = enc.AddReflected("list", []any{map[string]any{"password": m.text}, m.text})
	return enc.AddArray("texts", zapcore.ArrayMarshalerFunc(func(enc zapcore.ArrayEncoder) error {
		enc.AppendString(m.text)
		enc.AppendByteString([]byte(m.text))
		_ = enc.AppendReflected(m.text)
		_ = enc.AppendArray(zapcore.ArrayMarshalerFunc(func(enc zapcore.ArrayEncoder) error { enc.AppendString(m.text); return nil }))
		return enc.AppendObject(zapcore.ObjectMarshalerFunc(func(enc zapcore.ObjectEncoder) error { enc.AddString("x", m.text); return nil }))
	}))
}

// Section 8: whatever kind of field a secret comes in, by whichever encoder, it is not written, and what is no secret is.
func TestLogEncoderMasksEveryField(t *testing.T) {
	uri := "/functions/v1/hello?jwt=" + marker
	request, err := http.NewRequest(http.MethodGet, "http://host"+uri, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.RequestURI = uri
	names := []string{
		"Apikey", "X-Sb-Debug", "Sec-Websocket-Protocol", "Referer", "Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key",
		"X-Forwarded-Uri", "X-Original-Url", "X-Anything-At-All", "Stripe-Signature", "Location", "Set-Cookie", "Link", "X-Sb-Api-Key",
	}
	for _, name := range names {
		request.Header[name] = []string{"first", marker}
	}
	request.Header.Set("User-Agent", "shown-agent")
	fields := []zap.Field{
		zap.Object("request", caddyhttp.LoggableHTTPRequest{Request: request, ShouldLogCredentials: true}),
		zap.Object("resp_headers", caddyhttp.LoggableHTTPHeader{Header: request.Header, ShouldLogCredentials: true}),
		zap.Object("anything", caddyhttp.LoggableHTTPHeader{Header: request.Header, ShouldLogCredentials: true}),
		zap.Any("headers", request.Header), zap.Any("header", request.Header),
		zap.Object("o", inMarshaler{uri}), zap.Inline(inMarshaler{uri}), zap.Dict("d", zap.String("x", uri)),
		zap.String("url", uri), zap.Strings("urls", []string{uri}), zap.ByteString("b", []byte(uri)), zap.Stringer("s", request.URL),
		zap.Error(errors.New("GET " + uri)), zap.NamedError("e", errors.New(uri)), zap.Errors("errs", []error{errors.New(uri)}),
		zap.Any("map", map[string]any{"token": marker, "deep": []string{uri}}), zap.Any("config", struct {
			Secret []string `json:"secret"`
		}{[]string{marker}}),
		zap.String("apikey", marker), zap.Strings("cookie", []string{marker}), zap.Any("password", marker), zap.Binary("raw", []byte(marker)),
		zap.Namespace("inside"), zap.String("last", uri), zap.Duration("took", time.Second), zap.Int("n", 42),
	}
	for name, config := range map[string]string{
		"json": `{}`, "console": `{"wrap":{"format":"console"}}`, "append": `{"wrap":{"format":"append","fields":{"host":"shown"}}}`,
		"filter": `{"wrap":{"format":"filter","fields":{"request>method":{"filter":"delete"}}}}`,
	} {
		got := lines(t, newLogEncoder(t, config), "handled "+uri, fields...)
		if strings.Contains(got, marker) {
			i := strings.Index(got, marker)
			t.Errorf("%s: a secret is in: ...%s...", name, got[max(0, i-200):min(len(got), i+50)])
		}
		for _, want := range []string{"/functions/v1/hello?jwt=REDACTED", "shown-agent", "Apikey", `"n":42`} {
			if name == "console" {
				want = strings.ReplaceAll(want, `":42`, `": 42`)
			}
			if strings.Count(got, want) < 3 {
				t.Errorf("%s: %q is missing in %s", name, want, got)
			}
		}
		if strings.Count(got, "\n") != 3 && name != "console" {
			t.Errorf("%s: %d lines", name, strings.Count(got, "\n"))
		}
	}
}

// What warnOfLogs takes for safe is what auditLogs does.
func TestExposingLogsAreFound(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
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
		var raw map[string]any
		if err := json.Unmarshal([]byte(config), &raw); err != nil {
			t.Fatal(err)
		}
		format, _ := raw["format"].(string)
		delete(raw, "format")
		inner, err := json.Marshal(raw)
		if err != nil {
			t.Fatal(err)
		}
		module, err := ctx.LoadModuleByID("caddy.logging.encoders."+format, inner)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		core := zapcore.NewCore(module.(zapcore.Encoder), zapcore.AddSync(&out), zapcore.InfoLevel)
		if got := !exposes(zapcore.NewTee(core, zapcore.NewNopCore())); got != safe || out.Len() > 0 {
			t.Errorf("%s: the start takes it for safe: %v; it wrote %q", config, got, out.String())
		}
		raw["format"] = format
		found := auditLogs(map[string]any{"logging": map[string]any{"logs": map[string]any{"default": map[string]any{"encoder": raw}}}})
		if len(found) == 0 != safe {
			t.Errorf("%s: the audit finds %v", config, found)
		}
	}
	if exposes(zapcore.NewNopCore()) {
		t.Error("a log that goes nowhere shows nothing")
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
		if f.Check != "secret_in_config" || f.Severity != Low {
			t.Errorf("%+v", f)
		}
	}
	for subject, remedy := range map[string]string{
		"edge_functions.store.url": "store redis redis://USER:{env.REDIS_PASSWORD}@HOST", "edge_functions.projects.url": "projects redis redis://USER:{env.REDIS_PASSWORD}@HOST",
		"edge_functions.exporters[0].secrets": "secret {env.WEBHOOK_SECRET}", "edge_functions.project.jwt.secret": "jwt_secret {env.JWT_SECRET}",
	} {
		i := slices.IndexFunc(auditLiterals(config), func(f Finding) bool { return f.Subject == subject })
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
