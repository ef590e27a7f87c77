// Package jwks holds the public keys that sign a project's tokens (RFC 7517).
//
// It decides which keys of a set may verify what, and when a set that lies in a
// file or behind a URL is fetched anew (contract 3.14). It does not verify
// signatures (package auth), does not log, counts nothing for metrics and
// serves nothing: it is the client of the sets' URLs. Sets are refreshed by their
// use: there are no timers and no loops, so there is nothing to close.
//
// No ready-made JWKS client is used: those at hand refresh from goroutines that
// must be stopped with each configuration, or forget the last good set, and none
// keeps to the limits of 3.14. Keys are read by go-jose.
package jwks

import (
	"crypto"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/edgegate/edgegate/routing/auth/internal/lastuse"
)

// The algorithms that keys of a Set verify (RFC 7518 section 3.1, RFC 8037).
const (
	ES256 = "ES256"
	RS256 = "RS256"
	EdDSA = "EdDSA"
)

const (
	// MaxKeys is the largest number of keys in a set; a larger set is an error.
	MaxKeys = 100
	// MaxSize is the largest set as JSON, in bytes.
	MaxSize = 1 << 20
)

// Set is an immutable set of public keys, safe for concurrent use. A nil Set is
// empty.
type Set struct {
	keys        []*Key
	byID        map[keyName][]*Key
	fingerprint [sha256.Size]byte
}

// keyName is a token's reference to its key; an empty id is any key of alg.
type keyName struct{ alg, id string }

// Key is one public key. All but the time of its last use is immutable.
type Key struct {
	// ID is the kid; empty if the key has none.
	ID string
	// Algorithm is the one algorithm that the key may verify, which its type
	// decides: ES256, RS256 or EdDSA.
	Algorithm string
	// Public is an *ecdsa.PublicKey on P-256, an *rsa.PublicKey of 2048 to 8192
	// bits, or an ed25519.PublicKey.
	Public crypto.PublicKey
	// Thumbprint is the SHA-256 thumbprint of RFC 7638 in unpadded base64url.
	Thumbprint string

	used *lastuse.Stamp
}

// Mark records that the key verified a token at the time now.
func (k *Key) Mark(now time.Time) { k.used.Mark(now) }

// LastUsed returns when the key last verified a token, to the second; the zero
// time if it never did since the process knows it.
func (k *Key) LastUsed() time.Time { return k.used.Time() }

// newSet indexes keys.
func newSet(keys []*Key) *Set {
	s := &Set{keys: keys, byID: make(map[keyName][]*Key, 2*len(keys))}
	prints := make([][sha256.Size]byte, len(keys))
	for i, key := range keys {
		unnamed := keyName{alg: key.Algorithm}
		s.byID[unnamed] = append(s.byID[unnamed], key)
		if key.ID != "" {
			named := keyName{alg: key.Algorithm, id: key.ID}
			s.byID[named] = append(s.byID[named], key)
		}
		prints[i] = key.print()
	}
	// Sorted, since the order of keys decides nothing.
	slices.SortFunc(prints, func(a, b [sha256.Size]byte) int { return slices.Compare(a[:], b[:]) })
	h := sha256.New()
	for i := range prints {
		h.Write(prints[i][:])
	}
	h.Sum(s.fingerprint[:0])
	return s
}

// print identifies a key within a set. The algorithm and the thumbprint
// have fixed forms, and the ID comes with its length, so no two keys collide.
func (k *Key) print() [sha256.Size]byte {
	text := binary.BigEndian.AppendUint64(nil, uint64(len(k.ID)))
	text = append(text, k.ID...)
	text = append(text, k.Algorithm...)
	text = append(text, '.')
	return sha256.Sum256(append(text, k.Thumbprint...))
}

// Len returns the number of usable keys.
func (s *Set) Len() int {
	if s == nil {
		return 0
	}
	return len(s.keys)
}

// Fingerprint returns a SHA-256 over everything that decides what the set
// verifies: sets with the same fingerprint accept the same tokens.
func (s *Set) Fingerprint() [sha256.Size]byte {
	if s == nil {
		return emptySet.fingerprint
	}
	return s.fingerprint
}

var emptySet = newSet(nil)

// Candidates returns the keys that may have signed a token with these alg and
// kid: those of exactly that ID, or all of the algorithm when the token has no
// kid. The caller must not change the slice.
func (s *Set) Candidates(alg, kid string) []*Key {
	if s == nil {
		return nil
	}
	return s.byID[keyName{alg: alg, id: kid}]
}

// Keys returns all keys, in the order of the set. The caller must not change
// the slice.
func (s *Set) Keys() []*Key {
	if s == nil {
		return nil
	}
	return s.keys
}

// continuing returns the set with the uses of the keys that prev had too, so
// that a refresh forgets none. It is prev itself if nothing changed.
func (s *Set) continuing(prev *Set) *Set {
	if prev == nil {
		return s
	}
	if s.fingerprint == prev.fingerprint {
		return prev
	}
	old := make(map[[sha256.Size]byte]*Key, len(prev.keys))
	for _, key := range prev.keys {
		old[key.print()] = key
	}
	for _, key := range s.keys {
		if before := old[key.print()]; before != nil {
			key.used = before.used
		}
	}
	return s
}
