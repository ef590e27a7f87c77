package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Inspection says of one token what it holds and which check it fails, for people
// who wonder why it is refused. It has no secret in it and of the signature only
// the beginning.
type Inspection struct {
	// Header and Claims are decoded as far as they can be, of bad tokens too; nil
	// if they cannot. Names that come twice are there once.
	Header map[string]any `json:"header,omitempty"`
	Claims map[string]any `json:"claims,omitempty"`
	// SignaturePrefix is the first 6 characters of the signature.
	SignaturePrefix string `json:"signature_prefix,omitempty"`
	// Checks are all checks in a fixed order: format, header, algorithm, critical,
	// key, signature, expiry, not_before, issuer, audience, role. For a known API
	// key there is only format.
	Checks []InspectionCheck `json:"checks"`
	// Key names the key that verified it: a kid, `HMAC secret 2`, a thumbprint, or
	// an API key by its name; empty if none did.
	Key string `json:"key,omitempty"`
	// Accepted is the verdict for `Authorization: Bearer <token>` from no browser;
	// Code, Message and Challenge are the answer's if it is refused.
	Accepted  bool   `json:"accepted"`
	Code      string `json:"code,omitempty"`
	Message   string `json:"message,omitempty"`
	Challenge string `json:"challenge,omitempty"`
}

// InspectionCheck is one check of a token.
type InspectionCheck struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Skipped is true if the check could not be made because an earlier one failed;
	// OK is false then.
	Skipped bool `json:"skipped,omitempty"`
	// Detail describes the result, for people.
	Detail string `json:"detail"`
}

// inspector collects what is found out about a token.
type inspector struct {
	Inspection
	v   *Verifier
	now time.Time
}

// Inspect judges a token as Check does for a request that brings it as its bearer
// token, and says why. It remembers nothing, counts as no use of a key, and may
// wait for key sets.
func (v *Verifier) Inspect(text string, now time.Time) Inspection {
	i := &inspector{v: v, now: now}
	if failure := i.inspect(text); failure != nil {
		i.Code, i.Message, i.Challenge = failure.Code, failure.Message, failure.Challenge
	} else {
		i.Accepted = true
	}
	for _, name := range i.missing() {
		i.Checks = append(i.Checks, InspectionCheck{Name: name, Skipped: true, Detail: "not checked: an earlier check failed"})
	}
	return i.Inspection
}

func (i *inspector) pass(name, detail string) {
	i.Checks = append(i.Checks, InspectionCheck{Name: name, OK: true, Detail: detail})
}

func (i *inspector) refuse(name string, err error) error {
	i.Checks = append(i.Checks, InspectionCheck{Name: name, Detail: err.Error()})
	return err
}

// missing are the checks that were not made.
func (i *inspector) missing() []string {
	if i.Accepted {
		return nil
	}
	all := []string{"format", "header", "algorithm", "critical", "key", "signature", "expiry", "not_before", "issuer", "audience", "role"}
	return all[len(i.Checks):]
}

// inspect makes the checks in their order, up to the first after which no other
// could be made, and returns the failure of the first that failed.
func (i *inspector) inspect(text string) *Failure {
	if text == "" || strings.ContainsAny(text, " \t\r\n\v\f") {
		return fail(i.refuse("format", ErrFormat))
	}
	if known, ok := i.v.lookup(text, i.now); ok {
		i.Key = "API key " + strconv.Quote(known.name)
		i.pass("format", "a "+string(known.typ)+" API key of the project, no token")
		return nil
	}
	if opaque(text) {
		return fail(i.refuse("format", ErrUnknownKey))
	}
	i.show(text)
	if len(text) > MaxTokenSize || strings.Count(text, ".") != 2 {
		return fail(i.refuse("format", ErrMalformed))
	}
	i.pass("format", "three parts")
	t, err := decode(text)
	if err != nil {
		return fail(i.refuse("header", err))
	}
	i.pass("header", "a JSON object with alg")
	if t.head.alg != algHS256 && !i.v.asymmetric(t.head.alg) {
		_ = i.refuse("algorithm", ErrAlgorithm)
		return unsupported(t.head.alg)
	}
	i.pass("algorithm", t.head.alg)
	if err := i.judge(t); err != nil {
		return failAs(t.head.alg, err)
	}
	return nil
}

// judge makes the checks of a token whose algorithm is known.
func (i *inspector) judge(t *token) error {
	if t.head.critical {
		return i.refuse("critical", ErrCritical)
	}
	i.pass("critical", "no critical extensions")
	if t.payload == nil {
		i.skip("key")
		return i.refuse("signature", ErrClaims)
	}
	if err := i.signature(t); err != nil {
		return err
	}
	claims, err := decodePayload(t.payload)
	if err != nil {
		return i.refuse("expiry", err)
	}
	return i.claims(&claims)
}

func (i *inspector) skip(name string) {
	i.Checks = append(i.Checks, InspectionCheck{Name: name, Skipped: true, Detail: "not checked: an earlier check failed"})
}

// signature looks for the key of the token.
func (i *inspector) signature(t *token) error {
	if t.head.alg == algHS256 {
		if len(i.v.secrets) == 0 {
			_ = i.refuse("key", errors.New("the project has no HMAC secret"))
			i.skip("signature")
			return ErrSignature
		}
		secrets := "1 HMAC secret"
		if n := len(i.v.secrets); n != 1 {
			secrets = fmt.Sprintf("%d HMAC secrets", n)
		}
		i.pass("key", secrets+" to try")
		position, err := i.v.bySecret(t)
		if err != nil {
			return i.refuse("signature", err)
		}
		i.Key = fmt.Sprintf("HMAC secret %d", position+1)
		i.pass("signature", "made with "+i.Key)
		return nil
	}
	key, _, _, err := i.v.byPublicKey(t)
	switch {
	case err == nil:
		i.Key = key.ID
		if i.Key == "" {
			i.Key = key.Thumbprint
		}
		i.pass("key", "public key "+strconv.Quote(i.Key))
		i.pass("signature", "made with the key "+strconv.Quote(i.Key))
		return nil
	case errors.Is(err, ErrUnknownSigner), errors.Is(err, ErrBusy):
		return i.refuse("key", err)
	}
	if t.head.kid == "" {
		i.pass("key", "the token names none: all of its algorithm were tried")
	} else {
		i.pass("key", "public key "+strconv.Quote(t.head.kid))
	}
	return i.refuse("signature", err)
}

// claims checks all claims, whatever the first of them says; the first that is
// bad decides.
func (i *inspector) claims(p *payload) error {
	var first error
	check := func(name string, err error, good string) {
		if err == nil {
			i.pass(name, good)
			return
		}
		_ = i.refuse(name, err)
		if first == nil {
			first = err
		}
	}
	leeway := i.v.rules.leeway
	check("expiry", inTime(p.expires, numericDate{}, leeway, i.now), i.date("expires", p.expires))
	check("not_before", inTime(numericDate{}, p.notBefore, leeway, i.now), i.date("valid from", p.notBefore))
	for _, demand := range []struct {
		name   string
		list   []string
		values []string
		err    error
	}{
		{"issuer", i.v.rules.issuers, []string{p.issuer}, ErrIssuer},
		{"audience", i.v.rules.audiences, p.audiences, ErrAudience},
		{"role", i.v.rules.roles, []string{p.role}, ErrRole},
	} {
		good := "the project demands none"
		if len(demand.list) > 0 {
			good = "one that the project demands"
		}
		if !demanded(demand.list, demand.values...) {
			check(demand.name, demand.err, "")
			continue
		}
		check(demand.name, nil, good)
	}
	return first
}

// date describes a date of the token.
func (i *inspector) date(verb string, d numericDate) string {
	if !d.given {
		return "the token has none"
	}
	return verb + " " + d.at.UTC().Format(time.RFC3339) + ", now it is " + i.now.UTC().Format(time.RFC3339)
}

// show decodes what can be decoded of a token, however bad it is.
func (i *inspector) show(text string) {
	if len(text) > MaxTokenSize {
		return
	}
	parts := strings.SplitN(text, ".", 4)
	i.Header = object(parts[0])
	if len(parts) > 1 {
		i.Claims = object(parts[1])
	}
	if len(parts) > 2 {
		i.SignaturePrefix = parts[2][:min(6, len(parts[2]))]
	}
}

// object decodes a part of a token, nil if it is no JSON object. Numbers stay as
// they are written.
func object(part string) map[string]any {
	raw, err := encoding.DecodeString(part)
	if err != nil {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var members map[string]any
	if decoder.Decode(&members) != nil {
		return nil
	}
	return members
}
