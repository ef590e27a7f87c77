package auth

import (
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/edgegate/edgegate/routing/auth/jwks"
)

// Contract 3.7: no spelling of `none` is an algorithm, whatever stands where the
// signature should.
func TestAttackNone(t *testing.T) {
	attacks := map[string]attack{}
	payload := b64(`{"role":"service_role"}`)
	good := sign(hs256, `{"role":"service_role"}`, secret)
	signatures := map[string]string{
		"no signature": "", "a byte": "AA", "a real signature": good[strings.LastIndex(good, ".")+1:], "zeros": b64(string(make([]byte, 32))),
	}
	for _, alg := range []string{
		"none", "None", "NONE", "nOnE", "NoNe", `n\u006fne`, `\u006e\u006f\u006e\u0065`, "none ", " none", `none\u0000`, `\u0000none`, `none\n`,
		"no\u0578e", "nonе", "ｎｏｎｅ", "null", "nil", "undefined", "0", "HS256,none", "none,HS256", "HS0", "Hmac", "*", "dir", "RSA1_5",
	} {
		for how, signature := range signatures {
			attacks[alg+", "+how] = attack{b64(`{"alg":"`+alg+`","typ":"JWT"}`) + "." + payload + "." + signature, ErrAlgorithm, CodeUnsupportedAlgorithm}
		}
	}
	for name, alg := range map[string]string{
		"empty": `""`, "null": `null`, "false": `false`, "0": `0`, "array": `["none"]`, "array of good": `["HS256"]`, "object": `{"alg":"HS256"}`, "empty array": `[]`,
	} {
		attacks[name] = attack{sign(`{"alg":`+alg+`}`, `{}`, secret), ErrMalformed, CodeInvalidFormat}
		attacks[name+" by the empty secret"] = attack{sign(`{"alg":`+alg+`}`, `{}`, nil), ErrMalformed, CodeInvalidFormat}
	}
	repel(t, besieged(t), attacks)
}

// Contract 3.6, 3.14: what a header says about keys is not looked at, and nobody is
// asked for the key that it points to.
func TestAttackEmbeddedKeys(t *testing.T) {
	var requests atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		fmt.Fprint(w, keySet(ecStranger, rsaStranger, edStranger))
	}))
	defer thief.Close()
	own := &source{}
	own.serve(ecNext)
	c := besieged(t)
	c.Remotes = []*jwks.Remote{remoteOf(own)}

	attacks := map[string]attack{}
	for _, p := range []pair{ecStranger, rsaStranger, edStranger} {
		template := &x509.Certificate{SerialNumber: big.NewInt(1)}
		certificate := must(x509.CreateCertificate(rand.Reader, template, template, p.private.Public(), p.private))
		digest, digest256 := sha1.Sum(certificate), sha256.Sum256(certificate)
		for member, value := range map[string]string{
			"jwk": p.jwk(), "jku": quoted(thief.URL + "/jwks.json"), "x5u": quoted(thief.URL + "/chain.pem"),
			"x5c":      `["` + base64.StdEncoding.EncodeToString(certificate) + `"]`,
			"x5t":      quoted(b64(string(digest[:]))),
			"x5t#S256": quoted(b64(string(digest256[:]))), "jwks": keySet(p), "jwks_uri": quoted(thief.URL), "url": quoted(thief.URL),
			"iss": quoted(thief.URL), "keys": `[` + p.jwk() + `]`, "public_key": quoted(string(pemBlock("CERTIFICATE", certificate))),
		} {
			header := func(kid string) string { return `{"alg":"` + p.alg + `",` + kid + `"` + member + `":` + value + `}` }
			attacks[p.alg+" "+member+", the good kid"] = attack{p.sign(header(`"kid":"`+p.kid+`",`), `{}`), ErrSignature, CodeAsymmetricJWT}
			attacks[p.alg+" "+member+", own kid"] = attack{p.sign(header(`"kid":"mine",`), `{}`), ErrUnknownSigner, CodeAsymmetricJWT}
			attacks[p.alg+" "+member+", a URL as kid"] = attack{p.sign(header(`"kid":`+quoted(thief.URL)+`,`), `{}`), ErrUnknownSigner, CodeAsymmetricJWT}
			attacks[p.alg+" "+member+", no kid"] = attack{p.sign(header(""), `{}`), ErrSignature, CodeAsymmetricJWT}
			attacks[p.alg+" "+member+", and HS256"] = attack{sign(strings.Replace(header(""), p.alg, algHS256, 1), `{}`, []byte(value)), ErrSignature, CodeLegacyJWT}
		}
	}
	attacks["a secret in jwk"] = attack{
		sign(`{"alg":"HS256","jwk":{"kty":"oct","k":"`+b64(string(foreign))+`"}}`, `{}`, foreign), ErrSignature, CodeLegacyJWT,
	}
	attacks["control, jku beside a good signature"] = attack{
		token: ecPair.sign(`{"alg":"ES256","kid":"ec-1","jku":`+quoted(thief.URL)+`,"jwk":`+ecStranger.jwk()+`}`, `{}`),
	}
	repel(t, c, attacks)
	if n := requests.Load(); n != 0 {
		t.Errorf("the attacker's server got %d requests", n)
	}
}

func quoted(s string) string { return string(must(json.Marshal(s))) }

// Contract 3.5, 3.6, RFC 7515 section 4.1.11: an extension that must be understood
// is not, so whatever crit is, properly signed or not, the token is refused.
func TestAttackCritical(t *testing.T) {
	attacks := map[string]attack{
		"control, crit in the claims":              {token: sign(hs256, `{"crit":["exp"]}`, secret)},
		"control, Crit is not crit":                {token: sign(`{"alg":"HS256","Crit":["exp"],"CRIT":1}`, `{}`, secret)},
		"control, b64 alone is not understood":     {token: sign(`{"alg":"HS256","b64":false}`, `{}`, secret)},
		"b64 alone, payload unencoded, RFC 7797":   {unencoded(`{"alg":"HS256","b64":false}`, `{"role":"x"}`), ErrClaims, CodeLegacyJWT},
		"b64 and crit, payload unencoded":          {unencoded(`{"alg":"HS256","b64":false,"crit":["b64"]}`, `{"role":"x"}`), ErrCritical, CodeLegacyJWT},
		"b64 and crit, payload detached":           {unencoded(`{"alg":"HS256","b64":false,"crit":["b64"]}`, ``), ErrCritical, CodeLegacyJWT},
		"b64 a text, and crit":                     {unencoded(`{"alg":"HS256","b64":"false","crit":["b64"]}`, `{}`), ErrCritical, CodeLegacyJWT},
		"payload detached":                         {unencoded(hs256, ``), ErrClaims, CodeLegacyJWT},
		"crit does not excuse another alg":         {sign(`{"alg":"none","crit":["alg"]}`, `{}`, secret), ErrAlgorithm, CodeUnsupportedAlgorithm},
		"crit twice":                               {sign(`{"alg":"HS256","crit":["b64"],"crit":[]}`, `{}`, secret), ErrMalformed, CodeInvalidFormat},
		"crit spelled otherwise":                   {sign(`{"alg":"HS256","cr\u0069t":["b64"],"b64":false}`, `{}`, secret), ErrCritical, CodeLegacyJWT},
		"crit of a stranger is not told from ours": {sign(`{"alg":"HS256","crit":["x"]}`, `{}`, foreign), ErrCritical, CodeLegacyJWT},
	}
	for _, crit := range []string{
		`["exp"]`, `["alg"]`, `["b64"]`, `["x"]`, `["exp","exp"]`, `[""]`, `[[]]`, `[null]`, `[1]`, `[]`, `null`, `""`, `"exp"`, `{}`, `{"exp":true}`, `0`, `false`, `true`,
	} {
		attacks["HS256 "+crit] = attack{sign(`{"alg":"HS256","crit":`+crit+`,"x":1,"exp":1}`, `{}`, secret), ErrCritical, CodeLegacyJWT}
		attacks["ES256 "+crit] = attack{ecPair.sign(`{"crit":`+crit+`,"alg":"ES256","kid":"ec-1"}`, `{}`), ErrCritical, CodeAsymmetricJWT}
	}
	repel(t, besieged(t), attacks)
}

// unencoded is a token of RFC 7797, whose payload stands there as it is.
func unencoded(header, payload string) string { return signText(b64(header)+"."+payload, secret) }

// Contract 3.4, RFC 7515 section 4: members that come twice, of which others might
// take the other one.
func TestAttackDuplicateMembers(t *testing.T) {
	attacks := map[string]attack{
		"control, one in another": {token: sign(`{"alg":"HS256","x":{"alg":"none"}}`, `{"exp":1900000000,"x":{"exp":1}}`, secret)},
	}
	for name, header := range map[string]string{
		"alg, none last": `{"alg":"HS256","alg":"none"}`, "alg, none first": `{"alg":"none","alg":"HS256"}`,
		"alg, equal": `{"alg":"HS256","alg":"HS256"}`, "alg, escaped": `{"alg":"HS256","\u0061\u006C\u0067":"none"}`,
		"alg, null first": `{"alg":null,"alg":"HS256"}`, "kid": `{"alg":"HS256","kid":"a","kid":"b"}`, "kid, escaped": `{"alg":"HS256","kid":"a","k\u0069d":"b"}`,
		"typ": `{"alg":"HS256","typ":"JWT","typ":"JWT"}`, "anything": `{"alg":"HS256","":1,"":2}`, "around others": `{"x":1,"alg":"HS256","x":{"alg":"none"}}`,
		"in invalid UTF-8": "{\"alg\":\"HS256\",\"\xff\":1,\"\xfe\":1}",
	} {
		attacks["header: "+name] = attack{sign(header, `{}`, secret), ErrMalformed, CodeInvalidFormat}
	}
	attacks["ES256 header: kid"] = attack{ecPair.sign(`{"alg":"ES256","kid":"ec-1","kid":"ec-2"}`, `{}`), ErrMalformed, CodeInvalidFormat}
	for name, claims := range map[string]string{
		"exp, good last": `{"exp":1,"exp":1900000000}`, "exp, good first": `{"exp":1900000000,"exp":1}`, "exp, equal": `{"exp":1900000000,"exp":1900000000}`,
		"exp, escaped": `{"exp":1900000000,"e\u0078p":1}`, "exp and null": `{"exp":1900000000,"exp":null}`, "nbf": `{"nbf":1,"nbf":1900000000}`,
		"role": `{"role":"anon","role":"service_role"}`, "sub": `{"sub":"a","\u0073ub":"b"}`, "aud": `{"aud":"a","aud":["b"]}`, "anything": `{"x":{},"x":[]}`,
	} {
		attacks["claims: "+name] = attack{sign(hs256, claims, secret), ErrClaims, CodeLegacyJWT}
		attacks["ES256 claims: "+name] = attack{ecPair.token(claims), ErrClaims, CodeAsymmetricJWT}
	}
	repel(t, besieged(t), attacks)
}

// Contract 3.5, 3.6: kid is a name to compare with, and neither a path, nor a query,
// nor a URL.
func TestAttackKeyID(t *testing.T) {
	attacks := map[string]attack{}
	for name, kid := range map[string]string{
		"path": `"../../../../../../dev/null"`, "absolute path": `"/dev/null"`, "path of a key": `"keys/../ec-1"`, "path and NUL": `"ec-1\u0000.pem"`,
		"Windows path": `"..\\..\\nul"`, "SQL": `"x' UNION SELECT 'an HMAC secret of 32 bytes or so'--"`, "SQL of all": `"' OR '1'='1"`, "command": `"ec-1|/usr/bin/id"`,
		"LDAP": `"*)(kid=*"`, "glob": `"*"`, "file URL": `"file:///dev/null"`, "URL": `"http://127.0.0.1:1/key"`, "NUL": `"\u0000"`, "NUL at the end": `"ec-1\u0000"`,
		"newline at the end": `"ec-1\n"`, "space": `" ec-1"`, "upper case": `"EC-1"`, "other dash": `"ec‐1"`, "key of another type": `"rsa-1"`,
		"template": `"{{kid}}${kid}%s%n"`, "prototype": `"__proto__"`, "30 KB": `"` + strings.Repeat("k", 30_000) + `"`, "invalid UTF-8": "\"ec-1\xff\"", "lone surrogate": `"ec-1\ud800"`,
	} {
		attacks["ES256 "+name] = attack{ecPair.sign(`{"alg":"ES256","kid":`+kid+`}`, `{}`), ErrUnknownSigner, CodeAsymmetricJWT}
		attacks["HS256 by what it may point to: "+name] = attack{sign(`{"alg":"HS256","kid":`+kid+`}`, `{}`, nil), ErrSignature, CodeLegacyJWT}
		attacks["HS256 by zeros: "+name] = attack{sign(`{"alg":"HS256","kid":`+kid+`}`, `{}`, make([]byte, 32)), ErrSignature, CodeLegacyJWT}
	}
	// What is no text names nothing, so the signature alone decides, by all keys.
	for name, kid := range map[string]string{
		"object": `{"$ne":null}`, "object of a good one": `{"kid":"ec-1"}`, "array": `["ec-1"]`, "number": `1`, "1e400": `1e400`, "null": `null`, "true": `true`, "empty": `""`,
	} {
		attacks["ES256 "+name] = attack{ecStranger.sign(`{"alg":"ES256","kid":`+kid+`}`, `{}`), ErrSignature, CodeAsymmetricJWT}
		attacks["control, ES256 "+name] = attack{token: ecPair.sign(`{"alg":"ES256","kid":`+kid+`}`, `{}`)}
		attacks["HS256 "+name] = attack{sign(`{"alg":"HS256","kid":`+kid+`}`, `{}`, nil), ErrSignature, CodeLegacyJWT}
	}
	attacks["64 KB"] = attack{ecPair.sign(`{"alg":"ES256","kid":"`+strings.Repeat("k", 64<<10)+`"}`, `{}`), ErrMalformed, CodeInvalidFormat}
	attacks["control, HS256 by any kid"] = attack{token: sign(`{"alg":"HS256","kid":"../../x"}`, `{}`, secret)}
	repel(t, besieged(t), attacks)
}
