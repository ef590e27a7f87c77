package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

// Contract 3.5, 3.8: exp and nbf without leeway, at 1800000000.5.
func TestTokenTimes(t *testing.T) {
	v := newVerifier(t)
	tests := map[string]struct {
		payload string
		want    error
	}{
		"contract 3.8 no exp":                  {`{}`, nil},
		"contract 3.8 other role, aud and iss": {`{"role":"x","aud":["a",1],"iss":"https://elsewhere"}`, nil},
		"exp in the next second":               {`{"exp":1800000001}`, nil},
		"exp in this second":                   {`{"exp":1800000000}`, ErrExpired},
		"exp right now":                        {`{"exp":1800000000.5}`, ErrExpired},
		"exp right after":                      {`{"exp":1800000000.75}`, nil},
		"exp with an exponent":                 {`{"exp":1.9e9}`, nil},
		"exp in milliseconds":                  {`{"exp":1800000001000}`, nil},
		"exp 0":                                {`{"exp":0}`, ErrExpired},
		"exp -0":                               {`{"exp":-0}`, ErrExpired},
		"exp before 1970":                      {`{"exp":-5.5}`, ErrExpired},
		"exp null":                             {`{"exp":null}`, ErrClaims},
		"exp a string":                         {`{"exp":"1900000000"}`, ErrClaims},
		"exp true":                             {`{"exp":true}`, ErrClaims},
		"exp an array":                         {`{"exp":[1900000000]}`, ErrClaims},
		"exp past what int64 holds":            {`{"exp":1e300}`, ErrClaims},
		"exp past what float64 holds":          {`{"exp":1e999}`, ErrClaims},
		"exp far below":                        {`{"exp":-1e300}`, ErrClaims},
		"exp twice":                            {`{"exp":1900000000,"exp":1}`, ErrClaims},
		"exp twice, the same":                  {`{"exp":1900000000,"exp":1900000000}`, ErrClaims},
		"exp twice, spelled otherwise":         {`{"exp":1900000000,"\u0065xp":1}`, ErrClaims},
		"any claim twice":                      {`{"x":1,"x":2}`, ErrClaims},
		"exp once more further down":           {`{"exp":1900000000,"x":{"exp":1,"y":"\\\":"}}`, nil},
		"EXP is not exp":                       {`{"exp":1,"EXP":1900000000}`, ErrExpired},
		"nbf right now":                        {`{"nbf":1800000000.5}`, nil},
		"nbf right after":                      {`{"nbf":1800000000.75}`, ErrNotYetValid},
		"nbf in the next second":               {`{"nbf":1800000001}`, ErrNotYetValid},
		"nbf in the past":                      {`{"nbf":1}`, nil},
		"nbf null":                             {`{"nbf":null}`, ErrClaims},
		"nbf a string":                         {`{"nbf":"1"}`, ErrClaims},
		"nbf past what int64 holds":            {`{"nbf":1e300}`, ErrClaims},
		"nbf past exp: expired is said":        {`{"nbf":1900000000,"exp":1}`, ErrExpired},
		"iat in the future is no nbf":          {`{"iat":1900000000}`, nil},
		"payload null":                         {`null`, ErrClaims},
		"payload an array":                     {`[]`, ErrClaims},
		"payload a string":                     {`"exp"`, ErrClaims},
		"payload empty":                        {``, ErrClaims},
		"payload cut":                          {`{"exp":`, ErrClaims},
		"more after the payload":               {`{}{}`, ErrClaims},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, failure := v.Check(bearer(sign(hs256, tt.payload, secret)), true, now)
			var got error
			if failure != nil {
				got = failure.Err
				if failure.Code != CodeLegacyJWT || failure.Message != "Invalid JWT" {
					t.Errorf("contract 3.5: %+v", failure)
				}
			}
			if !errors.Is(got, tt.want) {
				t.Errorf("%s: got %v, want %v", tt.payload, got, tt.want)
			}
			// The same claims of a stranger are never told apart by their times.
			_, failure = v.Check(bearer(sign(hs256, tt.payload, foreign)), true, now)
			if failure == nil || errors.Is(failure.Err, ErrExpired) || errors.Is(failure.Err, ErrNotYetValid) {
				t.Errorf("forged with %s: %+v", tt.payload, failure)
			}
		})
	}
}

// A token's bits are not malleable: no other spelling of a good token is good.
func TestTokenSpelling(t *testing.T) {
	v := newVerifier(t)
	good := sign(hs256, `{"role":"anon"}`, secret)
	for i := range good {
		for bit := range 8 {
			bad := []byte(good)
			bad[i] ^= 1 << bit
			if _, failure := v.Check(bearer(string(bad)), true, now); failure == nil {
				t.Fatalf("accepted with bit %d of byte %d turned", bit, i)
			}
		}
	}
}

// Contract 3.14: what is public is no HMAC secret, and without secrets nothing is
// signed, not even with the empty one.
func TestTokenWithoutSecrets(t *testing.T) {
	v, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string][]byte{"empty": {}, "zeros": make([]byte, 32), "foreign": foreign} {
		if _, failure := v.Check(bearer(sign(hs256, `{}`, key)), true, now); failure == nil || failure.Err != ErrSignature {
			t.Errorf("contract 3.5: secret %s: %+v", name, failure)
		}
	}
}

// Up to MaxTokenSize size does not matter, and nesting not either; beyond, nothing
// is decoded (contract 3.4).
func TestTokenHuge(t *testing.T) {
	v := newVerifier(t)
	const size = 45_000 // becomes 60,000 in base64
	filler := strings.Repeat("x", size)
	tests := map[string]struct {
		token string
		want  error
	}{
		"signed":          {sign(hs256, `{"x":"`+filler+`"}`, secret), nil},
		"forged":          {sign(hs256, `{"x":"`+filler+`"}`, foreign), ErrSignature},
		"dots":            {strings.Repeat(".", size), ErrMalformed},
		"letters":         {filler, ErrMalformed},
		"long alg":        {sign(`{"alg":"`+filler+`"}`, `{}`, secret), ErrAlgorithm},
		"deep header":     {b64(strings.Repeat("[", size)) + ".e30.x", ErrMalformed},
		"closed header":   {b64(`{"alg":"HS256","x":`+strings.Repeat("[", size/2)+strings.Repeat("]", size/2)+`}`) + ".e30.x", ErrMalformed},
		"deep claims":     {sign(hs256, `{"x":`+strings.Repeat("[", size)+`}`, secret), ErrClaims},
		"closed claims":   {sign(hs256, `{"x":`+strings.Repeat("[", size/2)+strings.Repeat("]", size/2)+`}`, secret), ErrClaims},
		"deep objects":    {sign(hs256, strings.Repeat(`{"a":`, size/5), secret), ErrClaims},
		"long signature":  {b64(hs256) + ".e30." + filler, ErrSignature},
		"long exp":        {sign(hs256, `{"exp":`+strings.Repeat("9", size)+`}`, secret), ErrClaims},
		"many claims":     {sign(hs256, `{`+strings.Repeat(`"a":1,`, size/8)+`"exp":1}`, secret), ErrClaims},
		"deep kid":        {sign(`{"alg":"HS256","kid":{"a":[]}}`, `{}`, secret), nil},
		"header not UTF8": {sign("{\"alg\":\"HS256\",\"x\":\"\xff\"}", `{}`, secret), nil},
		"signed, beyond":  {sign(hs256, `{"x":"`+strings.Repeat(filler, 2)+`"}`, secret), ErrMalformed},
		"as allowed":      {sized(MaxTokenSize), nil},
		"an inch beyond":  {sized(MaxTokenSize + 1), ErrMalformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, failure := v.Check(bearer(tt.token), true, now)
			var got error
			if failure != nil {
				got = failure.Err
				if len(failure.Message) > 100 {
					t.Errorf("contract 3.7: a message of %d bytes", len(failure.Message))
				}
			}
			if !errors.Is(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// sized is a good token of exactly size bytes.
func sized(size int) string {
	for n := (size - 200) * 3 / 4; ; n++ {
		// The header makes up for what base64 of the payload skips.
		for _, header := range []string{`{"alg":"HS256"}`, `{"alg":"HS256" }`, `{"alg":"HS256"  }`} {
			if token := sign(header, `{"x":"`+strings.Repeat("x", n)+`"}`, secret); len(token) == size {
				return token
			}
		}
	}
}

// FuzzCheck: no input makes Check panic, none is let in that does not hold a known
// key or a token signed with the secret, and what a refusal says is safe to send
// and to log.
func FuzzCheck(f *testing.F) {
	good := sign(hs256, `{"role":"anon","exp":1900000000}`, secret)
	for _, authorization := range []string{
		"", "Bearer " + good, "Bearer " + sign(hs256, `{"exp":1}`, secret), "Bearer " + sign(hs256, `{}`, foreign), "bearer " + good,
		"Bearer " + secretKey, "Bearer sb_x", "Bearer " + b64(`{"alg":"none"}`) + ".e30.", "Bearer " + b64(`{"alg":"RS256"}`) + ".e30.x",
		"Bearer " + good + "\nBearer " + good, "Basic eDp5",
	} {
		for _, apikey := range []string{"", publishableKey, secretKey, "x", good, "a.b.c"} {
			f.Add(authorization, apikey, hs256, `{"exp":1900000000}`, true)
		}
	}
	f.Add("", "", `{"alg":"HS256","crit":[]}`, `{"exp":1e300}`, false)
	v := newVerifier(f)
	f.Fuzz(func(t *testing.T, authorization, apikey, header, payload string, browser bool) {
		c := Credentials{Authorization: strings.Split(authorization, "\n"), APIKey: strings.Split(apikey, "\n"), Browser: browser}
		judge(t, v, c)
		// Properly signed, so that the fuzzer gets behind the signature.
		judge(t, v, bearer(sign(header, payload, secret)))
		// And never so when signed by another.
		if identity, failure := v.Check(bearer(sign(header, payload, foreign)), true, now); failure == nil {
			t.Fatalf("a stranger's signature was accepted: %+v", identity)
		}
	})
}

func judge(t *testing.T, v *Verifier, c Credentials) {
	identity, failure := v.Check(c, true, now)
	_, failureOff := v.Check(c, false, now)
	if failureOff != nil && failure == nil {
		t.Fatalf("verify_jwt lets in what is refused without: %+v", c)
	}
	if failure != nil {
		if identity != (Identity{}) || failure.Err == nil || failure.Code == "" || !challengeForm.MatchString(failure.Challenge) {
			t.Fatalf("refused %+v with %+v, %+v", c, identity, failure)
		}
		for _, b := range []byte(failure.Message) {
			if b < ' ' || b > '~' {
				t.Fatalf("message %q", failure.Message)
			}
		}
		return
	}
	if !legitimate(c, identity) {
		t.Fatalf("let in %+v as %+v", c, identity)
	}
}

// legitimate looks for what may let a request in: a known key, or a token whose
// third part is the HMAC of the first two, computed here.
func legitimate(c Credentials, identity Identity) bool {
	for _, value := range append(c.Authorization, c.APIKey...) {
		value = strings.TrimPrefix(strings.Trim(value, " \t"), "Bearer ")
		switch identity.Method {
		case MethodAPIKey:
			switch value {
			case secretKey, hashedKey:
				return !c.Browser
			case publishableKey, plainKey:
				return true
			}
		case MethodJWT:
			i := strings.LastIndexByte(value, '.')
			if i < 0 {
				continue
			}
			signature, err := base64.RawURLEncoding.DecodeString(value[i+1:])
			for _, key := range [][]byte{secret, oldSecret} {
				mac := hmac.New(sha256.New, key)
				mac.Write([]byte(value[:i]))
				if err == nil && bytes.Equal(signature, mac.Sum(nil)) {
					return true
				}
			}
		}
	}
	return false
}
