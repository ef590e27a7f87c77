package auth

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Inspect says which check fails, and comes to the verdict of Check.
func TestInspect(t *testing.T) {
	config := Config{
		Secrets: [][]byte{oldSecret, secret}, Keys: parseSet(t, ecPair), Remotes: remotes(t, rsaPair),
		Issuers: []string{"i"}, Audiences: []string{"a"}, Roles: []string{"r"},
		APIKeys: []APIKey{{Name: "web", Type: Publishable, Key: publishableKey}},
	}
	v := verifierOf(t, config)
	bare := verifierOf(t, Config{})
	const claims = `{"iss":"i","aud":["a"],"role":"r","exp":1800000001,"nbf":1800000000}`
	good := sign(hs256, claims, secret)
	nameless := pair{"", "RS256", rsaPair.private}
	tests := map[string]struct {
		v      *Verifier
		token  string
		failed string // the checks that fail, in order
		key    string
	}{
		"HS256":           {v, good, "", "HMAC secret 2"},
		"ES256":           {v, ecPair.token(claims), "", "ec-1"},
		"RS256, no kid":   {v, nameless.unnamed(claims), "", "rsa-1"},
		"API key":         {v, publishableKey, "", `API key "web"`},
		"unknown API key": {v, "sb_secret_x", "format", ""},
		"nothing":         {v, "", "format", ""},
		"a space":         {v, "Bearer " + good, "format", ""},
		"two parts":       {v, "a.b", "format", ""},
		"four parts":      {v, good + ".x", "format", ""},
		"too long":        {v, good + strings.Repeat("x", MaxTokenSize), "format", ""},
		"no header":       {v, "!." + strings.SplitN(good, ".", 2)[1], "header", ""},
		"alg twice":       {v, sign(`{"alg":"HS256","alg":"HS256"}`, claims, secret), "header", ""},
		"none":            {v, b64(`{"alg":"none"}`) + "." + b64(claims) + ".", "algorithm", ""},
		"EdDSA":           {v, edPair.token(claims), "algorithm", ""},
		"crit":            {v, sign(`{"alg":"HS256","crit":["x"]}`, claims, secret), "critical", ""},
		"no HMAC secret":  {bare, good, "key", ""},
		"unknown kid":     {v, ecNext.token(claims), "key", ""},
		"no public key":   {bare, ecPair.token(claims), "key", ""},
		"forged":          {v, sign(hs256, claims, foreign), "signature", ""},
		"forged ES256":    {v, ecStranger.token(claims), "signature", ""},
		"forged, no kid":  {v, ecStranger.unnamed(claims), "signature", ""},
		"no payload":      {v, b64(hs256) + ".*.x", "signature", ""},
		"bad claims":      {v, sign(hs256, `{"exp":"x"}`, secret), "expiry", "HMAC secret 2"},
		"a claim twice":   {v, ecPair.token(`{"exp":1,"exp":1}`), "expiry", "ec-1"},
		"expired":         {v, sign(hs256, `{"iss":"i","aud":"a","role":"r","exp":1800000000}`, oldSecret), "expiry", "HMAC secret 1"},
		"too early":       {v, ecPair.token(`{"iss":"i","aud":"a","role":"r","nbf":1800000001}`), "not_before", "ec-1"},
		"all claims":      {v, ecPair.token(`{"exp":1,"nbf":1900000000}`), "expiry not_before issuer audience role", "ec-1"},
		"role":            {v, ecPair.token(`{"iss":"i","aud":"a"}`), "role", "ec-1"},
	}
	for n, want := range map[int]string{1: "1 HMAC secret to try", 2: "2 HMAC secrets to try"} {
		some := verifierOf(t, Config{Secrets: [][]byte{secret, oldSecret}[:n]})
		if got := some.Inspect(good, now).Checks; !slices.ContainsFunc(got, func(c InspectionCheck) bool { return c.Detail == want }) {
			t.Errorf("%+v, want %q", got, want)
		}
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := tt.v.Inspect(tt.token, now)
			var failed, names []string
			for _, check := range got.Checks {
				names = append(names, check.Name)
				if !check.OK && !check.Skipped {
					failed = append(failed, check.Name)
				}
				if check.Detail == "" || check.OK && check.Skipped {
					t.Errorf("%+v", check)
				}
			}
			if strings.Join(failed, " ") != tt.failed || got.Key != tt.key {
				t.Errorf("failed %q with key %q, want %q with %q", failed, got.Key, tt.failed, tt.key)
			}
			if all := "format header algorithm critical key signature expiry not_before issuer audience role"; strings.Join(names, " ") != all && name != "API key" {
				t.Errorf("the checks are %q", names)
			}

			_, failure := tt.v.Check(bearer(tt.token), true, now)
			want := Inspection{Accepted: failure == nil}
			if failure != nil {
				want.Code, want.Message, want.Challenge = failure.Code, failure.Message, failure.Challenge
			}
			if got.Accepted != want.Accepted || got.Code != want.Code || got.Message != want.Message || got.Challenge != want.Challenge {
				t.Errorf("Inspect: %v %s %s %s\n  Check: %v %s %s %s", got.Accepted, got.Code, got.Message, got.Challenge, want.Accepted, want.Code, want.Message, want.Challenge)
			}

			text := string(must(json.Marshal(got)))
			if i := strings.LastIndexByte(tt.token, '.'); i >= 0 && len(tt.token)-i > 20 && strings.Contains(text, tt.token[i+1:]) {
				t.Errorf("the whole signature is in %s", text)
			}
			for _, hidden := range []string{string(secret), string(oldSecret), publishableKey} {
				if strings.Contains(text, hidden) {
					t.Errorf("a secret is in %s", text)
				}
			}
		})
	}
}

// What a token holds is shown, however bad it is.
func TestInspectShows(t *testing.T) {
	v := newVerifier(t)
	for token, want := range map[string]string{
		sign(`{"alg":"none","kid":"k"}`, `{"exp":1e3,"n":12345678901234567890}`, foreign): `map[alg:none kid:k] map[exp:1e3 n:12345678901234567890]`,
		b64(`{"alg":"HS256"}`) + ".*.x":      `map[alg:HS256] map[]`,
		"*." + b64(`{"a":{"b":[1]}}`) + ".x": `map[] map[a:map[b:[1]]]`,
		b64(`{"a":1}`) + "." + b64(`null`):   `map[a:1] map[]`,
		b64(`{"a":1}`):                       `map[a:1] map[]`,
		"":                                   `map[] map[]`,
	} {
		got := v.Inspect(token, now)
		if shown := fmt.Sprintf("%v %v", got.Header, got.Claims); shown != want {
			t.Errorf("%.40s shows %s, want %s", token, shown, want)
		}
	}
	deep := b64(hs256) + "." + b64(strings.Repeat(`{"a":`, 8_000)+"1"+strings.Repeat("}", 8_000)) + ".x"
	if _, err := json.Marshal(v.Inspect(deep, now)); err != nil {
		t.Errorf("deep claims cannot be printed: %v", err)
	}
}
