// Package auth decides whether a request's credentials are valid for a project
// (contract 3.1 to 3.15): API keys in the apikey header, and in Authorization
// either an API key or a JSON Web Token, signed with a shared secret or by one of
// the project's public keys (package jwks).
//
//	verifier, err := auth.New(auth.Config{Secrets: [][]byte{secret}})
//	identity, failure := verifier.Check(auth.Credentials{Authorization: values}, true, now)
//
// It does not decide which requests need credentials (method, preflight and
// verify_jwt are the pipeline's), reads no headers by name, and writes no
// response. It remembers verified tokens and the last use of keys between
// requests; that changes the speed of an answer, never the answer.
package auth

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/edgegate/edgegate/routing/auth/internal/lastuse"
	"github.com/edgegate/edgegate/routing/auth/jwks"
)

// Config is one project's credentials. The zero Config is valid and accepts nothing.
type Config struct {
	// Secrets are the HS256 secrets, at least MinSecretLength bytes each. Several
	// may be in force at once, for rotation (contract 3.14).
	Secrets [][]byte
	// APIKeys are the project's API keys (contract 3.9).
	APIKeys []APIKey
	// Keys are public keys that the configuration itself holds; nil for none.
	Keys *jwks.Set
	// Remotes are public keys that lie in files or behind URLs.
	Remotes []*jwks.Remote
	// AllowEdDSA admits EdDSA on Ed25519 beside ES256 and RS256 (contract 3.7).
	AllowEdDSA bool
	// Issuers, Audiences and Roles list the accepted values of iss, aud (one of
	// which is enough) and role; an empty list accepts any (contract 3.8).
	Issuers, Audiences, Roles []string
	// Leeway is the tolerated difference of clocks in exp and nbf (contract 3.8).
	Leeway time.Duration
	// Shared is the state shared by all projects of the process. Nil means no cache,
	// and slots of the Verifier's own.
	Shared *Shared
}

// Verifier judges credentials against one project's Config. It is safe for
// concurrent use; of API keys it holds only the SHA-256.
type Verifier struct {
	apiKeys []*knownKey
	byHash  map[[sha256.Size]byte]*knownKey
	secrets []hmacSecret
	inline  *jwks.Set
	remotes []*jwks.Remote
	eddsa   bool
	rules   rules
	shared  *Shared
	// slots are the Verifier's part of the shared ones; nil without public keys.
	slots *slots
	// settings is the fingerprint of the unchanging part of the configuration.
	settings [sha256.Size]byte
	current  atomic.Pointer[keyring]
}

// hmacSecret is one HS256 secret.
type hmacSecret struct {
	key       []byte
	wellKnown string // the name of a public secret; empty for others
	used      *lastuse.Stamp
}

// New returns the Verifier of a project. Its error joins everything that is wrong
// with the configuration, names entries by position and name, and never contains
// a secret or a key.
func New(c Config) (*Verifier, error) {
	v := &Verifier{
		byHash:  make(map[[sha256.Size]byte]*knownKey, len(c.APIKeys)),
		inline:  c.Keys,
		remotes: slices.Clone(c.Remotes),
		eddsa:   c.AllowEdDSA,
		shared:  c.Shared,
	}
	if v.shared == nil {
		v.shared = newSlots()
	}
	var errs []error
	for i, secret := range c.Secrets {
		if err := checkSecret(secret, c.Keys); err != nil {
			errs = append(errs, fmt.Errorf("HMAC secret %d: %w", i+1, err))
			continue
		}
		name, _ := WellKnownSecret(secret)
		v.secrets = append(v.secrets, hmacSecret{
			key: slices.Clone(secret), wellKnown: name, used: v.shared.stamp("secret", sha256.Sum256(secret)),
		})
	}
	for i, key := range c.APIKeys {
		if err := v.add(key); err != nil {
			errs = append(errs, fmt.Errorf("API key %d %q: %w", i+1, key.Name, err))
		}
	}
	if slices.Contains(v.remotes, nil) {
		errs = append(errs, errors.New("a remote key set is nil"))
	}
	var err error
	if v.rules, err = newRules(c); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if v.inline.Len() > 0 || len(v.remotes) > 0 {
		v.slots = newSlotsOf(max(1, cap(v.shared.slots)/2))
	}
	v.settings = v.fingerprint()
	v.renew()
	return v, nil
}
