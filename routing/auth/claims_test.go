package auth

import (
	"errors"
	"testing"
	"time"
)

// Contract 3.8: iss, aud and role are checked if the project says so.
func TestRules(t *testing.T) {
	demanding := Config{
		Secrets: [][]byte{secret}, Issuers: []string{"https://a", "https://b"}, Audiences: []string{"web", "app"}, Roles: []string{"anon", "user"},
	}
	only := func(issuers, audiences, roles []string) Config {
		return Config{Secrets: [][]byte{secret}, Issuers: issuers, Audiences: audiences, Roles: roles}
	}
	issuer, audience, role := only([]string{"i"}, nil, nil), only(nil, []string{"a"}, nil), only(nil, nil, []string{"r"})
	tests := map[string]struct {
		config  Config
		payload string
		want    error
	}{
		"contract 3.8 all as demanded":           {demanding, `{"iss":"https://b","aud":["x","app"],"role":"anon"}`, nil},
		"contract 3.8 audience alone":            {demanding, `{"iss":"https://a","aud":"web","role":"user"}`, nil},
		"contract 3.8 issuer first":              {demanding, `{"iss":"https://c","aud":"x","role":"x"}`, ErrIssuer},
		"contract 3.8 then audience":             {demanding, `{"iss":"https://a","aud":"x","role":"x"}`, ErrAudience},
		"contract 3.8 then role":                 {demanding, `{"iss":"https://a","aud":"web","role":"x"}`, ErrRole},
		"contract 3.8 expiry before all":         {demanding, `{"exp":1}`, ErrExpired},
		"contract 3.8 no issuer":                 {issuer, `{}`, ErrIssuer},
		"contract 3.8 empty issuer":              {issuer, `{"iss":""}`, ErrIssuer},
		"contract 3.8 issuer with a slash more":  {issuer, `{"iss":"i/"}`, ErrIssuer},
		"contract 3.8 issuer of another case":    {issuer, `{"iss":"I"}`, ErrIssuer},
		"contract 3.8 issuers are no list":       {issuer, `{"iss":["i"]}`, ErrIssuer},
		"contract 3.8 only the issuer":           {issuer, `{"iss":"i","aud":"x","role":"x"}`, nil},
		"contract 3.8 no audience":               {audience, `{}`, ErrAudience},
		"contract 3.8 empty audiences":           {audience, `{"aud":[]}`, ErrAudience},
		"contract 3.8 audience null":             {audience, `{"aud":null}`, ErrAudience},
		"contract 3.8 audience an object":        {audience, `{"aud":{"a":1}}`, ErrAudience},
		"contract 3.8 audience in a list twice":  {audience, `{"aud":[["a"]]}`, ErrAudience},
		"contract 3.8 audience beside others":    {audience, `{"aud":[1,null,"b","a"]}`, nil},
		"contract 3.8 only the audience":         {audience, `{"iss":"x","aud":"a"}`, nil},
		"contract 3.8 no role":                   {role, `{}`, ErrRole},
		"contract 3.8 role a list":               {role, `{"role":["r"]}`, ErrRole},
		"contract 3.8 ROLE is not role":          {role, `{"ROLE":"r"}`, ErrRole},
		"contract 3.8 role escaped is the same":  {role, `{"role":"\u0072"}`, nil},
		"contract 3.8 a stranger is told less":   {role, ``, ErrClaims},
		"contract 3.8 nothing demanded, nothing": {only(nil, nil, nil), `{}`, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.config.Shared = NewShared(SharedConfig{})
			v := verifierOf(t, tt.config)
			for _, how := range []string{"verified", "remembered"} {
				_, err := refusal(v, sign(hs256, tt.payload, secret), now)
				if !errors.Is(err, tt.want) {
					t.Errorf("%s: %v, want %v", how, err, tt.want)
				}
			}
			if _, err := refusal(v, sign(hs256, tt.payload, foreign), now); !errors.Is(err, ErrSignature) {
				t.Errorf("signed by a stranger: %v", err)
			}
		})
	}
}

// Contract 3.8: a leeway moves both ends, exactly.
func TestLeeway(t *testing.T) {
	v := verifierOf(t, Config{Secrets: [][]byte{secret}, Leeway: 10 * time.Second, Shared: NewShared(SharedConfig{})})
	token := sign(hs256, `{"nbf":1800000000,"exp":1800000100}`, secret)
	for _, tt := range []struct {
		at   time.Duration
		want error
	}{
		{-10*time.Second - 1, ErrNotYetValid},
		{-10 * time.Second, nil},
		{110*time.Second - 1, nil},
		{110 * time.Second, ErrExpired},
		{-10 * time.Second, nil},
	} {
		if _, err := refusal(v, token, time.Unix(1_800_000_000, 0).Add(tt.at)); !errors.Is(err, tt.want) {
			t.Errorf("at %s: %v, want %v", tt.at, err, tt.want)
		}
	}
}

func TestCountMembers(t *testing.T) {
	for data, want := range map[string]int{
		`{}`: 0, `{"a":1}`: 1, `{"a":1,"a":2}`: 2, `{"a":{"b":1,"c":2},"d":[{"e":":"}]}`: 2,
		`{"a:b":"c:d","e\":":"\\","f":3}`: 3, ` { "a" : ":{\\\"" , "b" : [ ] } `: 2, `null`: 0,
	} {
		if got := countMembers([]byte(data)); got != want {
			t.Errorf("%s has %d members, want %d", data, got, want)
		}
	}
}
