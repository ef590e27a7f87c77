package auth

import (
	"strings"
	"time"
)

// Credentials are the credentials of a request, as received.
type Credentials struct {
	// Authorization and APIKey are all values of the Authorization and the apikey
	// header. Blank values count as absent.
	Authorization, APIKey []string
	// Token is a bearer token that came elsewhere than in a header (contract 3.15),
	// judged like `Bearer <Token>` when there is no Authorization, but that it is no
	// secret key; empty for none.
	Token string
	// URLKeys are API keys that came in the URL (contract 3.15). They count where
	// the headers bring nothing, and must be publishable.
	URLKeys []string
	// Browser is true if the request comes from a browser; see FromBrowser.
	Browser bool
}

// Method is the kind of credential that identified a request.
type Method string

const (
	// MethodNone is a request without identity. verify_jwt is off, and it had no
	// known API key.
	MethodNone Method = "none"
	// MethodJWT is a verified token, in Authorization or in apikey (contract 3.12).
	MethodJWT Method = "jwt"
	// MethodAPIKey is a known API key, in apikey or in Authorization.
	MethodAPIKey Method = "api_key"
)

// Identity is the verified identity of a request. It has nothing of a token or key
// that was refused or not checked.
type Identity struct {
	// Method is the kind of credential that was accepted.
	Method Method
	// JWT holds the token's claims when Method is MethodJWT.
	JWT Claims
	// APIKey is the known key of the request, also beside a JWT; its Hash is empty
	// when there was none.
	APIKey KeyInfo
}

// FromBrowser reports whether a request comes from a browser (contract 3.11): it
// has an Origin, a Sec-Fetch-Site, or a User-Agent that starts with Mozilla/.
// Sec-Fetch-Mode is no sign, Node sends it.
func FromBrowser(origin, secFetchSite []string, userAgent string) bool {
	return len(present(origin)) > 0 || len(present(secFetchSite)) > 0 || strings.HasPrefix(userAgent, "Mozilla/")
}

// Check judges credentials at the time now. verifyJWT is the function's setting;
// without it Authorization is not read and only apikey is judged (contract 3.9,
// 3.10). The Failure is nil exactly when the request may pass.
func (v *Verifier) Check(c Credentials, verifyJWT bool, now time.Time) (Identity, *Failure) {
	identity := Identity{Method: MethodNone}
	apiKeys, inURL := present(c.APIKey), false
	if len(apiKeys) == 0 && len(c.URLKeys) > 0 && verifyJWT && len(present(c.Authorization)) == 0 {
		apiKeys, inURL = c.URLKeys, true
	}
	if len(apiKeys) > 1 {
		return Identity{}, fail(ErrRepeatedKey)
	}
	var tokenAsKey string
	if len(apiKeys) == 1 {
		key := apiKeys[0]
		known, ok := v.lookup(key, now)
		switch {
		case ok && known.typ == Secret && c.Browser:
			return Identity{}, fail(ErrSecretInBrowser)
		case ok && known.typ == Secret && inURL:
			return Identity{}, fail(ErrSecretInURL)
		case ok:
			known.used.Mark(now)
			identity = Identity{Method: MethodAPIKey, APIKey: known.info(key)}
		case inURL && looksLikeJWT(key): // no key: tokens have a place of their own there
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
		token, ok := strings.CutPrefix(authorization[0], "Bearer ")
		if !ok {
			return Identity{}, fail(ErrFormat)
		}
		return v.bearer(token, c.Browser, identity, now)
	case c.Token != "":
		if known, ok := v.lookup(c.Token, now); ok && known.typ == Secret && !c.Browser {
			return Identity{}, fail(ErrSecretInURL)
		}
		return v.bearer(c.Token, c.Browser, identity, now)
	case identity.Method == MethodAPIKey:
		return identity, nil
	case tokenAsKey != "":
		return v.tokenAsKey(tokenAsKey, now)
	}
	return Identity{}, fail(ErrMissing)
}

// bearer judges the one bearer token of a request; identity comes from its apikey.
func (v *Verifier) bearer(token string, browser bool, identity Identity, now time.Time) (Identity, *Failure) {
	// First, since hashing a long token costs more than finding it.
	if claims, failure, known := v.recall(token, now); known {
		return withJWT(identity, claims, failure)
	}
	if token == "" || strings.ContainsAny(token, " \t\r\n\v\f") {
		return Identity{}, fail(ErrFormat)
	}
	if known, ok := v.lookup(token, now); ok {
		if known.typ == Secret && browser {
			return Identity{}, fail(ErrSecretInBrowser)
		}
		known.used.Mark(now)
		return Identity{Method: MethodAPIKey, APIKey: known.info(token)}, nil
	}
	if opaque(token) {
		return Identity{}, fail(ErrUnknownKey)
	}
	claims, failure := v.verify(token, now)
	return withJWT(identity, claims, failure)
}

// tokenAsKey judges the token that came as apikey (contract 3.12) and is no key.
func (v *Verifier) tokenAsKey(token string, now time.Time) (Identity, *Failure) {
	claims, failure, known := v.recall(token, now)
	if !known {
		claims, failure = v.verify(token, now)
	}
	return withJWT(Identity{}, claims, failure)
}

// withJWT adds a token that was judged to an identity.
func withJWT(identity Identity, claims Claims, failure *Failure) (Identity, *Failure) {
	if failure != nil {
		return Identity{}, failure
	}
	identity.Method = MethodJWT
	identity.JWT = claims
	return identity, nil
}

// looksLikeJWT reports whether an apikey is to be judged as a token (contract
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
