package auth

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/routing/auth/jwks"
)

// Contract 3.6, 3.7, 3.13, 3.14: tokens signed by public keys.
func TestAsymmetric(t *testing.T) {
	both := verifierOf(t, Config{Secrets: [][]byte{secret}, Keys: parseSet(t, ecPair, rsaPair, edPair)})
	eddsa := verifierOf(t, Config{Keys: parseSet(t, ecPair, rsaPair, edPair), AllowEdDSA: true})
	none := verifierOf(t, Config{Secrets: [][]byte{secret}})
	const claims = `{"role":"anon","exp":1800000001}`
	cut := func(token string, n int) string { return token[:len(token)-n] }
	ecGood := ecPair.token(claims)
	otherPayload := func(token, payload string) string {
		parts := strings.Split(token, ".")
		return parts[0] + "." + b64(payload) + "." + parts[2]
	}
	named := func(p pair, kid string) string { return p.sign(`{"alg":"`+p.alg+`","kid":`+kid+`}`, claims) }
	as := func(p pair, alg string) string { return p.sign(`{"alg":"`+alg+`","kid":"`+p.kid+`"}`, claims) }

	tests := map[string]struct {
		v     *Verifier
		token string
		want  error
		code  string
	}{
		"contract 3.6 ES256":                           {both, ecGood, nil, ""},
		"contract 3.6 RS256":                           {both, rsaPair.token(claims), nil, ""},
		"contract 3.6 ES256 without kid":               {both, ecPair.unnamed(claims), nil, ""},
		"contract 3.6 RS256 without kid":               {both, rsaPair.unnamed(claims), nil, ""},
		"contract 3.6 empty kid is none":               {both, named(ecPair, `""`), nil, ""},
		"contract 3.6 kid that is no string is none":   {both, named(ecPair, `["ec-1"]`), nil, ""},
		"contract 3.5 HS256 beside them":               {both, sign(hs256, claims, secret), nil, ""},
		"contract 3.7 EdDSA, allowed":                  {eddsa, edPair.token(claims), nil, ""},
		"contract 3.7 EdDSA without kid":               {eddsa, edPair.unnamed(claims), nil, ""},
		"contract 3.7 EdDSA, not allowed":              {both, edPair.token(claims), ErrAlgorithm, CodeUnsupportedAlgorithm},
		"contract 3.7 Ed25519 as alg":                  {eddsa, as(edPair, "Ed25519"), ErrAlgorithm, CodeUnsupportedAlgorithm},
		"contract 3.7 PS256":                           {both, as(rsaPair, "PS256"), ErrAlgorithm, CodeUnsupportedAlgorithm},
		"contract 3.7 ES384":                           {both, as(ecPair, "ES384"), ErrAlgorithm, CodeUnsupportedAlgorithm},
		"contract 3.7 RS512":                           {both, as(rsaPair, "RS512"), ErrAlgorithm, CodeUnsupportedAlgorithm},
		"contract 3.7 es256":                           {both, as(ecPair, "es256"), ErrAlgorithm, CodeUnsupportedAlgorithm},
		"contract 3.6 stranger's ES256":                {both, ecStranger.token(claims), ErrSignature, CodeAsymmetricJWT},
		"contract 3.6 stranger's RS256":                {both, rsaStranger.token(claims), ErrSignature, CodeAsymmetricJWT},
		"contract 3.6 stranger's EdDSA":                {eddsa, edStranger.token(claims), ErrSignature, CodeAsymmetricJWT},
		"contract 3.6 stranger without kid":            {both, ecStranger.unnamed(claims), ErrSignature, CodeAsymmetricJWT},
		"contract 3.6 unknown kid":                     {both, named(ecPair, `"other"`), ErrUnknownSigner, CodeAsymmetricJWT},
		"contract 3.6 kid of another case":             {both, named(ecPair, `"EC-1"`), ErrUnknownSigner, CodeAsymmetricJWT},
		"contract 3.6 kid of another type":             {both, named(ecPair, `"rsa-1"`), ErrUnknownSigner, CodeAsymmetricJWT},
		"contract 3.6 no public keys":                  {none, ecGood, ErrUnknownSigner, CodeAsymmetricJWT},
		"contract 3.6 ES256 said to be RS256":          {both, as(ecPair, "RS256"), ErrUnknownSigner, CodeAsymmetricJWT},
		"contract 3.6 ES256 said to be RS256, no kid":  {both, ecPair.sign(`{"alg":"RS256"}`, claims), ErrSignature, CodeAsymmetricJWT},
		"contract 3.6 other claims":                    {both, otherPayload(ecGood, `{"role":"service_role"}`), ErrSignature, CodeAsymmetricJWT},
		"contract 3.6 no signature":                    {both, ecGood[:strings.LastIndex(ecGood, ".")+1], ErrSignature, CodeAsymmetricJWT},
		"contract 3.6 half a signature":                {both, cut(ecGood, 43), ErrSignature, CodeAsymmetricJWT},
		"contract 3.6 signature padded":                {both, ecGood + "==", ErrSignature, CodeAsymmetricJWT},
		"contract 3.6 signature not base64":            {both, cut(ecGood, 1) + "*", ErrSignature, CodeAsymmetricJWT},
		"contract 3.6 signature in ASN.1":              {both, asn1Signed(claims), ErrSignature, CodeAsymmetricJWT},
		"contract 3.6 signature of zeros":              {both, ecGood[:strings.LastIndex(ecGood, ".")+1] + b64(string(make([]byte, 64))), ErrSignature, CodeAsymmetricJWT},
		"contract 3.6 RSA signature of zeros":          {both, b64(`{"alg":"RS256"}`) + "." + b64(claims) + "." + b64(string(make([]byte, 256))), ErrSignature, CodeAsymmetricJWT},
		"contract 3.6 expired":                         {both, ecPair.token(`{"exp":1800000000}`), ErrExpired, CodeAsymmetricJWT},
		"contract 3.6 not yet valid":                   {both, rsaPair.token(`{"nbf":1800000001}`), ErrNotYetValid, CodeAsymmetricJWT},
		"contract 3.6 expiry of a stranger":            {both, ecStranger.token(`{"exp":1}`), ErrSignature, CodeAsymmetricJWT},
		"contract 3.6 claims no object":                {both, ecPair.token(`[]`), ErrClaims, CodeAsymmetricJWT},
		"contract 3.6 a claim twice":                   {both, ecPair.token(`{"role":"a","role":"b"}`), ErrClaims, CodeAsymmetricJWT},
		"contract 3.6 claims not base64":               {both, b64(`{"alg":"ES256"}`) + ".*.x", ErrClaims, CodeAsymmetricJWT},
		"contract 3.6 crit":                            {both, ecPair.sign(`{"alg":"ES256","crit":["x"],"x":1}`, claims), ErrCritical, CodeAsymmetricJWT},
		"contract 3.8 neither exp nor role":            {both, ecPair.token(`{}`), nil, ""},
		"contract 3.14 HS256 by the public key":        {both, sign(`{"alg":"HS256","kid":"ec-1"}`, claims, []byte(ecPair.jwk())), ErrSignature, CodeLegacyJWT},
		"contract 3.14 HS256 without secrets":          {eddsa, sign(hs256, claims, secret), ErrSignature, CodeLegacyJWT},
		"contract 3.14 the key comes with the token":   {both, ecStranger.sign(`{"alg":"ES256","jwk":`+ecStranger.jwk()+`}`, claims), ErrSignature, CodeAsymmetricJWT},
		"contract 3.14 the keys come with the token":   {both, ecStranger.sign(`{"alg":"ES256","kid":"x","jku":"https://a","x5u":"https://a","x5c":["AA"]}`, claims), ErrUnknownSigner, CodeAsymmetricJWT},
		"contract 3.4 line break where base64 skips":   {both, ecGood[:20] + "\n" + ecGood[20:], ErrFormat, CodeInvalidFormat},
		"contract 3.7 the project's words, not theirs": {none, edPair.token(claims), ErrAlgorithm, CodeUnsupportedAlgorithm},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			// The second time it may come from memory: no difference is allowed.
			v := tt.v
			for range 2 {
				_, failure := v.Check(bearer(tt.token), true, now)
				switch {
				case tt.want == nil && failure != nil:
					t.Fatalf("refused: %v", failure.Err)
				case tt.want != nil && failure == nil:
					t.Fatal("accepted")
				case tt.want != nil && (!errors.Is(failure.Err, tt.want) || failure.Code != tt.code || !challengeForm.MatchString(failure.Challenge)):
					t.Fatalf("refused with %+v, want %v, %s", failure, tt.want, tt.code)
				}
			}
		})
	}
}

func asn1Signed(claims string) string {
	text := b64(`{"alg":"ES256","kid":"ec-1"}`) + "." + b64(claims)
	return text + "." + b64(string(must(ecdsa.SignASN1(nil, ecPair.private.(*ecdsa.PrivateKey), sum(text)))))
}

// Contract 8.25: what is known of a token by a public key.
func TestAsymmetricIdentity(t *testing.T) {
	v := verifierOf(t, Config{Keys: parseSet(t, ecPair), Shared: NewShared(SharedConfig{})})
	token := ecPair.token(`{"iss":"i","sub":"s","role":"r","exp":1800000001.5}`)
	want := Identity{Method: MethodJWT, JWT: Claims{
		Issuer: "i", Subject: "s", Role: "r", Algorithm: "ES256", KeyID: "ec-1", ExpiresAt: 1_800_000_001,
		SignaturePrefix: token[strings.LastIndex(token, ".")+1:][:6],
	}}
	for _, how := range []string{"verified", "remembered"} {
		if got, failure := v.Check(bearer(token), true, now); failure != nil || got != want {
			t.Errorf("%s:\n got %+v %v\nwant %+v", how, got, failure, want)
		}
	}
}

// Contract 3.14: several keys of a name, or of none, are all tried, but a bounded
// number of them.
func TestAttemptsAreBounded(t *testing.T) {
	crowd := make([]pair, maxAttempts)
	for i := range crowd {
		crowd[i] = pair{"same", "EdDSA", newEd25519()}
	}
	last := crowd[maxAttempts-1]
	v := verifierOf(t, Config{Keys: parseSet(t, crowd...), AllowEdDSA: true})
	for name, token := range map[string]string{"named": last.token(`{}`), "unnamed": last.unnamed(`{}`)} {
		if _, err := refusal(v, token, now); err != nil {
			t.Errorf("%s by the last key: %v", name, err)
		}
	}
	beyond := pair{"same", "EdDSA", newEd25519()}
	v = verifierOf(t, Config{Keys: parseSet(t, append(crowd, beyond)...), AllowEdDSA: true})
	if _, err := refusal(v, beyond.unnamed(`{}`), now); !errors.Is(err, ErrSignature) {
		t.Errorf("attempt %d: %v", maxAttempts+1, err)
	}
}

// Bits of a signed token are not malleable, but for the second ES256 signature
// that every first one has: it does not let in anything else.
func TestAsymmetricSpelling(t *testing.T) {
	v := verifierOf(t, Config{Keys: parseSet(t, ecPair, rsaPair, edPair), AllowEdDSA: true})
	for _, p := range []pair{ecPair, rsaPair, edPair} {
		good := p.token(`{"role":"anon"}`)
		for i := 0; i < len(good); i += 3 {
			bad := []byte(good)
			bad[i] ^= 1 << (i % 7)
			if _, err := refusal(v, string(bad), now); err == nil {
				t.Errorf("%s: accepted with byte %d changed", p.alg, i)
			}
		}
	}
}

// A Config that cannot work is refused.
func TestNewRefusesRules(t *testing.T) {
	for name, c := range map[string]Config{
		"issuer":           {Issuers: []string{"a", ""}},
		"audience":         {Audiences: []string{""}},
		"role":             {Roles: []string{""}},
		"leeway":           {Leeway: -1},
		"remote key set":   {Remotes: []*jwks.Remote{nil}},
		`API key 1 "": it`: {APIKeys: []APIKey{{Type: Secret}}},
	} {
		if v, err := New(c); err == nil || v != nil || !strings.Contains(err.Error(), strings.TrimSuffix(name, ` "": it`)) {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
}

func ExampleVerifier_Check() {
	v, err := New(Config{APIKeys: []APIKey{{Name: "web", Type: Publishable, Key: "sb_publishable_abc"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	identity, failure := v.Check(Credentials{APIKey: []string{"sb_publishable_abc"}}, true, now)
	fmt.Println(identity.Method, identity.APIKey.Name, failure == nil)
	_, failure = v.Check(Credentials{}, true, now)
	fmt.Println(failure.Code, failure.Message)
	// Output:
	// api_key web true
	// UNAUTHORIZED_NO_AUTH_HEADER Missing authorization header
}
