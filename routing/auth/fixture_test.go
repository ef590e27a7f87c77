package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/edgegate/edgegate/routing/auth/jwks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a key pair of the tests and its name in sets.
type pair struct {
	kid, alg string
	private  crypto.Signer
}

var (
	ecPair      = pair{"ec-1", "ES256", must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
	ecNext      = pair{"ec-2", "ES256", must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
	rsaPair     = pair{"rsa-1", "RS256", must(rsa.GenerateKey(rand.Reader, 2048))}
	edPair      = pair{"ed-1", "EdDSA", newEd25519()}
	ecStranger  = pair{"ec-1", "ES256", must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
	rsaStranger = pair{"rsa-1", "RS256", must(rsa.GenerateKey(rand.Reader, 2048))}
	edStranger  = pair{"ed-1", "EdDSA", newEd25519()}
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func newEd25519() ed25519.PrivateKey {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return must(private, err)
}

// jwk is the public key as a JWK.
func (p pair) jwk() string {
	members := map[string]any{"kid": p.kid, "alg": p.alg, "use": "sig"}
	switch key := p.private.Public().(type) {
	case *ecdsa.PublicKey:
		point := must(key.Bytes())
		members["kty"], members["crv"], members["x"], members["y"] = "EC", "P-256", b64(string(point[1:33])), b64(string(point[33:]))
	case *rsa.PublicKey:
		members["kty"], members["n"], members["e"] = "RSA", b64(string(key.N.Bytes())), b64(string(big.NewInt(int64(key.E)).Bytes()))
	case ed25519.PublicKey:
		members["kty"], members["crv"], members["x"] = "OKP", "Ed25519", b64(string(key))
	}
	return string(must(json.Marshal(members)))
}

// sign signs by hand, whatever the header says.
func (p pair) sign(header, payload string) string {
	text := b64(header) + "." + b64(payload)
	sum := sha256.Sum256([]byte(text))
	var signature []byte
	switch key := p.private.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		must(0, err)
		signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	case *rsa.PrivateKey:
		signature = must(rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:]))
	case ed25519.PrivateKey:
		signature = ed25519.Sign(key, []byte(text))
	}
	return text + "." + b64(string(signature))
}

// token is a token as the auth server makes it, named by its key.
func (p pair) token(payload string) string {
	return p.sign(`{"alg":"`+p.alg+`","kid":"`+p.kid+`","typ":"JWT"}`, payload)
}

// unnamed is the same without a kid.
func (p pair) unnamed(payload string) string { return p.sign(`{"alg":"`+p.alg+`"}`, payload) }

func keySet(pairs ...pair) string {
	keys := make([]string, len(pairs))
	for i, p := range pairs {
		keys[i] = p.jwk()
	}
	return `{"keys":[` + strings.Join(keys, ",") + `]}`
}

func parseSet(t testing.TB, pairs ...pair) *jwks.Set {
	t.Helper()
	set, remarks, err := jwks.Parse([]byte(keySet(pairs...)))
	if err != nil || len(remarks) > 0 {
		t.Fatal(err, remarks)
	}
	return set
}

func verifierOf(t testing.TB, c Config) *Verifier {
	t.Helper()
	v, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// refusal is the code of a refused token, and why; nil if it is not refused.
func refusal(v *Verifier, token string, at time.Time) (string, error) {
	identity, failure := v.Check(bearer(token), true, at)
	if failure == nil {
		return "", nil
	}
	if identity != (Identity{}) {
		return "", errors.New("a refusal with an identity")
	}
	return failure.Code, failure.Err
}

// source is a jwks.Fetcher whose answers a test decides.
type source struct {
	delay time.Duration

	mu    sync.Mutex // guards all below
	body  string     // empty: it is down
	calls int
}

func (s *source) Location() string { return "https://keys.example.com/" }

func (s *source) Fetch(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	s.calls++
	s.mu.Unlock()
	select {
	case <-time.After(s.delay):
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case s.body == "":
		return nil, errors.New("it is down")
	}
	return []byte(s.body), nil
}

func (s *source) serve(pairs ...pair) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.body = ""; pairs != nil {
		s.body = keySet(pairs...)
	}
}

func (s *source) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func remoteOf(s *source) *jwks.Remote { return jwks.NewPool(jwks.PoolConfig{}).Get(s) }
