package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"
)

// FuzzToken: the whole verifier, with public keys and memory. No token makes it
// panic; none is accepted whose signature an independent check does not find good
// for the algorithm that its header names, or that is out of time; the answer from
// memory is the first one again; and Inspect comes to the same.
func FuzzToken(f *testing.F) {
	for _, header := range []string{
		`{"alg":"ES256","kid":"ec-1"}`, `{"alg":"EdDSA"}`, `{"alg":"RS256","kid":"rsa-1"}`, hs256, `{"alg":"none"}`, `{"alg":"ES256","alg":"HS256"}`,
		`{"alg":"ES256","kid":"../../etc/passwd"}`, `{"alg":"ES256","crit":["b64"],"b64":false}`, `{"alg":"ES256","kid":"' OR 1=1--"}`,
	} {
		for _, payload := range []string{`{}`, `{"exp":1800000001,"nbf":1,"role":"r"}`, `{"exp":1}`, `{"exp":1,"exp":1900000000}`, `[]`, `{"aud":["a",null]}`} {
			f.Add(header, payload, ecPair.sign(header, payload), int64(0))
		}
	}
	f.Add(hs256, `{}`, sign(hs256, `{}`, secret), int64(5))
	f.Add(hs256, `{}`, rsaPair.token(`{"exp":1800000100}`), int64(200))
	f.Add(hs256, `{}`, "..", int64(-5))

	v := verifierOf(f, Config{
		Secrets: [][]byte{secret}, Keys: parseSet(f, ecPair, edPair), Remotes: remotes(f, rsaPair), AllowEdDSA: true, Shared: NewShared(SharedConfig{}),
	})
	f.Fuzz(func(t *testing.T, header, payload, raw string, seconds int64) {
		at := now.Add(time.Duration(seconds%1e9) * time.Second)
		// Properly signed ones, so that the fuzzer gets behind the signature.
		for _, token := range []string{raw, sign(header, payload, secret), ecPair.sign(header, payload), edPair.sign(header, payload)} {
			if token == "" {
				continue // that is no credential
			}
			// Not as a header, whose value is trimmed.
			credentials := Credentials{Token: token}
			identity, failure := v.Check(credentials, true, at)
			if failure == nil {
				vouched(t, token, at)
			} else if identity != (Identity{}) || !challengeForm.MatchString(failure.Challenge) {
				t.Fatalf("%q: %+v, %+v", token, identity, failure)
			}
			again, failureAgain := v.Check(credentials, true, at)
			if again != identity || (failure == nil) != (failureAgain == nil) || failure != nil && *failure != *failureAgain {
				t.Fatalf("%q: first %+v %+v, then %+v %+v", token, identity, failure, again, failureAgain)
			}
			inspection := v.Inspect(token, at)
			if inspection.Accepted != (failure == nil) || failure != nil && (inspection.Code != failure.Code || inspection.Challenge != failure.Challenge) {
				t.Fatalf("%q: Check says %+v, Inspect %+v", token, failure, inspection)
			}
			if _, err := json.Marshal(inspection); err != nil {
				t.Fatalf("%q: %v", token, err)
			}
		}
		for _, token := range []string{sign(header, payload, foreign), ecStranger.sign(header, payload), edStranger.sign(header, payload)} {
			if identity, failure := v.Check(bearer(token), true, at); failure == nil {
				t.Fatalf("a stranger's %q was accepted as %+v", token, identity)
			}
		}
	})
}

// vouched fails unless a key of FuzzToken signed the token, by crypto alone, and
// its times are right.
func vouched(t *testing.T, token string, at time.Time) {
	t.Helper()
	last := strings.LastIndexByte(token, '.')
	signed, parts := token[:last], strings.Split(token, ".")
	signature, err := base64.RawURLEncoding.DecodeString(token[last+1:])
	if err != nil || len(parts) != 3 {
		t.Fatalf("%q was accepted", token)
	}
	var header struct{ Alg string }
	var claims struct{ Exp, Nbf *float64 }
	for i, to := range []any{&header, &claims} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatalf("%q was accepted: %v", token, err)
		}
		// Wrong types are for others to judge: here only what is there counts.
		_ = json.Unmarshal(data, to)
	}
	digest := sha256.Sum256([]byte(signed))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	byEC := len(signature) == 64 && ecdsa.Verify(ecPair.private.Public().(*ecdsa.PublicKey), digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	by := map[string]bool{
		"HS256": bytes.Equal(mac.Sum(nil), signature),
		"ES256": byEC,
		"EdDSA": ed25519.Verify(edPair.private.Public().(ed25519.PublicKey), []byte(signed), signature),
		"RS256": rsa.VerifyPKCS1v15(rsaPair.private.Public().(*rsa.PublicKey), crypto.SHA256, digest[:], signature) == nil,
	}
	// encoding/json takes "ALG" for alg, and so the name may be another's: then any
	// of the keys must have signed.
	if !by[header.Alg] && !(by["HS256"] || by["ES256"] || by["EdDSA"] || by["RS256"]) {
		t.Fatalf("%q was accepted without a signature", token)
	}
	seconds := float64(at.UnixNano()) / 1e9
	const rounding = 1e-3
	if exact(parts[1], "exp") && claims.Exp != nil && seconds > *claims.Exp+rounding {
		t.Fatalf("%q was accepted at %s", token, at)
	}
	if exact(parts[1], "nbf") && claims.Nbf != nil && seconds < *claims.Nbf-rounding {
		t.Fatalf("%q was accepted at %s", token, at)
	}
}

// exact reports whether the claim of exactly this name is there, and no other that
// encoding/json would take for it.
func exact(part, name string) bool {
	data, _ := base64.RawURLEncoding.DecodeString(part)
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil {
		return false
	}
	for member := range members {
		if member != name && strings.EqualFold(member, name) {
			return false
		}
	}
	return members[name] != nil
}
