package logs

import (
	"encoding/json"
	"errors"
	"net/http"
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

// The texts of contract 8.27 that must not be in a log, and what must stay of them.
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
		if got := Mask(text); got != want {
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

func newLogEncoder(t *testing.T, config string) *Encoder {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	module, err := ctx.LoadModuleByID("caddy.logging.encoders.edge_functions", json.RawMessage(config))
	if err != nil {
		t.Fatal(err)
	}
	return module.(*Encoder)
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
