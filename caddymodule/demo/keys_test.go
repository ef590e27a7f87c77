package demo

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestKeys(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	k, err := newKeys(now)
	if err != nil {
		t.Fatal(err)
	}
	if len(k.jwtSecret) != 64 || strings.Trim(k.jwtSecret, "0123456789abcdef") != "" {
		t.Errorf("secret %q is not 64 hex digits", k.jwtSecret)
	}
	if !strings.HasPrefix(k.publishable, "sb_publishable_") || !strings.HasPrefix(k.secret, "sb_secret_") {
		t.Errorf("keys %q, %q", k.publishable, k.secret)
	}
	other, _ := newKeys(now)
	if other.jwtSecret == k.jwtSecret || other.publishable == k.publishable || other.secret == k.secret {
		t.Error("two starts share a key")
	}
	for role, token := range map[string]string{"anon": k.anon, "service_role": k.serviceRole} {
		parts := strings.Split(token, ".")
		if len(parts) != 3 {
			t.Fatalf("%q is no JWT", token)
		}
		mac := hmac.New(sha256.New, []byte(k.jwtSecret))
		mac.Write([]byte(parts[0] + "." + parts[1]))
		if sum := base64.RawURLEncoding.EncodeToString(mac.Sum(nil)); sum != parts[2] {
			t.Errorf("%s: signature does not verify", role)
		}
		var header, claims map[string]any
		decodePart(t, parts[0], &header)
		decodePart(t, parts[1], &claims)
		if header["alg"] != "HS256" || header["typ"] != "JWT" {
			t.Errorf("header %v", header)
		}
		exp := time.Date(2036, 1, 2, 3, 4, 5, 0, time.UTC).Unix()
		if claims["iss"] != "supabase-demo" || claims["role"] != role || claims["exp"] != float64(exp) || claims["iat"] != float64(now.Unix()) {
			t.Errorf("claims %v", claims)
		}
	}
}

func decodePart(t *testing.T, part string, v any) {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatal(err)
	}
}
