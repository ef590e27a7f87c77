package demo

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// keys are the demo project's credentials, new at every start: nothing printed by one demo opens another.
type keys struct {
	jwtSecret   string
	anon        string
	serviceRole string
	publishable string
	secret      string
}

func newKeys(now time.Time) (keys, error) {
	var raw [32]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return keys{}, fmt.Errorf("making the JWT secret: %w", err)
	}
	k := keys{
		jwtSecret:   hex.EncodeToString(raw[:]),
		publishable: "sb_publishable_" + rand.Text(),
		secret:      "sb_secret_" + rand.Text(),
	}
	k.anon = signHS256(k.jwtSecret, "anon", now)
	k.serviceRole = signHS256(k.jwtSecret, "service_role", now)
	return k, nil
}

// signHS256 makes a token of the shape the hosted platform gives a project, valid for ten years. It is written out because the JWT
// library belongs to the verifying side alone, which then checks tokens that it did not make itself.
func signHS256(secret, role string, now time.Time) string {
	claims, _ := json.Marshal(struct { // strings and integers always marshal
		Issuer  string `json:"iss"`
		Role    string `json:"role"`
		Issued  int64  `json:"iat"`
		Expires int64  `json:"exp"`
	}{"supabase-demo", role, now.Unix(), now.AddDate(10, 0, 0).Unix()})
	b64 := base64.RawURLEncoding.EncodeToString
	signed := strings.Join([]string{b64([]byte(`{"alg":"HS256","typ":"JWT"}`)), b64(claims)}, ".")
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + b64(mac.Sum(nil))
}
