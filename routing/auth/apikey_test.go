package auth

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// Contract 3.10: an API key that has expired is as unknown as any other, from the
// very instant on.
func TestAPIKeyExpires(t *testing.T) {
	v := verifierOf(t, Config{APIKeys: []APIKey{
		{Type: Secret, Key: secretKey, ExpiresAt: now},
		{Type: Publishable, SHA256: sum(publishableKey), ExpiresAt: now.Add(time.Hour)},
	}})
	for _, tt := range []struct {
		key  string
		at   time.Time
		want error
	}{
		{secretKey, now.Add(-1), nil},
		{secretKey, now, ErrUnknownKey},
		{secretKey, now.Add(time.Hour), ErrUnknownKey},
		{publishableKey, now, nil},
		{publishableKey, now.Add(time.Hour), ErrUnknownKey},
	} {
		for name, c := range map[string]Credentials{"apikey": {APIKey: []string{tt.key}}, "token": bearer(tt.key), "token, 3.15": {Token: tt.key}, "key, 3.15": {URLKeys: []string{tt.key}}} {
			_, failure := v.Check(c, true, tt.at)
			want := tt.want
			if strings.HasSuffix(name, "3.15") && tt.key == secretKey && tt.want == nil {
				want = ErrSecretInURL // never secret keys
			}
			if (failure == nil) != (want == nil) || failure != nil && !errors.Is(failure.Err, want) {
				t.Errorf("%s %s at %s: %+v, want %v", name, tt.key, tt.at, failure, want)
			}
		}
	}
	// An expired secret key is not even told apart in a browser (contract 3.11).
	if _, failure := v.Check(Credentials{APIKey: []string{secretKey}, Browser: true}, true, now); failure == nil || failure.Err != ErrUnknownKey {
		t.Errorf("contract 3.11: %+v", failure)
	}
}

// The longest key works, and what is longer is no key.
func TestAPIKeyLength(t *testing.T) {
	longest := strings.Repeat("k", MaxKeyLength)
	v := verifierOf(t, Config{APIKeys: []APIKey{{Type: Publishable, Key: longest}, {Type: Publishable, SHA256: sum(longest + "k")}}})
	if _, failure := v.Check(Credentials{APIKey: []string{longest}}, true, now); failure != nil {
		t.Errorf("%d bytes: %v", MaxKeyLength, failure.Err)
	}
	if _, failure := v.Check(Credentials{APIKey: []string{longest + "k"}}, true, now); failure == nil {
		t.Errorf("%d bytes were hashed", MaxKeyLength+1)
	}
}

// Contract 3.15: a token from elsewhere than a header is judged like a bearer
// token, when there is no Authorization.
func TestTokenFromElsewhere(t *testing.T) {
	v := newVerifier(t)
	good, forged := sign(hs256, `{}`, secret), sign(hs256, `{}`, foreign)
	tests := map[string]struct {
		credentials Credentials
		verifyJWT   bool
		want        error
	}{
		"contract 3.15 good":                        {Credentials{Token: good}, true, nil},
		"contract 3.15 forged":                      {Credentials{Token: forged}, true, ErrSignature},
		"contract 3.15 publishable key":             {Credentials{Token: publishableKey}, true, nil},
		"contract 3.15 unknown key":                 {Credentials{Token: "sb_secret_x"}, true, ErrUnknownKey},
		"contract 3.15 secret key in a browser":     {Credentials{Token: secretKey, Browser: true}, true, ErrSecretInBrowser},
		"contract 3.15 no token at all":             {Credentials{Token: "x"}, true, ErrMalformed},
		"contract 3.15 with the scheme":             {Credentials{Token: "Bearer " + good}, true, ErrFormat},
		"contract 3.15 with a space":                {Credentials{Token: good + " "}, true, ErrFormat},
		"contract 3.15 with a line break":           {Credentials{Token: good + "\n"}, true, ErrFormat},
		"contract 3.15 Authorization first":         {Credentials{Authorization: []string{"Bearer " + forged}, Token: good}, true, ErrSignature},
		"contract 3.15 good Authorization first":    {Credentials{Authorization: []string{"Bearer " + good}, Token: forged}, true, nil},
		"contract 3.15 bad Authorization first":     {Credentials{Authorization: []string{"Basic x"}, Token: good}, true, ErrFormat},
		"contract 3.15 blank Authorization is none": {Credentials{Authorization: []string{" "}, Token: good}, true, nil},
		"contract 3.15 apikey excuses no bad one":   {Credentials{APIKey: []string{publishableKey}, Token: forged}, true, ErrSignature},
		"contract 3.15 unknown apikey first":        {Credentials{APIKey: []string{"x"}, Token: good}, true, ErrUnknownKey},
		"contract 3.15 secret key":                  {Credentials{Token: secretKey}, true, ErrSecretInURL},
		"contract 3.15 off, not read":               {Credentials{Token: forged}, false, nil},
		"contract 3.15 key in the URL":              {Credentials{URLKeys: []string{publishableKey}}, true, nil},
		"contract 3.15 secret key in the URL":       {Credentials{URLKeys: []string{secretKey}}, true, ErrSecretInURL},
		"contract 3.15 and in a browser":            {Credentials{URLKeys: []string{secretKey}, Browser: true}, true, ErrSecretInBrowser},
		"contract 3.15 unknown key in the URL":      {Credentials{URLKeys: []string{"sb_publishable_x"}}, true, ErrUnknownKey},
		"contract 3.15 two keys in the URL":         {Credentials{URLKeys: []string{publishableKey, publishableKey}}, true, ErrRepeatedKey},
		"contract 3.15 a token as key in the URL":   {Credentials{URLKeys: []string{good}}, true, ErrMissing},
		"contract 3.15 key and token in the URL":    {Credentials{URLKeys: []string{publishableKey}, Token: forged}, true, ErrSignature},
		"contract 3.15 apikey before the URL":       {Credentials{APIKey: []string{"x"}, URLKeys: []string{publishableKey}}, true, ErrUnknownKey},
		"contract 3.15 Authorization before it":     {Credentials{Authorization: []string{"Bearer " + forged}, URLKeys: []string{publishableKey}}, true, ErrSignature},
		"contract 3.15 off, key not read":           {Credentials{URLKeys: []string{"x"}}, false, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, failure := v.Check(tt.credentials, tt.verifyJWT, now)
			if (failure == nil) != (tt.want == nil) || failure != nil && !errors.Is(failure.Err, tt.want) {
				t.Errorf("%+v, want %v", failure, tt.want)
			}
		})
	}
}
