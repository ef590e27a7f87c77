package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/edgegate/edgegate/routing/auth/internal/lastuse"
)

// MaxKeyLength is the longest API key, in bytes. Credentials that are longer are
// not looked up, so that no token costs more than this to tell from a key.
const MaxKeyLength = 1024

// KeyType is the kind of an API key: who may use it (contract 3.9).
type KeyType string

const (
	// Publishable keys may be used from anywhere, browsers included.
	Publishable KeyType = "publishable"
	// Secret keys are refused when the request comes from a browser (contract 3.11).
	Secret KeyType = "secret"
)

// APIKey is one API key of a project, given by its text or by its hash.
type APIKey struct {
	// Name is a label for logs; it may be empty and need not be unique.
	Name string
	// Type is required; there is no default.
	Type KeyType
	// Key is the key as clients send it: visible ASCII, at most MaxKeyLength bytes.
	// Empty when SHA256 is set.
	Key string
	// SHA256 is the SHA-256 of the key, 32 bytes, for configurations that should
	// not hold the key itself. Empty when Key is set.
	SHA256 []byte
	// ExpiresAt is the time from which the key is refused as if it were unknown; the
	// zero time means never.
	ExpiresAt time.Time
}

// KeyInfo describes an API key without giving it away.
type KeyInfo struct {
	// Name and Type are as configured.
	Name string
	Type KeyType
	// Prefix is the key's beginning, for humans to tell keys apart: the sb_…_ part
	// and at most 6 characters after it, never more than a quarter of the rest.
	Prefix string
	// Hash is the SHA-256 of the key in hexadecimal.
	Hash string
}

// knownKey is an APIKey without its text.
type knownKey struct {
	name    string
	typ     KeyType
	hash    string
	expires time.Time
	used    *lastuse.Stamp
	// opaque is true if the key cannot have the form of a token.
	opaque bool
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
	if first, taken := v.byHash[sum]; taken {
		return fmt.Errorf("it is the same key as %q", first.name)
	}
	known := &knownKey{
		name:    key.Name,
		typ:     key.Type,
		hash:    hex.EncodeToString(sum[:]),
		expires: key.ExpiresAt,
		used:    v.shared.stamp("API key", sum),
		opaque:  opaque(key.Key),
	}
	v.byHash[sum] = known
	v.apiKeys = append(v.apiKeys, known)
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
	case len(k.Key) > MaxKeyLength:
		return sum, fmt.Errorf("the key has %d bytes, allowed are %d", len(k.Key), MaxKeyLength)
	case strings.IndexFunc(k.Key, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0:
		return sum, errors.New("the key has a space or a character that is not visible ASCII, no client could send it")
	}
	return sha256.Sum256([]byte(k.Key)), nil
}

// lookup finds an API key by its hash, if it is in force. The time of a map
// lookup depends on the hash, which a client cannot steer towards a known one,
// so it reveals nothing.
func (v *Verifier) lookup(key string, now time.Time) (*knownKey, bool) {
	if len(v.byHash) == 0 || len(key) > MaxKeyLength {
		return nil, false
	}
	// On the stack, where a conversion of a long string is not.
	var text [MaxKeyLength]byte
	known, ok := v.byHash[sha256.Sum256(append(text[:0], key...))]
	if !ok || known.expired(now) {
		return nil, false
	}
	return known, true
}

func (k *knownKey) expired(now time.Time) bool { return !k.expires.IsZero() && !now.Before(k.expires) }

// info describes the key, whose text the client just sent.
func (k *knownKey) info(text string) KeyInfo {
	return KeyInfo{
		Name:   k.name,
		Type:   k.typ,
		Prefix: prefix(text),
		Hash:   k.hash,
	}
}

// prefix is the part of a key that may be shown.
func prefix(key string) string {
	head := 0
	for _, p := range []string{"sb_publishable_", "sb_secret_"} {
		if strings.HasPrefix(key, p) {
			head = len(p)
		}
	}
	return key[:head+min(6, (len(key)-head)/4)]
}

// opaque reports whether a credential has the form of an API key. Base64 of a JSON
// object never starts like this, so no token is taken for one.
func opaque(credential string) bool { return strings.HasPrefix(credential, "sb_") }
