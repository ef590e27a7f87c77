package auth

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Claims are the parts of a verified token that logs and limits use (BEHAVIOUR
// section 8). A claim that is missing or not a string is empty.
type Claims struct {
	Issuer, Subject, Role string
	// Algorithm and KeyID are from the token's header.
	Algorithm, KeyID string
	// ExpiresAt is in whole Unix seconds, 0 when the token has no exp (BEHAVIOUR 3.8).
	ExpiresAt int64
	// SignaturePrefix is the first 6 characters of the signature.
	SignaturePrefix string
}

// The algorithms that have a class of their own (BEHAVIOUR 3.5, 3.6). The
// comparison is exact: "hs256" is as unsupported as "none" (RFC 7515 4.1.1).
const (
	algHS256 = "HS256"
	algES256 = "ES256"
	algRS256 = "RS256"
)

// parser decodes and checks signatures for HS256 and nothing else, whatever the
// token asks for. Claims are checked by payload.valid, since the library takes
// "exp":0 for no exp and lets numbers overflow.
var parser = jwt.NewParser(
	jwt.WithValidMethods([]string{algHS256}),
	jwt.WithStrictDecoding(),
	jwt.WithoutClaimsValidation(),
)

// verify judges one token. alg alone chooses the class of the refusal; it never
// chooses a key: HMAC secrets are only ever used for HS256.
func (v *Verifier) verify(token string, now time.Time) (Claims, *Failure) {
	head, err := decodeHeader(token)
	if err != nil {
		return Claims{}, fail(err)
	}
	switch head.alg {
	case algHS256:
	case algES256, algRS256:
		return Claims{}, fail(ErrUnknownSigner)
	default:
		return Claims{}, unsupported(head.alg)
	}
	if head.critical {
		return Claims{}, fail(ErrCritical)
	}

	var claims payload
	if err := v.parse(token, &claims); err != nil {
		return Claims{}, fail(err)
	}
	if err := claims.valid(now); err != nil {
		return Claims{}, fail(err)
	}
	signature := token[strings.LastIndexByte(token, '.')+1:]
	return Claims{
		Issuer:          claims.issuer,
		Subject:         claims.subject,
		Role:            claims.role,
		Algorithm:       head.alg,
		KeyID:           head.kid,
		ExpiresAt:       claims.expires.seconds(),
		SignaturePrefix: signature[:min(6, len(signature))],
	}, nil
}

// parse checks the signature and fills claims. The library's errors are replaced
// by ours, since they may quote the token.
func (v *Verifier) parse(token string, claims *payload) error {
	if len(v.secrets.Keys) == 0 {
		return ErrSignature
	}
	_, err := parser.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return v.secrets, nil })
	switch {
	case err == nil && !claims.decoded:
		return ErrClaims
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrTokenMalformed) && !claims.decoded:
		return ErrClaims
	}
	return ErrSignature
}

// header is what the first part of a token says.
type header struct {
	alg, kid string
	critical bool
}

// decodeHeader reads the first of three parts. A map and not a struct, because
// encoding/json would take "ALG" for a struct's alg.
func decodeHeader(token string) (header, error) {
	if strings.Count(token, ".") != 2 {
		return header{}, ErrMalformed
	}
	first, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(first)
	if err != nil {
		return header{}, ErrMalformed
	}
	var members map[string]any
	if err := json.Unmarshal(raw, &members); err != nil {
		return header{}, ErrMalformed
	}
	var h header
	h.alg, _ = members["alg"].(string)
	if h.alg == "" {
		return header{}, ErrMalformed
	}
	h.kid, _ = members["kid"].(string)
	_, h.critical = members["crit"]
	return h, nil
}

// payload is the second part of a token. It implements jwt.Claims because the
// parser wants that; the getters are never asked.
type payload struct {
	jwt.MapClaims
	decoded               bool
	issuer, subject, role string
	expires, notBefore    numericDate
}

// UnmarshalJSON takes the claims with exactly their names. It is not called for
// a payload of null, hence decoded.
func (p *payload) UnmarshalJSON(data []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return err
	}
	p.decoded = true
	p.issuer = text(members["iss"])
	p.subject = text(members["sub"])
	p.role = text(members["role"])
	p.expires = date(members["exp"])
	p.notBefore = date(members["nbf"])
	return nil
}

// valid checks exp and nbf with no leeway (BEHAVIOUR 3.8): a token is good while
// nbf <= now < exp.
func (p *payload) valid(now time.Time) error {
	switch {
	case p.expires.malformed || p.notBefore.malformed:
		return ErrClaims
	case p.expires.given && !now.Before(p.expires.at):
		return ErrExpired
	case p.notBefore.given && now.Before(p.notBefore.at):
		return ErrNotYetValid
	}
	return nil
}

// text returns a JSON string, or nothing for anything else.
func text(raw json.RawMessage) string {
	var s string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// numericDate is a NumericDate of RFC 7519 section 2.
type numericDate struct {
	given, malformed bool
	at               time.Time
}

// seconds returns the date in whole Unix seconds, 0 if there is none.
func (d numericDate) seconds() int64 {
	if !d.given {
		return 0
	}
	return d.at.Unix()
}

// date reads a NumericDate. Strings, null and numbers too large for a clock are
// malformed rather than absent: an expiry that cannot be read must not mean none.
func date(raw json.RawMessage) numericDate {
	if raw == nil {
		return numericDate{}
	}
	// Far beyond any date and far below where the conversion to int64 overflows.
	const farthest = 1e15
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.Abs(f) > farthest {
		return numericDate{malformed: true}
	}
	whole := math.Floor(f)
	return numericDate{given: true, at: time.Unix(int64(whole), int64((f-whole)*1e9))}
}
