package auth

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/edgegate/edgegate/routing/auth/jwks"
)

// MaxTokenSize is the longest token that is decoded, in bytes. Servers refuse
// such headers before (16 KiB); tokens from elsewhere come here unmeasured.
const MaxTokenSize = 64 << 10

// algHS256 is compared exactly, like all algorithms: "hs256" is as unsupported as
// "none" (RFC 7515 section 4.1.1).
const algHS256 = "HS256"

// asymmetric reports whether alg is of the class of contract 3.6.
func (v *Verifier) asymmetric(alg string) bool {
	return alg == jwks.ES256 || alg == jwks.RS256 || alg == jwks.EdDSA && v.eddsa
}

// recall judges a token from memory; known is false if nothing is known of it.
// What is remembered has the form of a token and is no API key in this scope, so
// that nothing needs to be looked at before.
func (v *Verifier) recall(text string, now time.Time) (claims Claims, failure *Failure, known bool) {
	ring, overdue := v.keyring()
	// While a set is too old to judge by, so are the verdicts found by it.
	found := v.shared.recall(ring.scope, text, now)
	if found == nil || overdue && !found.own {
		return Claims{}, nil, false
	}
	claims, failure = found.judge(v.rules.leeway, now)
	return claims, failure, true
}

// verify judges a token that is not remembered.
func (v *Verifier) verify(text string, now time.Time) (Claims, *Failure) {
	if len(text) > MaxTokenSize {
		return Claims{}, fail(ErrMalformed)
	}
	found, ring, failure := v.examine(text)
	if failure != nil {
		return Claims{}, failure
	}
	if found.final != nil {
		found.claims = Claims{} // not needed
	}
	v.shared.remember(ring.scope, text, found, v.rules.leeway, now)
	return found.judge(v.rules.leeway, now)
}

// examine judges everything of a token but its times, and says with which keys.
// The failure is of the kinds that are not remembered: what is cheap to find
// again, or may be otherwise in a moment.
func (v *Verifier) examine(text string) (*verdict, *keyring, *Failure) {
	t, err := decode(text)
	if err != nil {
		return nil, nil, fail(err)
	}
	if t.head.alg != algHS256 && !v.asymmetric(t.head.alg) {
		return nil, nil, unsupported(t.head.alg)
	}
	if err := t.wellFormed(); err != nil {
		return nil, nil, failAs(t.head.alg, err)
	}
	found := &verdict{claims: Claims{
		Algorithm: t.head.alg, KeyID: t.head.kid, SignaturePrefix: strings.Clone(t.signatureText[:min(6, len(t.signatureText))]),
	}}
	ring := v.current.Load()
	if t.head.alg == algHS256 {
		var position int
		if position, err = v.bySecret(t); err == nil {
			found.own, found.signer = true, v.secrets[position].used
		}
	} else {
		var key *jwks.Key
		if key, found.own, ring, err = v.byPublicKey(t); err == nil {
			found.signer = key
		}
	}
	if errors.Is(err, ErrUnknownSigner) || errors.Is(err, ErrBusy) {
		return nil, nil, failAs(t.head.alg, err)
	}
	if err != nil {
		found.final = failAs(t.head.alg, err)
		return found, ring, nil
	}
	claims, err := decodePayload(t.payload)
	if err != nil {
		found.final = failAs(t.head.alg, err)
		return found, ring, nil
	}
	found.claims.Issuer, found.claims.Subject, found.claims.Role = claims.issuer, claims.subject, claims.role
	found.claims.ExpiresAt = claims.expires.seconds()
	found.expires, found.notBefore = claims.expires, claims.notBefore
	if err := v.rules.admit(&claims); err != nil {
		found.rule = failAs(t.head.alg, err)
	}
	return found, ring, nil
}

// verdict is the result of checking a token with certain keys, independent of time;
// it is immutable.
type verdict struct {
	// final is why the token is bad at any time; rule why it is when it is in time.
	final, rule        *Failure
	claims             Claims
	expires, notBefore numericDate
	// signer is the key that it is signed with; nil if final is set before one was
	// found.
	signer signer
	// own is true if the signer is the configuration's own and needs no fetching.
	own bool
	// until is from when on a bad token is looked at again.
	until time.Time
}

// judge returns whether the token is valid at the time now (contract 3.8). It is
// asked each time, whether the rest is remembered or not.
func (f *verdict) judge(leeway time.Duration, now time.Time) (Claims, *Failure) {
	if f.final != nil {
		return Claims{}, f.final
	}
	if err := inTime(f.expires, f.notBefore, leeway, now); err != nil {
		return Claims{}, failAs(f.claims.Algorithm, err)
	}
	if f.rule != nil {
		return Claims{}, f.rule
	}
	f.signer.Mark(now)
	return f.claims, nil
}

// token is a token taken apart. payload and signature are nil when they cannot be
// decoded.
type token struct {
	head          header
	signed        string // what the signature covers
	payload       []byte
	signature     []byte
	signatureText string
}

// header is the decoded first part of a token.
type header struct {
	alg, kid string
	critical bool
}

// encoding is strict, so that a token has one spelling only; it alone lets line
// breaks pass, which decode refuses.
var encoding = base64.RawURLEncoding.Strict()

// decode takes a token apart; its error is ErrMalformed (contract 3.4).
func decode(text string) (*token, error) {
	first, rest, _ := strings.Cut(text, ".")
	second, third, ok := strings.Cut(rest, ".")
	if !ok || strings.ContainsAny(third, ".") || strings.ContainsAny(text, "\r\n") {
		return nil, ErrMalformed
	}
	raw, err := encoding.DecodeString(first)
	if err != nil {
		return nil, ErrMalformed
	}
	t := &token{signed: text[:len(text)-len(third)-1], signatureText: third}
	if t.head, err = decodeHeader(raw); err != nil {
		return nil, err
	}
	if t.payload, err = encoding.DecodeString(second); err != nil {
		t.payload = nil
	}
	if t.signature, err = encoding.DecodeString(third); err != nil {
		t.signature = nil
	}
	return t, nil
}

// decodeHeader reads the header. A map and not a struct, because encoding/json
// would take "ALG" for a struct's alg. Names that come twice are refused (RFC 7515
// section 4).
func decodeHeader(raw []byte) (header, error) {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || countMembers(raw) != len(members) {
		return header{}, ErrMalformed
	}
	_, critical := members["crit"]
	h := header{alg: text(members["alg"]), kid: text(members["kid"]), critical: critical}
	if h.alg == "" {
		return header{}, ErrMalformed
	}
	return h, nil
}

// wellFormed refuses what no key can make good (contract 3.5, 3.6).
func (t *token) wellFormed() error {
	switch {
	case t.head.critical:
		return ErrCritical
	case t.payload == nil:
		return ErrClaims
	}
	return nil
}
