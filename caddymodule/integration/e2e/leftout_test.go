//go:build e2e

package e2e

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKeysLeftOut has a set with a key whose members are padded, which is used, and one that cannot verify tokens, which
// the log and `status` name with the reason.
func TestKeysLeftOut(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	padded := base64.URLEncoding.EncodeToString
	set, err := json.Marshal(object{"keys": []object{
		{"kty": "RSA", "kid": "padded", "n": padded(private.N.Bytes()), "e": "AQAB"},
		{"kty": "EC", "kid": "large", "crv": "P-384", "x": "AA", "y": "AA"},
		{"kty": "RSA", "kid": "broken", "n": "not base64!", "e": "AQAB"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, set, 0o600); err != nil {
		t.Fatal(err)
	}
	b := startRawBackend(t)
	g := startGateway(t, config{
		backends: []backend{{region: regionNames[0], address: b.addr}}, functions: rawFunctions,
		project: "\t\t\tjwks " + file,
	})
	enc := base64.RawURLEncoding
	token := enc.EncodeToString([]byte(`{"alg":"RS256","kid":"padded"}`)) + "." + enc.EncodeToString([]byte(`{"role":"anon"}`))
	digest := sha256.Sum256([]byte(token))
	signature, err := rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	token += "." + enc.EncodeToString(signature)
	got := exchange(t, g.addr, rawRequest("GET", "/functions/v1/locked", "any.example", "", "Authorization: Bearer "+token))
	if got.status != 200 {
		t.Errorf("contract 3.14 a token by the padded key was answered %d %s: %s", got.status, got.body, got.header.Get("WWW-Authenticate"))
	}
	eventually(t, "both keys are in status", func() bool {
		res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/edge_functions/status", g.admin))
		if err != nil {
			return false
		}
		defer res.Body.Close()
		var status struct {
			Projects struct {
				JWKS struct {
					Remarks []struct{ Location, Message string }
				}
			}
		}
		if err := json.NewDecoder(res.Body).Decode(&status); err != nil {
			return false
		}
		text := fmt.Sprint(status.Projects.JWKS.Remarks)
		return len(status.Projects.JWKS.Remarks) == 2 && strings.Contains(text, `kid "large"`) && strings.Contains(text, "curve") &&
			strings.Contains(text, `kid "broken"`) && strings.Contains(text, file)
	})
	eventually(t, "both keys are in the log", func() bool {
		for line := range strings.SplitSeq(g.output(), "\n") {
			if strings.Contains(line, "key_set") && strings.Contains(line, "degraded") && strings.Contains(line, "large") && strings.Contains(line, "broken") {
				return true
			}
		}
		return false
	})
}
