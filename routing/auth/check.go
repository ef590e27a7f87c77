package auth

import (
	"crypto/sha256"
	"strings"
	"time"
)

// Credentials are what a request brought, as received.
type Credentials struct {
	// Authorization and APIKey are all values of the Authorization and the apikey
	// header. Blank values count as absent.
	Authorization, APIKey []string
	// Browser says that the request comes from a browser; see FromBrowser.
	Browser bool
}

// Method is how a request identified itself.
type Method string

const (
	// MethodNone is a request that nobody vouches for: verify_jwt is off and it had
	// no known API key.
	MethodNone Method = "none"
	// MethodJWT is a verified token, in Authorization or in apikey (BEHAVIOUR 3.12).
	MethodJWT Method = "jwt"
	// MethodAPIKey is a known API key, in apikey or in Authorization.
	MethodAPIKey Method = "api_key"
)

// Identity is who a request was found to be. Its fields are verified: nothing of
// a token or key that was refused or not judged gets here.
type Identity struct {
	// Method is what the request was let in by.
	Method Method
	// JWT holds the token's claims when Method is MethodJWT.
	JWT Claims
	// APIKey is the known key of the request, also beside a JWT; its Hash is empty
	// when there was none.
	APIKey KeyInfo
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

// FromBrowser reports whether a request comes from a browser (BEHAVIOUR 3.11): it
// has an Origin, a Sec-Fetch-Site, or a User-Agent that starts with Mozilla/.
// Sec-Fetch-Mode is no sign, Node sends it.
func FromBrowser(origin, secFetchSite []string, userAgent string) bool {
	return len(present(origin)) > 0 || len(present(secFetchSite)) > 0 || strings.HasPrefix(userAgent, "Mozilla/")
}

// Check judges credentials at the time now. verifyJWT is the function's setting;
// without it Authorization is not read and only apikey is judged (BEHAVIOUR 3.9,
// 3.10). The Failure is nil exactly when the request may pass.
func (v *Verifier) Check(c Credentials, verifyJWT bool, now time.Time) (Identity, *Failure) {
	identity := Identity{Method: MethodNone}
	apiKeys := present(c.APIKey)
	if len(apiKeys) > 1 {
		return Identity{}, fail(ErrRepeatedKey)
	}
	var tokenAsKey string
	if len(apiKeys) == 1 {
		key := apiKeys[0]
		info, known := v.lookup(key)
		switch {
		case known && info.Type == Secret && c.Browser:
			return Identity{}, fail(ErrSecretInBrowser)
		case known:
			identity = Identity{Method: MethodAPIKey, APIKey: info}
		case looksLikeJWT(key):
			tokenAsKey = key
		default:
			return Identity{}, fail(ErrUnknownKey)
		}
	}
	if !verifyJWT {
		return identity, nil
	}

	authorization := present(c.Authorization)
	switch {
	case len(authorization) > 1:
		return Identity{}, fail(ErrFormat)
	case len(authorization) == 1:
		return v.bearer(authorization[0], c.Browser, identity, now)
	case identity.Method == MethodAPIKey:
		return identity, nil
	case tokenAsKey != "":
		return v.token(tokenAsKey, identity, now)
	}
	return Identity{}, fail(ErrMissing)
}

// bearer judges the one Authorization value of a request; identity is what its
// apikey established.
func (v *Verifier) bearer(value string, browser bool, identity Identity, now time.Time) (Identity, *Failure) {
	token, ok := strings.CutPrefix(value, "Bearer ")
	if !ok || token == "" || strings.ContainsAny(token, " \t\r\n\v\f") {
		return Identity{}, fail(ErrFormat)
	}
	if info, known := v.lookup(token); known {
		if info.Type == Secret && browser {
			return Identity{}, fail(ErrSecretInBrowser)
		}
		return Identity{Method: MethodAPIKey, APIKey: info}, nil
	}
	if opaque(token) {
		return Identity{}, fail(ErrUnknownKey)
	}
	return v.token(token, identity, now)
}

// token judges a JSON Web Token and adds it to the identity.
func (v *Verifier) token(token string, identity Identity, now time.Time) (Identity, *Failure) {
	claims, failure := v.verify(token, now)
	if failure != nil {
		return Identity{}, failure
	}
	identity.Method = MethodJWT
	identity.JWT = claims
	return identity, nil
}

// lookup finds an API key by its hash. The time of a map lookup depends on the
// hash, which a client cannot steer towards a known one, so it reveals nothing.
func (v *Verifier) lookup(key string) (KeyInfo, bool) {
	if len(v.keys) == 0 {
		return KeyInfo{}, false
	}
	known, ok := v.keys[sha256.Sum256([]byte(key))]
	if !ok {
		return KeyInfo{}, false
	}
	return KeyInfo{Name: known.name, Type: known.typ, Prefix: prefix(key), Hash: known.hash}, true
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

// opaque reports whether a credential is of the kind that only a table knows.
// Base64 of a JSON object never starts like this, so no token is taken for one.
func opaque(credential string) bool { return strings.HasPrefix(credential, "sb_") }

// looksLikeJWT reports whether an apikey is to be judged as a token (BEHAVIOUR
// 3.12): three non-empty parts of base64url characters.
func looksLikeJWT(s string) bool {
	if opaque(s) {
		return false
	}
	dots, partLen := 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			if partLen == 0 {
				return false
			}
			dots++
			partLen = 0
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
			partLen++
		default:
			return false
		}
	}
	return dots == 2 && partLen > 0
}

// present returns the values that are not blank, without the white space round
// them. The common cases, none and one clean value, do not allocate.
func present(values []string) []string {
	const space = " \t"
	if len(values) == 0 || len(values) == 1 && values[0] != "" && strings.Trim(values[0], space) == values[0] {
		return values
	}
	var kept []string
	for _, value := range values {
		if value = strings.Trim(value, space); value != "" {
			kept = append(kept, value)
		}
	}
	return kept
}
