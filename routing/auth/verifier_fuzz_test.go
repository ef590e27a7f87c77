package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"
)

// fuzzPairs are the same in every process: a fuzzer's workers are several, and what
// one of them found must be signed for all others and for the next run too.
var fuzzPairs = map[string]pair{
	"ES256": {"ec-1", "ES256", must(ecdsa.ParseRawPrivateKey(elliptic.P256(), sum("an EC key for tests")))},
	"EdDSA": {"ed-1", "EdDSA", ed25519.NewKeyFromSeed(sum("an Ed25519 key for tests"))},
	"RS256": {"rsa-1", "RS256", rsaFrom("an RSA key for tests")},
}

// rsaFrom makes an RSA key of a text.
func rsaFrom(seed string) *rsa.PrivateKey {
	e := big.NewInt(65537)
	one := big.NewInt(1)
	prime := func(which string) *big.Int {
		var raw []byte
		for i := range 4 {
			raw = append(raw, sum(seed+which+strconv.Itoa(i))...)
		}
		raw[0] |= 0xc0
		p := new(big.Int).SetBit(new(big.Int).SetBytes(raw), 0, 1)
		for !p.ProbablyPrime(20) || new(big.Int).GCD(nil, nil, new(big.Int).Sub(p, one), e).Cmp(one) != 0 {
			p.Add(p, big.NewInt(2))
		}
		return p
	}
	p, q := prime("p"), prime("q")
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: int(e.Int64())},
		D:         new(big.Int).ModInverse(e, phi), Primes: []*big.Int{p, q},
	}
	if err := key.Validate(); err != nil {
		panic(err)
	}
	key.Precompute()
	return key
}

// FuzzVerifier spoils properly signed tokens of every algorithm, one byte or one
// insertion at a time, and moves the clock (contract 3.4 to 3.8). Nothing makes
// Check panic, and nothing passes, remembered or not, that independent does not
// find signed and in time.
func FuzzVerifier(f *testing.F) {
	for which, alg := range []string{"HS256", "ES256", "RS256", "EdDSA"} {
		header := `{"alg":"` + alg + `","typ":"JWT"}`
		for _, payload := range []string{`{}`, `{"exp":1800000001,"nbf":1.5e9}`, `{"exp":1800000000.75}`, `{"exp":1,"exp":1900000000}`, `{"EXP":1,"aud":["a"]}`, `[]`} {
			f.Add(header, payload, uint8(which), uint16(0), byte(0), "", int64(0), int64(time.Second))
			f.Add(header, payload, uint8(which), uint16(len(header)), byte(1), "", int64(-1), int64(1))
		}
		f.Add(header, `{}`, uint8(which), uint16(60000), byte(0), "=", int64(0), int64(0))
		f.Add(header, `{}`, uint8(which), uint16(20), byte(0), "\n", int64(0), int64(0))
		f.Add(`{"alg":"`+alg+`","crit":["b64"],"b64":false}`, `{}`, uint8(which), uint16(0), byte(0), "", int64(0), int64(0))
		f.Add(`{"alg":"`+alg+`","kid":"../x","jwk":{}}`, `{}`, uint8(which), uint16(0), byte(0), ".", int64(0), int64(0))
		f.Add(`{"alg":"none","alg":"`+alg+`"}`, `{}`, uint8(which), uint16(0), byte(0), "", int64(0), int64(0))
	}
	v := verifierOf(f, Config{
		Secrets: [][]byte{secret}, Keys: parseSet(f, fuzzPairs["ES256"], fuzzPairs["RS256"], fuzzPairs["EdDSA"]), AllowEdDSA: true,
		Shared: NewShared(SharedConfig{}),
	})
	f.Fuzz(func(t *testing.T, header, payload string, which uint8, position uint16, mask byte, graft string, offset, jump int64) {
		var token string
		switch which % 4 {
		case 0:
			token = sign(header, payload, secret)
		case 1:
			token = fuzzPairs["ES256"].sign(header, payload)
		case 2:
			token = fuzzPairs["RS256"].sign(header, payload)
		case 3:
			token = fuzzPairs["EdDSA"].sign(header, payload)
		}
		i := int(position) % len(token)
		spoilt := []byte(token)
		spoilt[i] ^= mask
		at := now.Add(time.Duration(offset))
		for _, text := range []string{token, string(spoilt), token[:i] + graft + token[i:], token[:i], graft} {
			if text == "" {
				continue // that is no credential
			}
			// There, again from memory, and back, as clocks go.
			for _, at := range []time.Time{at, at, at.Add(time.Duration(jump)), at} {
				identity, failure := v.Check(Credentials{Token: text}, true, at)
				switch {
				case failure == nil && !independent(text, at):
					t.Fatalf("%q was accepted at %s as %+v", text, at, identity)
				case failure != nil && (identity != (Identity{}) || failure.Err == nil || !challengeForm.MatchString(failure.Challenge)):
					t.Fatalf("%q: refused with %+v, %+v", text, identity, failure)
				}
			}
		}
	})
}

// independent judges a token by the standard library's cryptography over its exact
// bytes, and by its own reading of the JSON. It is stricter or equal in all.
func independent(text string, at time.Time) bool {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return false
	}
	raw := make([][]byte, 3)
	for i, part := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.DecodeString(part); err != nil || base64.RawURLEncoding.EncodeToString(raw[i]) != part {
			return false
		}
	}
	header, ok := members(raw[0])
	if !ok || header["crit"] != nil {
		return false
	}
	var alg string
	if json.Unmarshal(header["alg"], &alg) != nil || !signed(alg, parts[0]+"."+parts[1], raw[2]) {
		return false
	}
	claims, ok := members(raw[1])
	if !ok {
		return false
	}
	instant := new(big.Rat).Add(new(big.Rat).SetInt64(at.Unix()), big.NewRat(int64(at.Nanosecond()), 1e9))
	if exp, given := claims["exp"]; given {
		if d, slack, ok := exactDate(exp); !ok || instant.Cmp(new(big.Rat).Add(d, slack)) >= 0 {
			return false
		}
	}
	if nbf, given := claims["nbf"]; given {
		if d, slack, ok := exactDate(nbf); !ok || instant.Cmp(new(big.Rat).Sub(d, slack)) < 0 {
			return false
		}
	}
	return true
}

// signed checks a signature with the one key of the algorithm.
func signed(alg, text string, signature []byte) bool {
	digest := sha256.Sum256([]byte(text))
	switch alg {
	case "HS256":
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(text))
		return hmac.Equal(mac.Sum(nil), signature)
	case "ES256":
		return len(signature) == 64 && ecdsa.Verify(fuzzPairs[alg].private.Public().(*ecdsa.PublicKey), digest[:],
			new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	case "RS256":
		return rsa.VerifyPKCS1v15(fuzzPairs[alg].private.Public().(*rsa.PublicKey), crypto.SHA256, digest[:], signature) == nil
	case "EdDSA":
		return ed25519.Verify(fuzzPairs[alg].private.Public().(ed25519.PublicKey), []byte(text), signature)
	}
	return false
}

// members reads an object name by name; none may come twice.
func members(data []byte) (map[string]json.RawMessage, bool) {
	if !json.Valid(data) {
		return nil, false
	}
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, false
	}
	found := map[string]json.RawMessage{}
	for decoder.More() {
		name, err := decoder.Token()
		text, isText := name.(string)
		var value json.RawMessage
		if err != nil || !isText || found[text] != nil || decoder.Decode(&value) != nil {
			return nil, false
		}
		found[text] = value
	}
	return found, true
}

// exactDate is a date as it is written, and by how much a float64 of it may be off.
func exactDate(raw json.RawMessage) (date, slack *big.Rat, ok bool) {
	nearest, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return nil, nil, false
	}
	date = new(big.Rat)
	if date.SetFloat64(nearest) == nil {
		return nil, nil, false
	}
	slack = new(big.Rat).Add(big.NewRat(1, 1e9), new(big.Rat).Mul(new(big.Rat).Abs(date), new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), 52))))
	// Long exponents would take forever; what they write is next to 0 then.
	if i := strings.IndexAny(string(raw), "eE"); len(raw) > 64 || i >= 0 && len(raw)-i > 5 {
		return date, slack, true
	}
	if _, ok := date.SetString(string(raw)); !ok {
		return nil, nil, false
	}
	return date, slack, true
}

// independent is only worth as much as it refuses.
func TestIndependent(t *testing.T) {
	good := fuzzPairs["ES256"].token(`{"exp":1800000001,"nbf":1800000000.5}`)
	for name, tt := range map[string]struct {
		text string
		at   time.Time
		want bool
	}{
		"good":            {good, now, true},
		"HS256":           {sign(hs256, `{}`, secret), now, true},
		"RS256":           {fuzzPairs["RS256"].token(`{}`), now, true},
		"EdDSA":           {fuzzPairs["EdDSA"].token(`{}`), now, true},
		"expired":         {good, now.Add(600 * time.Millisecond), false},
		"too early":       {good, now.Add(-time.Millisecond), false},
		"foreign":         {sign(hs256, `{}`, foreign), now, false},
		"another's":       {ecStranger.token(`{}`), now, false},
		"none":            {b64(`{"alg":"none"}`) + ".e30.", now, false},
		"crit":            {sign(`{"alg":"HS256","crit":[]}`, `{}`, secret), now, false},
		"alg twice":       {sign(`{"alg":"HS256","alg":"HS256"}`, `{}`, secret), now, false},
		"exp twice":       {sign(hs256, `{"exp":1900000000,"exp":1900000000}`, secret), now, false},
		"exp null":        {sign(hs256, `{"exp":null}`, secret), now, false},
		"another spelled": {good[:len(good)-1], now, false},
	} {
		if got := independent(tt.text, tt.at); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
