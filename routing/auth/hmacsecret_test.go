package auth

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
)

// Public and guessable secrets are told, and random ones never are.
func TestWellKnownSecret(t *testing.T) {
	for _, secret := range []string{
		"super-secret-jwt-token-with-at-least-32-characters-long",
		"your-super-secret-jwt-token-with-at-least-32-characters-long",
		"your-super-secret-jwt-token-with-at-least-32-characters-long\n",
		"your-256-bit-secret", "a-string-secret-at-least-256-bits-long",
		strings.Repeat("a", 32), strings.Repeat("\x00", 64), strings.Repeat("secret", 6), strings.Repeat("0123456789", 4)[:37],
		strings.Repeat("ab", 15) + "aabb", base64.StdEncoding.EncodeToString(make([]byte, 32)),
	} {
		name, known := WellKnownSecret([]byte(secret))
		if !known || name == "" {
			t.Errorf("%q is not known", secret)
		}
		if strings.Contains(name, strings.TrimSpace(secret)) {
			t.Errorf("%q is named by itself", secret)
		}
	}
	for _, s := range [][]byte{nil, secret, oldSecret, foreign, []byte("Super-secret-jwt-token-with-at-least-32-characters-long")} {
		if name, known := WellKnownSecret(s); known || name != "" {
			t.Errorf("%q is taken for %s", s, name)
		}
	}
	for range 1000 {
		random := make([]byte, MinSecretLength)
		rand.Read(random)
		for _, text := range []string{string(random), hex.EncodeToString(random), base64.StdEncoding.EncodeToString(random)} {
			if name, known := WellKnownSecret([]byte(text)); known {
				t.Errorf("%q is taken for %s", text, name)
			}
		}
	}
}

// A Verifier accepts them: people develop with them.
func TestWellKnownSecretWorks(t *testing.T) {
	demo := []byte("super-secret-jwt-token-with-at-least-32-characters-long")
	v := verifierOf(t, Config{Secrets: [][]byte{secret, demo}})
	if _, err := refusal(v, sign(hs256, `{}`, demo), now); err != nil {
		t.Error(err)
	}
	secrets := v.Usage().Secrets
	if len(secrets) != 2 || secrets[0].WellKnown != "" || secrets[1].WellKnown != "the Supabase CLI's demo secret" || secrets[1].Position != 2 {
		t.Errorf("usage %+v", secrets)
	}
}
