package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"maps"
	"math/big"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// attack is one token, why it is refused and with which code; no err means that it
// is good, to show that the others fail for the right reason.
type attack struct {
	token string
	err   error
	code  string
}

// besieged is a project with everything that can sign a token.
func besieged(t testing.TB) Config {
	t.Helper()
	return Config{Secrets: [][]byte{secret}, Keys: parseSet(t, ecPair, rsaPair, edPair), AllowEdDSA: true}
}

// repel brings every attack in all ways: as a header, as a token from elsewhere, and
// to inspection, each seen for the first and for the second time.
func repel(t *testing.T, c Config, attacks map[string]attack) {
	t.Helper()
	plain := verifierOf(t, c)
	c.Shared = NewShared(SharedConfig{})
	remembering := verifierOf(t, c)
	for name, a := range attacks {
		t.Run(name, func(t *testing.T) {
			for how, v := range map[string]*Verifier{"plain": plain, "remembering": remembering} {
				for range 2 {
					for place, credentials := range map[string]Credentials{
						"Authorization": bearer(a.token), "elsewhere": {Token: a.token},
					} {
						identity, failure := v.Check(credentials, true, now)
						switch {
						case a.err == nil && failure != nil:
							t.Fatalf("%s, %s: refused: %v", how, place, failure.Err)
						case a.err == nil:
						case failure == nil:
							t.Fatalf("%s, %s: accepted as %+v", how, place, identity)
						case !errors.Is(failure.Err, a.err) || failure.Code != a.code || identity != (Identity{}):
							t.Fatalf("%s, %s: got %+v, %v, want %v, %s", how, place, identity, failure, a.err, a.code)
						case !challengeForm.MatchString(failure.Challenge) || len(failure.Message) > 100:
							t.Fatalf("%s, %s: an unsafe answer: %+v", how, place, failure)
						}
					}
				}
				if got := v.Inspect(a.token, now); got.Accepted != (a.err == nil) || got.Code != a.code {
					t.Fatalf("%s: inspection says %+v", how, got)
				}
			}
		})
	}
}

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// encodings are all ways in which people have a public key at hand.
func encodings(p pair) map[string][]byte {
	public := p.private.Public()
	pkix := must(x509.MarshalPKIXPublicKey(public))
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	certificate := must(x509.CreateCertificate(rand.Reader, template, template, public, p.private))
	all := map[string][]byte{
		"PKIX DER": pkix, "PKIX PEM": pemBlock("PUBLIC KEY", pkix),
		"certificate DER": certificate, "certificate PEM": pemBlock("CERTIFICATE", certificate),
		"JWK": []byte(p.jwk()), "JWK Set": []byte(keySet(p)),
		"PEM with CRLF": []byte(strings.ReplaceAll(string(pemBlock("PUBLIC KEY", pkix)), "\n", "\r\n")),
	}
	var raw map[string][]byte
	switch key := public.(type) {
	case *rsa.PublicKey:
		pkcs1 := x509.MarshalPKCS1PublicKey(key)
		all["PKCS1 DER"], all["PKCS1 PEM"] = pkcs1, pemBlock("RSA PUBLIC KEY", pkcs1)
		n := b64(string(key.N.Bytes()))
		all["canonical JWK"] = []byte(`{"e":"AQAB","kty":"RSA","n":"` + n + `"}`)
		all["decimal modulus"] = []byte(key.N.String())
		raw = map[string][]byte{"modulus": key.N.Bytes(), "signed modulus": append([]byte{0}, key.N.Bytes()...)}
	case *ecdsa.PublicKey:
		point := must(key.Bytes())
		all["canonical JWK"] = []byte(`{"crv":"P-256","kty":"EC","x":"` + b64(string(point[1:33])) + `","y":"` + b64(string(point[33:])) + `"}`)
		x, y := new(big.Int).SetBytes(point[1:33]), new(big.Int).SetBytes(point[33:])
		raw = map[string][]byte{
			"point": point, "compressed point": elliptic.MarshalCompressed(elliptic.P256(), x, y),
			"x and y": point[1:], "x": point[1:33], "y": point[33:],
		}
	case ed25519.PublicKey:
		all["canonical JWK"] = []byte(`{"crv":"Ed25519","kty":"OKP","x":"` + b64(string(key)) + `"}`)
		raw = map[string][]byte{"bytes": key}
	}
	raw["the DER"] = pkix
	for name, value := range raw {
		all[name] = value
		all["base64 of "+name] = []byte(base64.StdEncoding.EncodeToString(value))
		all["base64url of "+name] = []byte(b64(string(value)))
		all["hex of "+name] = []byte(hex.EncodeToString(value))
		all["SHA-256 of "+name] = sum(string(value))
	}
	for name, value := range maps.Clone(all) {
		all[name+" and a newline"] = append(append([]byte{}, value...), '\n')
		// Not of raw bytes, which may end in a newline of their own.
		if trimmed := strings.TrimRight(string(value), "\r\n"); trimmed != string(value) && utf8.Valid(value) {
			all[name+", trimmed"] = []byte(trimmed)
		}
	}
	return all
}

// Contract 3.5, 3.14: a public key is public, so what is signed with it as an HMAC
// secret is signed by nobody, in whatever form the attacker takes it.
func TestAttackKeyConfusion(t *testing.T) {
	for _, p := range []pair{ecPair, rsaPair, edPair} {
		attacks := map[string]attack{"control, the private key": {token: p.token(`{}`)}}
		for name, key := range encodings(p) {
			attacks[name] = attack{sign(`{"alg":"HS256","kid":"`+p.kid+`"}`, `{}`, key), ErrSignature, CodeLegacyJWT}
		}
		if len(attacks) < 30 {
			t.Errorf("%s: only %d encodings", p.alg, len(attacks))
		}
		keys := parseSet(t, p)
		t.Run(p.alg+" and no secret", func(t *testing.T) { repel(t, Config{Keys: keys, AllowEdDSA: true}, attacks) })
		t.Run(p.alg+" and a secret", func(t *testing.T) {
			repel(t, Config{Keys: keys, AllowEdDSA: true, Secrets: [][]byte{secret, oldSecret}}, attacks)
		})
	}
}

// Contract 3.14: nor can an operator make a secret of one by mistake. Forms that
// tell what they are are refused anywhere, bare numbers beside the key itself.
func TestAttackPublicKeyAsSecret(t *testing.T) {
	telling := []string{"PEM", "JWK", "DER"}
	for _, p := range []pair{ecPair, rsaPair, edPair} {
		keys := parseSet(t, p)
		for name, key := range encodings(p) {
			_, err := New(Config{Secrets: [][]byte{key}, Keys: keys, AllowEdDSA: true})
			if err == nil {
				t.Errorf("%s: %s is a secret beside its key", p.alg, name)
			} else if strings.Contains(err.Error(), string(key)) {
				t.Errorf("%s: %s: the error repeats it: %v", p.alg, name, err)
			}
			tells := slices.ContainsFunc(telling, func(form string) bool { return strings.Contains(name, form) })
			if _, err := New(Config{Secrets: [][]byte{key}}); err == nil && tells && !strings.Contains(name, "SHA-256") {
				t.Errorf("%s: %s is a secret", p.alg, name)
			}
		}
	}
}

// Random secrets are accepted in every form in which people write them.
func TestRandomSecretsPass(t *testing.T) {
	keys := parseSet(t, ecPair, rsaPair, edPair)
	for range 2000 {
		raw := make([]byte, 32+mathrand.IntN(64))
		_, _ = rand.Read(raw)
		for _, s := range [][]byte{raw, []byte(hex.EncodeToString(raw)), []byte(base64.StdEncoding.EncodeToString(raw)), []byte(b64(string(raw)))} {
			if err := checkSecret(s, keys); err != nil {
				t.Fatalf("%q: %v", s, err)
			}
		}
	}
	for _, s := range []string{
		strings.Repeat("0x", 20), strings.Repeat("{}", 20), strings.Repeat("[]", 20), strings.Repeat("=", 40),
		`{"kid":"a","secret":"0123456789abcdef0123456789abcdef"}`, `[{"secret":"0123456789abcdef0123456789abcdef"}]`,
		"0123456789abcdef -----BEGIN without an end",
	} {
		if err := checkSecret([]byte(s), keys); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func FuzzSecret(f *testing.F) {
	for _, p := range []pair{ecPair, rsaPair, edPair} {
		for _, key := range encodings(p) {
			f.Add(key)
		}
	}
	f.Fuzz(func(t *testing.T, key []byte) {
		if err := checkPublic(key); err != nil && len(key) > 8 && strings.Contains(err.Error(), string(key)) {
			t.Errorf("the error repeats the secret: %v", err)
		}
	})
}

// Contract 3.6, 3.7, 3.14: a key verifies the one algorithm of its type, whatever the
// token says.
func TestAttackAlgorithmConfusion(t *testing.T) {
	rsaKey := rsaPair.private.(*rsa.PrivateKey)
	claims := `{"role":"service_role"}`
	head := func(alg, kid string) string { return `{"alg":"` + alg + `","kid":"` + kid + `"}` }
	// rsaSigned signs properly by another scheme of RSA.
	rsaSigned := func(header string, hash crypto.Hash, pss bool) string {
		text := b64(header) + "." + b64(claims)
		h := hash.New()
		h.Write([]byte(text))
		if pss {
			return text + "." + b64(string(must(rsa.SignPSS(rand.Reader, rsaKey, hash, h.Sum(nil), nil))))
		}
		return text + "." + b64(string(must(rsa.SignPKCS1v15(nil, rsaKey, hash, h.Sum(nil)))))
	}
	repel(t, besieged(t), map[string]attack{
		"control, ES256":                     {token: ecPair.sign(head("ES256", "ec-1"), claims)},
		"control, RS256":                     {token: rsaPair.sign(head("RS256", "rsa-1"), claims)},
		"control, EdDSA":                     {token: edPair.sign(head("EdDSA", "ed-1"), claims)},
		"RS256 by the EC key":                {ecPair.sign(head("RS256", "ec-1"), claims), ErrUnknownSigner, CodeAsymmetricJWT},
		"RS256 by the EC key, named RSA":     {ecPair.sign(head("RS256", "rsa-1"), claims), ErrSignature, CodeAsymmetricJWT},
		"ES256 by the RSA key":               {rsaPair.sign(head("ES256", "rsa-1"), claims), ErrUnknownSigner, CodeAsymmetricJWT},
		"ES256 by the RSA key, unnamed":      {rsaPair.sign(`{"alg":"ES256"}`, claims), ErrSignature, CodeAsymmetricJWT},
		"ES256 by the Ed25519 key":           {edPair.sign(head("ES256", "ed-1"), claims), ErrUnknownSigner, CodeAsymmetricJWT},
		"ES256 by the Ed25519 key, named EC": {edPair.sign(head("ES256", "ec-1"), claims), ErrSignature, CodeAsymmetricJWT},
		"EdDSA by the EC key, named Ed25519": {ecPair.sign(head("EdDSA", "ed-1"), claims), ErrSignature, CodeAsymmetricJWT},
		"HS256 by the EC key":                {ecPair.sign(head("HS256", "ec-1"), claims), ErrSignature, CodeLegacyJWT},
		"HS256 by the RSA key":               {rsaPair.sign(head("HS256", "rsa-1"), claims), ErrSignature, CodeLegacyJWT},
		"ES256 by the HMAC secret":           {sign(head("ES256", "ec-1"), claims, secret), ErrSignature, CodeAsymmetricJWT},
		"RS256 by the HMAC secret":           {sign(head("RS256", "rsa-1"), claims, secret), ErrSignature, CodeAsymmetricJWT},
		"EdDSA by the HMAC secret":           {sign(head("EdDSA", "ed-1"), claims, secret), ErrSignature, CodeAsymmetricJWT},
		"PSS called RS256":                   {rsaSigned(head("RS256", "rsa-1"), crypto.SHA256, true), ErrSignature, CodeAsymmetricJWT},
		"SHA-512 called RS256":               {rsaSigned(head("RS256", "rsa-1"), crypto.SHA512, false), ErrSignature, CodeAsymmetricJWT},
		"PS256 by the RSA key":               {rsaSigned(head("PS256", "rsa-1"), crypto.SHA256, true), ErrAlgorithm, CodeUnsupportedAlgorithm},
		"RS512 by the RSA key":               {rsaSigned(head("RS512", "rsa-1"), crypto.SHA512, false), ErrAlgorithm, CodeUnsupportedAlgorithm},
		"ES384 by the EC key":                {ecPair.sign(head("ES384", "ec-1"), claims), ErrAlgorithm, CodeUnsupportedAlgorithm},
		"ES256K by the EC key":               {ecPair.sign(head("ES256K", "ec-1"), claims), ErrAlgorithm, CodeUnsupportedAlgorithm},
		"Ed25519, the name of RFC 9864":      {edPair.sign(head("Ed25519", "ed-1"), claims), ErrAlgorithm, CodeUnsupportedAlgorithm},
		"Ed448":                              {edPair.sign(head("Ed448", "ed-1"), claims), ErrAlgorithm, CodeUnsupportedAlgorithm},
		"HS384":                              {signWith(crypto.SHA384.New, head("HS384", ""), claims, secret), ErrAlgorithm, CodeUnsupportedAlgorithm},
		"SHA-1 called HS256":                 {signWith(crypto.SHA1.New, hs256, claims, secret), ErrSignature, CodeLegacyJWT},
		"hash of the secret as the secret":   {sign(hs256, claims, sum(string(secret))), ErrSignature, CodeLegacyJWT},
		"base64 of the secret as the secret": {sign(hs256, claims, []byte(base64.StdEncoding.EncodeToString(secret))), ErrSignature, CodeLegacyJWT},
	})
	none := Config{Secrets: [][]byte{secret}, Keys: parseSet(t, edPair)}
	repel(t, none, map[string]attack{
		"EdDSA where it is not allowed": {edPair.token(claims), ErrAlgorithm, CodeUnsupportedAlgorithm},
		"control, HS256 there":          {token: sign(hs256, claims, secret)},
	})
}
