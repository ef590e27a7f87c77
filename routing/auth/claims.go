package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// Claims are the parts of a verified token that logs and limits use (contract
// 8.25). A claim that is missing or not a string is empty.
type Claims struct {
	Issuer, Subject, Role string
	// Algorithm and KeyID are from the token's header.
	Algorithm, KeyID string
	// ExpiresAt is in whole Unix seconds, 0 when the token has no exp (contract 3.8).
	ExpiresAt int64
	// SignaturePrefix is the first 6 characters of the signature.
	SignaturePrefix string
}

// rules are a project's demands on claims (contract 3.8). The lists are
// sorted; an empty one demands nothing.
type rules struct {
	issuers, audiences, roles []string
	leeway                    time.Duration
}

func newRules(c Config) (rules, error) {
	var errs []error
	list := func(name string, values []string) []string {
		if slices.Contains(values, "") {
			errs = append(errs, errors.New(name+": an empty text is no value to demand"))
		}
		return slices.Compact(slices.Sorted(slices.Values(values)))
	}
	r := rules{
		issuers:   list("issuer", c.Issuers),
		audiences: list("audience", c.Audiences),
		roles:     list("role", c.Roles),
		leeway:    c.Leeway,
	}
	if c.Leeway < 0 {
		errs = append(errs, errors.New("leeway: must not be negative"))
	}
	return r, errors.Join(errs...)
}

// payload is the second part of a token.
type payload struct {
	issuer, subject, role string
	audiences             []string
	expires, notBefore    numericDate
}

// decodePayload takes the claims with exactly their names. Names that come twice
// are refused: whoever reads the token next may take the other one.
func decodePayload(data []byte) (p payload, err error) {
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil || members == nil || countMembers(data) != len(members) {
		return payload{}, ErrClaims
	}
	p = payload{
		issuer:    text(members["iss"]),
		subject:   text(members["sub"]),
		role:      text(members["role"]),
		audiences: texts(members["aud"]),
		expires:   date(members["exp"]),
		notBefore: date(members["nbf"]),
	}
	if p.expires.malformed || p.notBefore.malformed {
		return p, ErrClaims
	}
	return p, nil
}

// admit checks what the project demands.
func (r *rules) admit(p *payload) error {
	switch {
	case !demanded(r.issuers, p.issuer):
		return ErrIssuer
	case !demanded(r.audiences, p.audiences...):
		return ErrAudience
	case !demanded(r.roles, p.role):
		return ErrRole
	}
	return nil
}

// demanded reports whether one of the values is in the list, if there is a list.
func demanded(list []string, values ...string) bool {
	if len(list) == 0 {
		return true
	}
	return slices.ContainsFunc(values, func(value string) bool {
		_, found := slices.BinarySearch(list, value)
		return found
	})
}

// inTime checks exp and nbf (contract 3.8): a token is good while
// nbf - leeway <= now < exp + leeway.
func inTime(expires, notBefore numericDate, leeway time.Duration, now time.Time) error {
	switch {
	case expires.given && !now.Before(expires.at.Add(leeway)):
		return ErrExpired
	case notBefore.given && now.Before(notBefore.at.Add(-leeway)):
		return ErrNotYetValid
	}
	return nil
}

// countMembers counts the members of the JSON object data, those that come twice
// too. data must be known to be valid: only strings and nesting are looked at.
func countMembers(data []byte) int {
	depth, count, inString := 0, 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{', c == '[':
			depth++
		case c == '}', c == ']':
			depth--
		case c == ':' && depth == 1:
			count++
		}
	}
	return count
}

// text returns a JSON string, or nothing for anything else. raw is valid JSON
// without space round it.
func text(raw json.RawMessage) string {
	if len(raw) == 0 || raw[0] != '"' {
		return ""
	}
	// The library's way costs as much as the signature of HS256.
	if plain := raw[1 : len(raw)-1]; bytes.IndexByte(plain, '\\') < 0 && utf8.Valid(plain) {
		return string(plain)
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// texts returns the strings of a claim that is one or an array of them (RFC 7519
// section 4.1.3).
func texts(raw json.RawMessage) []string {
	if len(raw) == 0 || raw[0] != '[' {
		if s := text(raw); s != "" {
			return []string{s}
		}
		return nil
	}
	var all []json.RawMessage
	if json.Unmarshal(raw, &all) != nil {
		return nil
	}
	var strings []string
	for _, one := range all {
		if s := text(one); s != "" {
			strings = append(strings, s)
		}
	}
	return strings
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
