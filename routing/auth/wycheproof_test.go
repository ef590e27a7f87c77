package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/c2sp/wycheproof"

	"github.com/edgegate/edgegate/routing/auth/jwks"
)

// vectorFile is a file of Wycheproof, as far as it is read here.
type vectorFile struct {
	TestGroups []struct {
		Public       json.RawMessage `json:"public"`
		Private      json.RawMessage `json:"private"`
		PublicKeyJWK json.RawMessage `json:"publicKeyJwk"`
		KeyJWK       json.RawMessage `json:"keyJwk"`
		Tests        []vector        `json:"tests"`
	} `json:"testGroups"`
}

type vector struct {
	ID      int             `json:"tcId"`
	Comment string          `json:"comment"`
	Result  string          `json:"result"`
	JWS     json.RawMessage `json:"jws"`
	JWE     json.RawMessage `json:"jwe"`

	Key, Msg, Sig, Tag string // of the files with bare signatures, in hexadecimal
}

// token is the compact form, or the text of a JSON serialization.
func (v vector) token() string {
	raw := v.JWS
	if raw == nil {
		raw = v.JWE
	}
	var compact string
	if json.Unmarshal(raw, &compact) != nil {
		return string(raw)
	}
	return compact
}

func readVectors(t *testing.T, name string) vectorFile {
	t.Helper()
	var file vectorFile
	if err := json.Unmarshal(must(fs.ReadFile(wycheproof.TestVectors, name)), &file); err != nil {
		t.Fatal(err)
	}
	return file
}

// vectorVerifier makes the project that has a group's keys: shared secrets for
// HS256 as HMAC secrets, everything else as a key set. It is nil if the
// configuration is refused, and then no token of it can pass.
func vectorVerifier(t *testing.T, public, private json.RawMessage) *Verifier {
	t.Helper()
	raw := public
	if raw == nil {
		raw = private
	}
	var whole struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &whole); err != nil {
		t.Fatal(err)
	}
	if whole.Keys == nil {
		whole.Keys = []json.RawMessage{raw}
	}
	c := Config{AllowEdDSA: true, Shared: NewShared(SharedConfig{})}
	var others []string
	for _, raw := range whole.Keys {
		var jwk struct{ Kty, Alg, K string }
		if err := json.Unmarshal(raw, &jwk); err != nil {
			t.Fatal(err)
		}
		if jwk.Kty == "oct" && jwk.Alg == algHS256 {
			c.Secrets = append(c.Secrets, must(base64.RawURLEncoding.DecodeString(jwk.K)))
		} else {
			others = append(others, string(raw))
		}
	}
	set, _, err := jwks.Parse([]byte(`{"keys":[` + strings.Join(others, ",") + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	c.Keys = set
	v, err := New(c)
	if err != nil {
		return nil
	}
	return v
}

// signatureAccepted judges the signature alone: the payloads of the vectors are no
// claims, so Check refuses the properly signed ones too, but by ErrClaims and after
// the signature. Inspect tells that from a payload that could not be decoded.
func signatureAccepted(t *testing.T, v *Verifier, text string) bool {
	t.Helper()
	if v == nil {
		return false
	}
	accepted := slices.ContainsFunc(v.Inspect(text, now).Checks, func(c InspectionCheck) bool { return c.Name == "signature" && c.OK })
	for range 2 {
		_, err := refusal(v, text, now)
		if err == nil && !accepted || accepted && err != nil && !errors.Is(err, ErrClaims) {
			t.Errorf("Inspect says accepted %v, Check says %v", accepted, err)
		}
	}
	return accepted
}

// The algorithms of contract 3.5 to 3.7, read from a token without our decoder.
func inAllowList(text string) bool {
	raw, _ := base64.RawURLEncoding.DecodeString(strings.SplitN(text, ".", 2)[0])
	var head struct{ Alg string }
	return json.Unmarshal(raw, &head) == nil && slices.Contains([]string{"HS256", "ES256", "RS256", "EdDSA"}, head.Alg)
}

// deviations are the vectors that are judged otherwise than Wycheproof does, each
// with the reason.
var deviations = map[string]string{
	"signature 367": "the vector is byte for byte the valid one of 357: its padding was lost when it was made",
	"signature 370": "the vector is byte for byte the valid one of 357: its padding was lost when it was made",
	"signature 372": "refused: `?` is not in the alphabet of base64url, and RFC 7515 section 2 allows no other characters",
	"signature 373": "refused: `?` is not in the alphabet of base64url, and RFC 7515 section 2 allows no other characters",
	"key 1":         "accepted: a project has secrets and public keys side by side on purpose (contract 3.14), each pinned to its algorithm",
	"key 4":         "accepted: HMAC secrets have no kid here, all of a project's are tried (contract 3.14)",
	"key 7":         "accepted: keys are not searched for the ROCA weakness of 2017; whoever publishes one has to replace it",
	"crypto 46":     "accepted: keys are not searched for the ROCA weakness of 2017; whoever publishes one has to replace it",
	"crypto 47":     "accepted: a project has secrets and public keys side by side on purpose (contract 3.14), each pinned to its algorithm",
}

// Contract 3.4 to 3.7, 3.14: Wycheproof's JSON web tokens. Totals are asserted, so
// that an update of the module that brings new ones is noticed.
func TestWycheproof(t *testing.T) {
	type totals struct{ accepted, outside, refused, deviating int }
	seen := map[string]bool{}
	for name, want := range map[string]totals{
		"signature": {accepted: 18, outside: 26, refused: 353, deviating: 4},
		"key":       {accepted: 3, outside: 2, refused: 18, deviating: 3},
		"crypto":    {accepted: 4, outside: 2, refused: 75, deviating: 2},
	} {
		t.Run(name, func(t *testing.T) {
			var got totals
			for _, group := range readVectors(t, "json_web_"+name+"_test.json").TestGroups {
				v := vectorVerifier(t, group.Public, group.Private)
				for _, vec := range group.Tests {
					id, text := fmt.Sprint(name, " ", vec.ID), vec.token()
					accepted := signatureAccepted(t, v, text)
					valid := vec.Result == "valid"
					reason := deviations[id]
					seen[id] = reason != ""
					switch {
					case reason != "" && accepted == valid:
						t.Errorf("%s %s: judged alike, though %s", id, vec.Comment, reason)
					case reason != "":
						got.deviating++
					case valid && accepted:
						got.accepted++
					case valid && !inAllowList(text):
						got.outside++
					case !valid && !accepted:
						got.refused++
					default:
						t.Errorf("%s %s: accepted %v, Wycheproof says %s", id, vec.Comment, accepted, vec.Result)
					}
				}
			}
			t.Logf("%d valid accepted, %d valid but outside the allow-list refused, %d invalid refused, %d deviations",
				got.accepted, got.outside, got.refused, got.deviating)
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
	for id := range maps.Keys(deviations) {
		if !seen[id] {
			t.Errorf("there is no vector %s", id)
		}
	}
}

// Contract 3.5 to 3.7: Wycheproof's bare signatures through the step that checks
// them. What a message is does not matter to it, so any bytes will do.
func TestWycheproofSignatures(t *testing.T) {
	type totals struct{ accepted, refused int }
	for name, want := range map[string]totals{
		"ecdsa_secp256r1_sha256_p1363": {accepted: 169, refused: 83},
		"ed25519":                      {accepted: 88, refused: 63},
		"rsa_signature_2048_sha256":    {accepted: 9, refused: 250},
		"rsa_signature_3072_sha256":    {accepted: 8, refused: 251},
		"rsa_signature_4096_sha256":    {accepted: 7, refused: 251},
		"hmac_sha256":                  {accepted: 30, refused: 138},
	} {
		t.Run(name, func(t *testing.T) {
			var got totals
			for _, group := range readVectors(t, name+"_test.json").TestGroups {
				jwk := bytes.Join([][]byte{group.PublicKeyJWK, group.KeyJWK}, nil)
				for _, vec := range group.Tests {
					var accepted, usable bool
					if len(jwk) > 0 {
						accepted, usable = publicKeyAccepts(t, jwk, vec)
					} else {
						accepted, usable = secretAccepts(t, vec)
					}
					if !usable {
						continue
					}
					// "acceptable" is a lenient reading of PKCS #1, which crypto/rsa has not, and
					// an HMAC is good in its whole length only (RFC 7518 section 3.2).
					if accepted != (vec.Result == "valid" && (vec.Tag == "" || len(vec.Tag) == 2*sha256.Size)) {
						t.Errorf("%d %s: accepted %v, Wycheproof says %s", vec.ID, vec.Comment, accepted, vec.Result)
					}
					if accepted {
						got.accepted++
					} else {
						got.refused++
					}
				}
			}
			t.Logf("%d valid accepted, %d others refused", got.accepted, got.refused)
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// publicKeyAccepts tells whether the one key of a JWK verifies a signature.
func publicKeyAccepts(t *testing.T, jwk []byte, vec vector) (accepted, usable bool) {
	t.Helper()
	set, remarks, err := jwks.Parse(slices.Concat([]byte(`{"keys":[`), jwk, []byte(`]}`)))
	if err != nil || set.Len() != 1 {
		t.Fatal(err, remarks)
	}
	key := set.Keys()[0]
	tok := &token{
		head: header{alg: key.Algorithm}, signed: string(must(hex.DecodeString(vec.Msg))), signature: must(hex.DecodeString(vec.Sig)),
	}
	return verifies(key, tok), true
}

// secretAccepts does the same for a shared secret, if a project may have it.
func secretAccepts(t *testing.T, vec vector) (accepted, usable bool) {
	t.Helper()
	if vec.Key == "" {
		return false, false // a group whose public key has no JWK
	}
	v, err := New(Config{Secrets: [][]byte{must(hex.DecodeString(vec.Key))}})
	if err != nil {
		return false, false
	}
	_, err = v.bySecret(&token{signed: string(must(hex.DecodeString(vec.Msg))), signature: must(hex.DecodeString(vec.Tag))})
	return err == nil, true
}
