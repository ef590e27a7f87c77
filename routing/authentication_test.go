package routing

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/routing/auth"
)

// unsigned returns a token of the algorithm alg with a signature of nobody.
func unsigned(alg string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode(fmt.Appendf(nil, `{"alg":%q}`, alg)) + "." + encode([]byte(`{}`)) + ".c2lnbmF0dXJl"
}

// Contract 3.1 to 3.11 through the pipeline: that the right headers reach
// package auth and that its words reach the client, byte for byte.
func TestAdmitUnauthorized(t *testing.T) {
	p := newFixture().pipeline(t)
	expired := jwtHS256(`{"alg":"HS256"}`, fmt.Sprintf(`{"exp":%d}`, testNow.Unix()), testSecret)
	early := jwtHS256(`{"alg":"HS256"}`, fmt.Sprintf(`{"nbf":%d}`, testNow.Unix()+1), testSecret)
	forged := jwtHS256(`{"alg":"HS256"}`, `{}`, strings.Repeat("x", 40))
	const (
		format      = `{"code":"UNAUTHORIZED_INVALID_JWT_FORMAT","message":"Auth header is not 'Bearer {token}'"}`
		malformed   = `{"code":"UNAUTHORIZED_INVALID_JWT_FORMAT","message":"Invalid JWT"}`
		legacy      = `{"code":"UNAUTHORIZED_LEGACY_JWT","message":"Invalid JWT"}`
		asymmetric  = `{"code":"UNAUTHORIZED_ASYMMETRIC_JWT","message":"Invalid JWT"}`
		unsupported = `{"code":"UNAUTHORIZED_UNSUPPORTED_TOKEN_ALGORITHM","message":"Unsupported JWT algorithm %s"}`
		unknownKey  = `{"message":"Invalid API key"}`
	)
	tests := []struct {
		name   string
		slug   string
		header []string
		code   string
		body   string // "" when only the code is the contract's
	}{
		{
			"contract 3.2 nothing", "hello", nil, auth.CodeNoAuthHeader,
			`{"code":"UNAUTHORIZED_NO_AUTH_HEADER","message":"Missing authorization header"}`,
		},
		{"contract 3.2 blank", "hello", []string{"Authorization", " ", "Apikey", ""}, auth.CodeNoAuthHeader, ""},
		{"contract 3.3 other scheme", "hello", []string{"Authorization", "Basic " + goodToken()}, auth.CodeInvalidFormat, format},
		{"contract 3.3 lower case", "hello", []string{"Authorization", "bearer " + goodToken()}, auth.CodeInvalidFormat, format},
		{"contract 3.3 bare token", "hello", []string{"Authorization", goodToken()}, auth.CodeInvalidFormat, format},
		{"contract 3.3 two parts", "hello", []string{"Authorization", "Bearer " + goodToken() + " x"}, auth.CodeInvalidFormat, format},
		{"contract 3.3 two values", "hello", []string{"Authorization", "Bearer " + goodToken(), "Authorization", "Bearer " + goodToken()}, auth.CodeInvalidFormat, format},
		{"contract 3.4 undecodable", "hello", []string{"Authorization", "Bearer a.b.c"}, auth.CodeInvalidFormat, malformed},
		{"contract 3.4 no alg", "hello", []string{"Authorization", "Bearer " + jwtHS256(`{}`, `{}`, testSecret)}, auth.CodeInvalidFormat, malformed},
		{"contract 3.5 expired", "hello", []string{"Authorization", "Bearer " + expired}, auth.CodeLegacyJWT, legacy},
		{"contract 3.5 not yet valid", "hello", []string{"Authorization", "Bearer " + early}, auth.CodeLegacyJWT, legacy},
		{"contract 3.5 forged", "hello", []string{"Authorization", "Bearer " + forged}, auth.CodeLegacyJWT, legacy},
		{"contract 3.6 unknown key, ES256", "hello", []string{"Authorization", "Bearer " + unsigned("ES256")}, auth.CodeAsymmetricJWT, asymmetric},
		{"contract 3.7 PS256", "hello", []string{"Authorization", "Bearer " + unsigned("PS256")}, auth.CodeUnsupportedAlgorithm, fmt.Sprintf(unsupported, "PS256")},
		{"contract 3.7 none", "hello", []string{"Authorization", "Bearer " + unsigned("none")}, auth.CodeUnsupportedAlgorithm, fmt.Sprintf(unsupported, "none")},
		{"contract 3.9 Authorization is judged beside a good key", "hello", []string{"Authorization", "Bearer " + forged, "Apikey", publishableKey}, auth.CodeLegacyJWT, legacy},
		{"contract 3.9 unknown key as token", "hello", []string{"Authorization", "Bearer sb_publishable_unknown"}, auth.CodeInvalidAPIKey, unknownKey},
		{"contract 3.10 unknown key first", "hello", []string{"Authorization", "Bearer " + goodToken(), "Apikey", "sb_publishable_unknown"}, auth.CodeInvalidAPIKey, unknownKey},
		{"contract 3.10 also with verify_jwt off", "open", []string{"Apikey", "anything"}, auth.CodeInvalidAPIKey, unknownKey},
		{"contract 3.11 Origin", "hello", []string{"Apikey", secretKey, "Origin", "https://app.test"}, auth.CodeSecretInBrowser, ""},
		{"contract 3.11 Sec-Fetch-Site", "hello", []string{"Apikey", secretKey, "Sec-Fetch-Site", "none"}, auth.CodeSecretInBrowser, ""},
		{"contract 3.11 Mozilla", "hello", []string{"Authorization", "Bearer " + secretKey, "User-Agent", "Mozilla/5.0"}, auth.CodeSecretInBrowser, ""},
		{"contract 3.11 also with verify_jwt off", "open", []string{"Apikey", secretKey, "User-Agent", "Mozilla/5.0"}, auth.CodeSecretInBrowser, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			refusal, _ := refused(t, p, request("/functions/v1/"+tt.slug, tt.header...), 401, tt.code)
			if tt.body != "" && string(refusal.Body()) != tt.body {
				t.Errorf("body %s, want %s", refusal.Body(), tt.body)
			}
			if !strings.HasPrefix(refusal.Challenge, "Bearer error=") || refusal.Cause == nil {
				t.Errorf("contract 3.13: challenge %q, cause %v", refusal.Challenge, refusal.Cause)
			}
			for _, h := range tt.header {
				if len(h) > 20 && (strings.Contains(string(refusal.Body()), h) || strings.Contains(refusal.Challenge, h)) {
					t.Errorf("contract 5.33: the answer repeats %q", h)
				}
			}
		})
	}
}

// Contract 3.1, 3.8, 3.9, 3.11: who passes, and as whom.
func TestAdmitIdentity(t *testing.T) {
	p := newFixture().pipeline(t)
	tests := []struct {
		name, slug string
		header     []string
		method     auth.Method
	}{
		{"contract 3.8 no exp", "hello", []string{"Authorization", "Bearer " + goodToken()}, auth.MethodJWT},
		{"contract 3.9 key alone", "hello", []string{"Apikey", publishableKey}, auth.MethodAPIKey},
		{"contract 3.9 key on both headers", "hello", []string{"Apikey", publishableKey, "Authorization", "Bearer " + publishableKey}, auth.MethodAPIKey},
		{"contract 3.9 key and token", "hello", []string{"Apikey", publishableKey, "Authorization", "Bearer " + goodToken()}, auth.MethodJWT},
		{"contract 3.9 off: Authorization unread", "open", []string{"Authorization", "Basic x"}, auth.MethodNone},
		{"contract 3.1 off: nothing needed", "open", nil, auth.MethodNone},
		{"contract 3.9 a token as key", "hello", []string{"Apikey", goodToken()}, auth.MethodJWT},
		{"contract 3.11 secret key of a server", "hello", []string{"Apikey", secretKey, "User-Agent", "node", "Sec-Fetch-Mode", "cors"}, auth.MethodAPIKey},
		{"contract 3.11 publishable key in a browser", "hello", []string{"Apikey", publishableKey, "Origin", "https://app.test", "User-Agent", "Mozilla/5.0"}, auth.MethodAPIKey},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if inv := admit(t, p, request("/functions/v1/"+tt.slug, tt.header...)); inv.Identity.Method != tt.method {
				t.Errorf("method %q, want %q", inv.Identity.Method, tt.method)
			}
		})
	}
}

// Contract 3.5, 3.8: tokens are judged at the request's own time.
func TestAdmitJudgesAtArrival(t *testing.T) {
	p := newFixture().pipeline(t)
	token := jwtHS256(`{"alg":"HS256"}`, fmt.Sprintf(`{"exp":%d}`, testNow.Unix()), testSecret)
	r := request("/functions/v1/hello", "Authorization", "Bearer "+token)
	r.Start = testNow.Add(-time.Nanosecond)
	admit(t, p, r)
	r.Start = testNow
	refused(t, p, r, 401, auth.CodeLegacyJWT)
}
