package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/edgegate/edgegate/routing/auth/jwks"
)

// maxAttempts is the most public keys tried for one token. A token that names
// its key needs one; one that does not shall not cost a hundred verifications.
const maxAttempts = 32

// signer is the secret or key that made a signature; it records its use.
type signer interface{ Mark(now time.Time) }

// bySecret finds the HMAC secret of a signature (contract 3.5). It takes no
// slot: an HMAC costs about what decoding the token costs, so that queueing for it
// would only add to it.
func (v *Verifier) bySecret(t *token) (position int, err error) {
	for i := range v.secrets {
		if jwt.SigningMethodHS256.Verify(t.signed, t.signature, v.secrets[i].key) == nil {
			return i, nil
		}
	}
	return 0, ErrSignature
}

// byPublicKey finds the public key of a signature (contract 3.6, 3.14). The keys
// that a token's own header offers (jwk, jku, x5u, x5c) are never looked at. own
// is true if the key is the configuration's own; the result holds for ring.scope.
func (v *Verifier) byPublicKey(t *token) (key *jwks.Key, own bool, ring *keyring, err error) {
	since := v.begun()
	ring, overdue := v.keyring()
	if overdue {
		// What the configuration holds needs no waiting for what others hold.
		if key, err := v.try(ring.sets[:1], t); err == nil || errors.Is(err, ErrBusy) {
			return key, true, ring, err
		}
		if ring, err = v.await(); err != nil {
			return nil, false, nil, err
		}
	}
	key, err = v.try(ring.sets, t)
	if len(v.remotes) > 0 && lacking(err, t.head) {
		newer, busy := v.seek(ring, since, t.head)
		if busy != nil {
			return nil, false, ring, busy
		}
		if newer.scope != ring.scope {
			ring = newer
			key, err = v.try(ring.sets, t)
		}
	}
	if err != nil {
		return nil, false, ring, err
	}
	return key, contains(ring.sets[0], key), ring, nil
}

// lacking reports whether a newer set might have the key of a token: it names one
// that is not there, or names none and none fits.
func lacking(err error, head header) bool {
	return errors.Is(err, ErrUnknownSigner) || head.kid == "" && errors.Is(err, ErrSignature)
}

func contains(set *jwks.Set, key *jwks.Key) bool {
	return slices.Contains(set.Candidates(key.Algorithm, key.ID), key)
}

// try checks a signature against the fitting keys of sets. The work is done in a
// slot, so that a flood of forgeries for one project leaves processors for all
// others and for what needs none (ErrBusy).
func (v *Verifier) try(sets []*jwks.Set, t *token) (*jwks.Key, error) {
	var keys []*jwks.Key
	for _, set := range sets {
		found := set.Candidates(t.head.alg, t.head.kid)
		if keys == nil {
			keys = slices.Clip(found)
		} else {
			keys = append(keys, found...)
		}
	}
	if len(keys) == 0 {
		return nil, ErrUnknownSigner
	}
	if t.signature == nil {
		return nil, ErrSignature
	}
	if !v.shared.acquire(v.slots) {
		return nil, ErrBusy
	}
	defer v.shared.release(v.slots)
	for _, key := range keys[:min(len(keys), maxAttempts)] {
		if verifies(key, t) {
			return key, nil
		}
	}
	return nil, ErrSignature
}

// verifies checks a signature with the one algorithm that the key's type is
// pinned to, whatever the token asks for.
func verifies(key *jwks.Key, t *token) bool {
	if key.Algorithm != t.head.alg {
		return false
	}
	var method jwt.SigningMethod
	switch key.Public.(type) {
	case *ecdsa.PublicKey:
		method = jwt.SigningMethodES256
	case *rsa.PublicKey:
		method = jwt.SigningMethodRS256
	case ed25519.PublicKey:
		method = jwt.SigningMethodEdDSA
	default:
		return false
	}
	return method.Alg() == key.Algorithm && method.Verify(t.signed, t.signature, key.Public) == nil
}
