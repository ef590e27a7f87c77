package auth

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/edgegate/edgegate/routing/auth/jwks"
)

// Contract 3.3, 3.9 to 3.12: credentials that come twice, or half, and of which the
// function might read the other one.
func TestAttackHeaders(t *testing.T) {
	c := besieged(t)
	c.APIKeys = []APIKey{{Name: "web", Type: Publishable, Key: publishableKey}, {Name: "ci", Type: Secret, Key: secretKey}}
	c.Shared = NewShared(SharedConfig{})
	v := verifierOf(t, c)
	good, forged := ecPair.token(`{"role":"anon"}`), ecStranger.token(`{"role":"service_role"}`)
	both := func(apikey string, authorization ...string) Credentials {
		return Credentials{Authorization: authorization, APIKey: []string{apikey}}
	}
	for name, tt := range map[string]struct {
		credentials Credentials
		want        error
	}{
		"control":                                     {Credentials{Authorization: []string{"Bearer " + good}}, nil},
		"contract 3.3 two Authorization":              {Credentials{Authorization: []string{"Bearer " + good, "Bearer " + forged}}, ErrFormat},
		"contract 3.3 two, the good one last":         {Credentials{Authorization: []string{"Bearer " + forged, "Bearer " + good}}, ErrFormat},
		"contract 3.3 two, equal":                     {Credentials{Authorization: []string{"Bearer " + good, "Bearer " + good}}, ErrFormat},
		"contract 3.3 a hundred":                      {Credentials{Authorization: strings.Split(strings.Repeat("Bearer "+good+"|", 100), "|")}, ErrFormat},
		"contract 3.3 two schemes":                    {Credentials{Authorization: []string{"Basic eDp5", "Bearer " + good}}, ErrFormat},
		"contract 3.3 joined by a proxy":              {Credentials{Authorization: []string{"Bearer " + good + ", Bearer " + forged}}, ErrFormat},
		"contract 3.3 joined, two schemes":            {Credentials{Authorization: []string{"Basic eDp5, Bearer " + good}}, ErrFormat},
		"contract 3.4 joined, two tokens":             {Credentials{Authorization: []string{"Bearer " + good + "," + forged}}, ErrMalformed},
		"contract 3.6 joined by a comma alone":        {Credentials{Authorization: []string{"Bearer " + good + ","}}, ErrSignature},
		"contract 3.3 in a parameter":                 {Credentials{Authorization: []string{`Bearer token="` + good + `"`}}, ErrMalformed},
		"contract 3.3 no-break space after Bearer":    {Credentials{Authorization: []string{"Bearer\u00a0" + good}}, ErrFormat},
		"contract 3.3 Bearer with a Kelvin-like look": {Credentials{Authorization: []string{"Веаrer " + good}}, ErrFormat},
		"contract 3.3 NUL before Bearer":              {Credentials{Authorization: []string{"\x00Bearer " + good}}, ErrFormat},
		"contract 3.9 a key does not heal two":        {both(publishableKey, "Bearer "+good, "Bearer "+good), ErrFormat},
		"contract 3.9 a key does not heal a forgery":  {both(secretKey, "Bearer "+forged), ErrSignature},
		"contract 3.9 a good apikey token neither":    {both(good, "Bearer "+forged), ErrSignature},
		"contract 3.9 a token elsewhere neither":      {Credentials{Authorization: []string{"Bearer " + forged}, Token: good}, ErrSignature},
		"contract 3.10 two apikeys":                   {Credentials{APIKey: []string{publishableKey, secretKey}}, ErrRepeatedKey},
		"contract 3.10 two apikeys, one unknown":      {Credentials{APIKey: []string{publishableKey, "x"}}, ErrRepeatedKey},
		"contract 3.10 two apikeys, a good token":     {Credentials{Authorization: []string{"Bearer " + good}, APIKey: []string{publishableKey, publishableKey}}, ErrRepeatedKey},
		"contract 3.10 apikeys joined by a proxy":     {Credentials{APIKey: []string{publishableKey + ", " + secretKey}}, ErrUnknownKey},
		"contract 3.10 joined with a token":           {Credentials{APIKey: []string{good + "," + publishableKey}}, ErrUnknownKey},
		"contract 3.10 its beginning":                 {Credentials{APIKey: []string{secretKey[:20]}}, ErrUnknownKey},
		"contract 3.10 its hash":                      {Credentials{APIKey: []string{fmt.Sprintf("%x", sum(secretKey))}}, ErrUnknownKey},
		"contract 3.10 NUL cuts it":                   {Credentials{APIKey: []string{secretKey + "\x00x"}}, ErrUnknownKey},
		"contract 3.10 quoted":                        {Credentials{APIKey: []string{`"` + secretKey + `"`}}, ErrUnknownKey},
		"contract 3.10 1 MB":                          {Credentials{APIKey: []string{"sb_secret_" + strings.Repeat("x", 1<<20)}}, ErrUnknownKey},
		"contract 3.12 1 MB of a token":               {Credentials{APIKey: []string{"a." + strings.Repeat("x", 1<<20) + ".c"}}, ErrMalformed},
		"contract 3.11 a browser's secret key":        {Credentials{APIKey: []string{secretKey}, Browser: true}, ErrSecretInBrowser},
		"contract 3.11 beside a good token":           {Credentials{Authorization: []string{"Bearer " + good}, APIKey: []string{secretKey}, Browser: true}, ErrSecretInBrowser},
		"contract 3.15 a secret key elsewhere":        {Credentials{Token: secretKey, Browser: true}, ErrSecretInBrowser},
		"contract 3.15 a scheme elsewhere":            {Credentials{Token: "Bearer " + good}, ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				identity, failure := v.Check(tt.credentials, true, now)
				switch {
				case tt.want == nil && failure != nil:
					t.Fatalf("refused: %v", failure.Err)
				case tt.want != nil && (failure == nil || !errors.Is(failure.Err, tt.want) || identity != (Identity{})):
					t.Fatalf("got %+v, %+v, want %v", identity, failure, tt.want)
				}
			}
		})
	}
}

// Contract 3.5 to 3.10: what is good for one project is nothing to another, even one
// whose keys have the same names and that shares the memory.
func TestAttackOtherProject(t *testing.T) {
	shared := NewShared(SharedConfig{})
	project := func(secret []byte, key string, pairs ...pair) *Verifier {
		return verifierOf(t, Config{
			Secrets: [][]byte{secret}, Keys: parseSet(t, pairs...), AllowEdDSA: true, Shared: shared,
			APIKeys: []APIKey{{Name: "default", Type: Publishable, Key: key}},
		})
	}
	ours := project(secret, publishableKey, ecPair, rsaPair, edPair)
	theirs := project(foreign, plainKey, ecStranger, rsaStranger, edStranger)
	for name, tokens := range map[string][2]string{
		"HS256":           {sign(hs256, `{"iss":"supabase"}`, secret), sign(hs256, `{"iss":"supabase"}`, foreign)},
		"HS256, same kid": {sign(`{"alg":"HS256","kid":"a"}`, `{}`, secret), sign(`{"alg":"HS256","kid":"a"}`, `{}`, foreign)},
		"ES256":           {ecPair.token(`{}`), ecStranger.token(`{}`)},
		"ES256, unnamed":  {ecPair.unnamed(`{}`), ecStranger.unnamed(`{}`)},
		"RS256":           {rsaPair.token(`{}`), rsaStranger.token(`{}`)},
		"EdDSA":           {edPair.token(`{}`), edStranger.token(`{}`)},
	} {
		// Each is remembered as good by its own, then as bad by the other, then as both.
		for range 3 {
			for i, v := range []*Verifier{ours, theirs} {
				if _, err := refusal(v, tokens[i], now); err != nil {
					t.Errorf("%s: refused by its own project: %v", name, err)
				}
				if _, err := refusal(v, tokens[1-i], now); !errors.Is(err, ErrSignature) {
					t.Errorf("%s: at the other project: %v", name, err)
				}
			}
		}
	}
	for key, v := range map[string]*Verifier{publishableKey: theirs, plainKey: ours} {
		if _, failure := v.Check(Credentials{APIKey: []string{key}}, true, now); failure == nil || failure.Err != ErrUnknownKey {
			t.Errorf("contract 3.10: the other's API key: %+v", failure)
		}
	}
	if stats := shared.Stats(); stats.Hits == 0 || stats.BadHits == 0 {
		t.Errorf("nothing came from memory: %+v", stats)
	}
}

// Contract 3.4, 3.7, 3.8: names are compared byte by byte. Lenient readers fold case,
// by Unicode's rules too: to them the Kelvin sign is a k and the long s an s.
func TestAttackNames(t *testing.T) {
	const kelvin, longS = "\u212a", "\u017f"
	if unicode.ToLower([]rune(kelvin)[0]) != 'k' || unicode.ToUpper([]rune(longS)[0]) != 'S' {
		t.Fatal("these are not the letters meant")
	}
	c := besieged(t)
	c.Issuers, c.Roles, c.Audiences = []string{"us"}, []string{"anon"}, []string{"web"}
	const claims = `{"iss":"us","role":"anon","aud":"web"}`
	attacks := map[string]attack{
		"control": {token: sign(hs256, claims, secret)}, "control, ES256": {token: ecPair.token(claims)},
		"Kelvin kid is no kid": {token: ecPair.sign(`{"alg":"ES256","`+kelvin+`id":"nobody"}`, claims)},
		"iss by a long s":      {sign(hs256, `{"i`+longS+longS+`":"us","role":"anon","aud":"web"}`, secret), ErrIssuer, CodeLegacyJWT},
		"value by a long s":    {sign(hs256, `{"iss":"u`+longS+`","role":"anon","aud":"web"}`, secret), ErrIssuer, CodeLegacyJWT},
		"decomposed value":     {sign(hs256, `{"iss":"us","role":"a\u0301non","aud":"web"}`, secret), ErrRole, CodeLegacyJWT},
		"value in upper case":  {sign(hs256, `{"iss":"us","role":"ANON","aud":"web"}`, secret), ErrRole, CodeLegacyJWT},
		"value and NUL":        {sign(hs256, `{"iss":"us","role":"anon\u0000","aud":"web"}`, secret), ErrRole, CodeLegacyJWT},
		"value and bad UTF-8":  {sign(hs256, "{\"iss\":\"us\",\"role\":\"anon\xff\",\"aud\":\"web\"}", secret), ErrRole, CodeLegacyJWT},
		"role in an array":     {sign(hs256, `{"iss":"us","role":["anon"],"aud":"web"}`, secret), ErrRole, CodeLegacyJWT},
		"aud in an object":     {sign(hs256, `{"iss":"us","role":"anon","aud":{"web":"web"}}`, secret), ErrAudience, CodeLegacyJWT},
		"aud in two arrays":    {sign(hs256, `{"iss":"us","role":"anon","aud":[["web"]]}`, secret), ErrAudience, CodeLegacyJWT},
		"aud joined":           {sign(hs256, `{"iss":"us","role":"anon","aud":"web api"}`, secret), ErrAudience, CodeLegacyJWT},
		"exp by case":          {sign(hs256, `{"iss":"us","role":"anon","aud":"web","exp":1,"Exp":1900000000,"EXP":1900000000}`, secret), ErrExpired, CodeLegacyJWT},
		"nbf by case":          {sign(hs256, `{"iss":"us","role":"anon","aud":"web","nbf":1900000000,"NBF":1}`, secret), ErrNotYetValid, CodeLegacyJWT},
		"claims in the header": {sign(`{"alg":"HS256","iss":"us","role":"anon","aud":"web"}`, `{}`, secret), ErrIssuer, CodeLegacyJWT},
	}
	for _, alg := range []string{"ALG", "Alg", "aLg", "alg ", " alg", `alg\u0000`, "аlg", "ａｌｇ"} {
		attacks["header "+alg] = attack{sign(`{"`+alg+`":"HS256"}`, claims, secret), ErrMalformed, CodeInvalidFormat}
		attacks["header "+alg+" beside alg"] = attack{sign(`{"alg":"none","`+alg+`":"HS256"}`, claims, secret), ErrAlgorithm, CodeUnsupportedAlgorithm}
	}
	for _, alg := range []string{
		"hs256", "Hs256", "HS256 ", " HS256", "HS-256", "HS256\\u0000", "HS256\\u200b", "ＨＳ２５６", "H\u017f256", "HS\u0662\u0665\u0666", "ΗS256", "HMACSHA256",
		"http://www.w3.org/2001/04/xmldsig-more#hmac-sha256", "es256", "E" + longS + "256", "ES256" + kelvin, "rs256", "eddsa", "EDDSA", "ed25519", "HS256;ES256", "HS256\xff", `HS256\ud800`,
	} {
		attacks["alg "+alg] = attack{sign(`{"alg":"`+alg+`"}`, claims, secret), ErrAlgorithm, CodeUnsupportedAlgorithm}
		attacks["alg "+alg+", by the EC key"] = attack{ecPair.sign(`{"alg":"`+alg+`"}`, claims), ErrAlgorithm, CodeUnsupportedAlgorithm}
	}
	repel(t, c, attacks)
	// What is beside the names that are read is the function's business.
	remote := &source{}
	remote.serve(ecPair)
	v := verifierOf(t, Config{Keys: parseSet(t, edPair), Remotes: []*jwks.Remote{remoteOf(remote)}})
	if _, err := refusal(v, ecPair.sign(`{"alg":"ES256","kid":"ec-1","KID":"ed-1","Alg":"none"}`, `{}`), now); err != nil {
		t.Errorf("refused for members that are not ours: %v", err)
	}
}
