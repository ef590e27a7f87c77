package jwks

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The keys of the tests, one of each type.
var (
	ecKey  = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	rsaKey = must(rsa.GenerateKey(rand.Reader, 2048))
	edKey  = must2(ed25519.GenerateKey(rand.Reader))
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func must2[A, B any](_ A, b B, err error) B { return must(b, err) }

type object map[string]any

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// jwk writes a key by hand, with more members on top, so that the tests do not
// rest on the library they test.
func jwk(public crypto.PublicKey, more object) string {
	members := object{}
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		point := must(key.Bytes())
		half := len(point) / 2
		members = object{"kty": "EC", "crv": key.Curve.Params().Name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:])}
	case *rsa.PublicKey:
		members = object{"kty": "RSA", "n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes())}
	case ed25519.PublicKey:
		members = object{"kty": "OKP", "crv": "Ed25519", "x": b64(key)}
	}
	for name, value := range more {
		if value == nil {
			delete(members, name)
		} else {
			members[name] = value
		}
	}
	return string(must(json.Marshal(members)))
}

func ec(kid string) string { return jwk(ecKey.Public(), object{"kid": kid}) }

func set(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

var errDown = errors.New("it is down")

// source is a Fetcher whose answers a test decides.
type source struct {
	name  string
	delay time.Duration

	mu    sync.Mutex // guards all below
	body  string     // empty: errDown
	calls int
	most  int // fetches at a time
	now   int
}

func (s *source) Location() string { return s.name }

func (s *source) Fetch(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	s.calls++
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	select {
	case <-time.After(s.delay):
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now--
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case s.body == "":
		return nil, errDown
	}
	return []byte(s.body), nil
}

func (s *source) serve(body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body = body
}

func (s *source) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}
