package jwks

import (
	"testing"
	"time"
)

func parse(t testing.TB, data string) *Set {
	t.Helper()
	s, _, err := Parse([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Contract 3.14: a token that names its key gets that one, others all that fit.
func TestCandidates(t *testing.T) {
	s := parse(t, set(ec("a"), ec("b"), jwk(ecKey.Public(), nil), jwk(rsaKey.Public(), object{"kid": "a"}), jwk(edKey.Public(), object{"kid": "c"})))
	tests := map[string]struct {
		alg, kid string
		want     int
	}{
		"named":                     {ES256, "a", 1},
		"same name, other type":     {RS256, "a", 1},
		"name of another type":      {RS256, "b", 0},
		"unknown name":              {ES256, "d", 0},
		"case counts":               {ES256, "A", 0},
		"none named":                {ES256, "", 3},
		"none named, RSA":           {RS256, "", 1},
		"none named, EdDSA":         {EdDSA, "", 1},
		"HMAC never":                {"HS256", "", 0},
		"HMAC never, by name":       {"HS256", "a", 0},
		"algorithm of another case": {"es256", "a", 0},
		"no algorithm":              {"", "", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := s.Candidates(tt.alg, tt.kid); len(got) != tt.want {
				t.Errorf("%d candidates, want %d", len(got), tt.want)
			}
		})
	}
}

// Fingerprints tell apart what decides, and nothing else.
func TestFingerprint(t *testing.T) {
	rsaJWK := jwk(rsaKey.Public(), object{"kid": "r"})
	base := parse(t, set(ec("a"), rsaJWK))
	tests := map[string]struct {
		data string
		same bool
	}{
		"other order":      {set(rsaJWK, ec("a")), true},
		"more members":     {set(jwk(ecKey.Public(), object{"kid": "a", "use": "sig", "alg": "ES256", "iat": 1}), rsaJWK), true},
		"ignored keys":     {set(ec("a"), `{"kty":"oct"}`, rsaJWK, ec("a")), true},
		"another ID":       {set(ec("b"), rsaJWK), false},
		"no ID":            {set(jwk(ecKey.Public(), nil), rsaJWK), false},
		"a key less":       {set(ec("a")), false},
		"a key more":       {set(ec("a"), ec("b"), rsaJWK), false},
		"IDs swapped":      {set(ec("r"), jwk(rsaKey.Public(), object{"kid": "a"})), false},
		"nothing":          {set(), false},
		"another of a kid": {set(jwk(edKey.Public(), object{"kid": "a"}), rsaJWK), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := parse(t, tt.data).Fingerprint() == base.Fingerprint(); got != tt.same {
				t.Errorf("the same fingerprint: %t, want %t", got, tt.same)
			}
		})
	}
	var none *Set
	if none.Fingerprint() != parse(t, set()).Fingerprint() || none.Len() != 0 || none.Keys() != nil || none.Candidates(ES256, "") != nil {
		t.Error("a nil set is not an empty set")
	}
}

func TestContinuing(t *testing.T) {
	first := parse(t, set(ec("a"), ec("b")))
	used := time.Unix(1_800_000_000, 5).UTC()
	first.Candidates(ES256, "a")[0].Mark(used)
	if again := parse(t, set(ec("b"), ec("a"))).continuing(first); again != first {
		t.Error("the same keys are a new set")
	}
	second := parse(t, set(ec("a"), ec("c"))).continuing(first)
	if got := second.Candidates(ES256, "a")[0].LastUsed(); !got.Equal(used.Truncate(time.Second)) {
		t.Errorf("a refresh forgot the last use: %v", got)
	}
	second.Candidates(ES256, "a")[0].Mark(used.Add(time.Hour))
	if got := first.Candidates(ES256, "a")[0].LastUsed(); !got.After(used) {
		t.Errorf("tokens that still hold the old set do not count: %v", got)
	}
	if got := second.Candidates(ES256, "c")[0].LastUsed(); !got.IsZero() {
		t.Errorf("a new key was used %v", got)
	}
}
