// Package auth decides whether a request's credentials are good for a project
// (BEHAVIOUR.md section 3): API keys in the apikey header, and in Authorization
// either an API key or a JSON Web Token.
//
// It does not decide which requests need credentials (method, preflight and
// verify_jwt are the pipeline's), reads no headers by name, writes no response
// and keeps no state between requests. Asymmetric keys are not part of it:
// ES256 and RS256 tokens are recognised and refused (BEHAVIOUR 3.6).
package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// MinSecretLength is the smallest HMAC secret that is accepted, in bytes: the
// output size of SHA-256, as RFC 7518 section 3.2 demands for HS256.
const MinSecretLength = sha256.Size

// KeyType is what an API key may be used for (BEHAVIOUR 3.9).
type KeyType string

const (
	// Publishable keys may be used from anywhere, browsers included.
	Publishable KeyType = "publishable"
	// Secret keys are refused when the request comes from a browser (BEHAVIOUR 3.11).
	Secret KeyType = "secret"
)

// Config is one project's credentials. The zero Config is valid and accepts nothing.
type Config struct {
	// Secrets are the HS256 secrets, at least MinSecretLength bytes each. Several
	// may be in force at once, for rotation (BEHAVIOUR 3.14).
	Secrets [][]byte
	// APIKeys are the project's API keys (BEHAVIOUR 3.9).
	APIKeys []APIKey
}

// APIKey is one API key of a project, given by its text or by its hash.
type APIKey struct {
	// Name is a label for logs; it may be empty and need not be unique.
	Name string
	// Type says what the key may be used for; there is no default.
	Type KeyType
	// Key is the key as clients send it: visible ASCII. Empty when SHA256 is set.
	Key string
	// SHA256 is the SHA-256 of the key, 32 bytes, for configurations that should
	// not hold the key itself. Empty when Key is set.
	SHA256 []byte
}

// Verifier judges credentials against one project's Config. It is immutable and
// safe for concurrent use; of API keys it holds only the SHA-256.
type Verifier struct {
	secrets jwt.VerificationKeySet
	keys    map[[sha256.Size]byte]knownKey
}

// knownKey is what is left of an APIKey once its text is forgotten.
type knownKey struct {
	name string
	typ  KeyType
	hash string
}

// New returns the Verifier of a project. Its error joins everything that is wrong
// with the configuration, names entries by position and name, and never contains
// a secret or a key.
func New(c Config) (*Verifier, error) {
	v := &Verifier{keys: make(map[[sha256.Size]byte]knownKey, len(c.APIKeys))}
	var errs []error
	for i, secret := range c.Secrets {
		if err := checkSecret(secret); err != nil {
			errs = append(errs, fmt.Errorf("HMAC secret %d: %w", i+1, err))
			continue
		}
		v.secrets.Keys = append(v.secrets.Keys, slices.Clone(secret))
	}
	for i, key := range c.APIKeys {
		if err := v.add(key); err != nil {
			errs = append(errs, fmt.Errorf("API key %d %q: %w", i+1, key.Name, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return v, nil
}

// checkSecret refuses what cannot be a shared secret. Public keys are refused
// because everybody can read them and so could sign with them (BEHAVIOUR 3.14).
func checkSecret(secret []byte) error {
	if len(secret) < MinSecretLength {
		return fmt.Errorf("it has %d bytes, HS256 needs at least %d", len(secret), MinSecretLength)
	}
	trimmed := bytes.TrimSpace(secret)
	if bytes.HasPrefix(trimmed, []byte("-----BEGIN ")) {
		return errors.New("it is a PEM file, not a shared secret")
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(trimmed, &object) == nil && (object["kty"] != nil || object["keys"] != nil) {
		return errors.New("it is a JSON Web Key, not a shared secret")
	}
	return nil
}

// add puts one API key into the table under its hash.
func (v *Verifier) add(key APIKey) error {
	if key.Type != Publishable && key.Type != Secret {
		return fmt.Errorf("the type is %q, it must be %q or %q", string(key.Type), Publishable, Secret)
	}
	sum, err := key.sum()
	if err != nil {
		return err
	}
	if first, taken := v.keys[sum]; taken {
		return fmt.Errorf("it is the same key as %q", first.name)
	}
	v.keys[sum] = knownKey{name: key.Name, typ: key.Type, hash: hex.EncodeToString(sum[:])}
	return nil
}

// sum returns the SHA-256 of the key, checking that a client can send it.
func (k APIKey) sum() (sum [sha256.Size]byte, err error) {
	switch {
	case k.Key != "" && len(k.SHA256) > 0:
		return sum, errors.New("it has both the key and its SHA-256, one is enough")
	case len(k.SHA256) > 0:
		if len(k.SHA256) != sha256.Size {
			return sum, fmt.Errorf("the SHA-256 has %d bytes, it must have %d", len(k.SHA256), sha256.Size)
		}
		sum = [sha256.Size]byte(k.SHA256)
		if sum == sha256.Sum256(nil) {
			return sum, errors.New("the SHA-256 is that of an empty key")
		}
		return sum, nil
	case k.Key == "":
		return sum, errors.New("the key is empty")
	case strings.IndexFunc(k.Key, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0:
		return sum, errors.New("the key has a space or a character that is not visible ASCII, no client could send it")
	}
	return sha256.Sum256([]byte(k.Key)), nil
}
