package jwks

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/edgegate/edgegate/routing/auth/internal/lastuse"
)

// The sizes of RSA moduli that are accepted, in bits. RFC 7518 section 3.3
// demands the lower bound; the upper one bounds the time of a verification.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// errMembers says little on purpose: libraries' words may quote the key.
var errMembers = errors.New("its members are no valid key of its type")

// errPrivate is a remark and no reason: the key is used, but should not be there.
var errPrivate = errors.New("it is a private key, of which only the public part is used: whoever reads it can sign tokens")

// Parse reads a JWK Set (RFC 7517 section 5). Keys that cannot verify tokens are
// left out, and one odd key never spoils the set: remarks says which were left
// out and why, and which should not be there. No remark has key material in it.
// An empty set is valid. The error says why data is no set at all: no JSON object
// with an array of keys, more than MaxKeys, or more than MaxSize bytes.
func Parse(data []byte) (set *Set, remarks []string, err error) {
	if len(data) > MaxSize {
		return nil, nil, fmt.Errorf("it has more than %d bytes", MaxSize)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil || members == nil {
		return nil, nil, errors.New("it is not a JSON object")
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(members["keys"], &raw); err != nil || raw == nil {
		return nil, nil, errors.New(`it has no "keys" array`)
	}
	if len(raw) > MaxKeys {
		return nil, nil, fmt.Errorf("it has %d keys, more than %d", len(raw), MaxKeys)
	}
	var keys []*Key
	for i, jwk := range raw {
		key, label, err := parseKey(jwk)
		if key != nil && slices.ContainsFunc(keys, func(other *Key) bool { return other.print() == key.print() }) {
			key, err = nil, errors.New("it is in the set twice")
		}
		switch {
		case key == nil:
			remarks = append(remarks, fmt.Sprintf("key %d%s is ignored: %v", i+1, label, err))
		case err != nil:
			remarks = append(remarks, fmt.Sprintf("key %d%s: %v", i+1, label, err))
		}
		if key != nil {
			keys = append(keys, key)
		}
	}
	return newSet(keys), remarks, nil
}

// parseKey reads one key. label is its name for people; the error is a remark if
// there is a key, and else the reason why not.
func parseKey(data []byte) (key *Key, label string, err error) {
	// A map and not a struct, because encoding/json would take "KTY" for kty.
	var jwk map[string]json.RawMessage
	if err := json.Unmarshal(data, &jwk); err != nil || jwk == nil {
		return nil, "", errors.New("it is not a JSON object")
	}
	kid, err := member(jwk, "kid")
	if err != nil {
		return nil, "", err
	}
	if kid != "" {
		label = " (kid " + strconv.Quote(kid[:min(len(kid), 64)]) + ")"
	}
	if err := purpose(jwk); err != nil {
		return nil, label, err
	}
	public, alg, err := material(jwk)
	if err != nil {
		return nil, label, err
	}
	named, err := member(jwk, "alg")
	// RFC 9864 gives EdDSA on this curve a name of its own.
	if err != nil || named != "" && named != alg && (alg != EdDSA || named != "Ed25519") {
		return nil, label, fmt.Errorf("its alg does not fit, a key of its type verifies %s", alg)
	}
	thumbprint, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, label, errors.New("it has no thumbprint")
	}
	key = &Key{
		ID:         kid,
		Algorithm:  alg,
		Public:     public,
		Thumbprint: base64.RawURLEncoding.EncodeToString(thumbprint),
		used:       new(lastuse.Stamp),
	}
	if jwk["d"] != nil {
		return key, label, errPrivate
	}
	return key, label, nil
}

// purpose refuses keys that are not for verifying signatures (RFC 7517 sections
// 4.2 and 4.3).
func purpose(jwk map[string]json.RawMessage) error {
	use, err := member(jwk, "use")
	if err != nil {
		return err
	}
	if use != "" && use != "sig" {
		return errors.New("its use is not sig")
	}
	if raw, ok := jwk["key_ops"]; ok {
		var operations []string
		if json.Unmarshal(raw, &operations) != nil || !slices.Contains(operations, "verify") {
			return errors.New("its key_ops lack verify")
		}
	}
	return nil
}

// material reads the public key and says which algorithm its type is pinned to.
// Only the public members are read: private ones and certificates decide nothing.
func material(jwk map[string]json.RawMessage) (crypto.PublicKey, string, error) {
	kty, err := member(jwk, "kty")
	if err != nil {
		return nil, "", err
	}
	crv, err := member(jwk, "crv")
	if err != nil {
		return nil, "", err
	}
	switch {
	case kty == "oct":
		return nil, "", errors.New("it is a shared secret, which belongs to the project's HMAC secrets: a set may be public")
	case kty == "RSA":
		key, err := rsaPublicKey(jwk)
		if err != nil {
			return nil, "", err
		}
		return key, RS256, nil
	case kty == "EC" && crv == "P-256", kty == "OKP" && crv == "Ed25519":
	case kty == "EC", kty == "OKP":
		return nil, "", errors.New("its curve is not supported: P-256 and Ed25519 are")
	default:
		return nil, "", errors.New("its kty is not supported: EC, RSA and OKP are")
	}
	public := make(map[string]json.RawMessage)
	for _, name := range []string{"kty", "crv", "x", "y"} {
		if value, ok := jwk[name]; ok {
			public[name] = value
		}
		// go-jose refuses padding. What is no string stays for it to refuse.
		if text, err := member(jwk, name); err == nil && strings.HasSuffix(text, "=") {
			if public[name], err = json.Marshal(unpadded(text)); err != nil {
				return nil, "", errMembers
			}
		}
	}
	data, err := json.Marshal(public)
	if err != nil {
		return nil, "", errors.New("its members cannot be read")
	}
	var read jose.JSONWebKey
	if err := read.UnmarshalJSON(data); err != nil {
		return nil, "", errMembers
	}
	switch key := read.Key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return key, ES256, nil
		}
	case ed25519.PublicKey:
		return key, EdDSA, nil
	}
	return nil, "", errMembers
}

// rsaPublicKey reads an RSA key (RFC 7518 section 6.3.1). go-jose takes 4096 bits at
// most, by a variable that the whole process shares. Keys that are weak, slow, or
// that crypto/rsa does not take are refused.
func rsaPublicKey(jwk map[string]json.RawMessage) (*rsa.PublicKey, error) {
	var numbers [2]*big.Int
	for i, name := range []string{"n", "e"} {
		text, err := member(jwk, name)
		if err != nil {
			return nil, errMembers
		}
		raw, err := base64.RawURLEncoding.DecodeString(unpadded(text))
		if err != nil || len(raw) == 0 {
			return nil, errMembers
		}
		numbers[i] = new(big.Int).SetBytes(raw)
	}
	modulus, exponent := numbers[0], numbers[1]
	bits := modulus.BitLen()
	switch {
	case bits < minRSABits || bits > maxRSABits:
		return nil, fmt.Errorf("it has %d bits, allowed are %d to %d", bits, minRSABits, maxRSABits)
	case modulus.Bit(0) == 0:
		return nil, errors.New("its modulus is even")
	case exponent.BitLen() < 2 || exponent.BitLen() > 31 || exponent.Bit(0) == 0:
		return nil, errors.New("its exponent is not an odd number from 3 to 2147483647")
	}
	return &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}, nil
}

// unpadded returns base64 without its padding, which RFC 7515 section 2 leaves out
// and some issuers write. There is one way to pad a text: other signs at its end
// stay, and make it invalid.
func unpadded(text string) string {
	bare := strings.TrimRight(text, "=")
	if len(text)%4 != 0 || len(text)-len(bare) > 2 {
		return text
	}
	return bare
}

// member returns a member that must be a string if it is there.
func member(jwk map[string]json.RawMessage, name string) (string, error) {
	raw, ok := jwk[name]
	if !ok {
		return "", nil
	}
	var text *string
	if err := json.Unmarshal(raw, &text); err != nil || text == nil {
		return "", fmt.Errorf("its %s is not a string", name)
	}
	return *text, nil
}
