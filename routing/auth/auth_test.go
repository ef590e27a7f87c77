package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strings"
	"testing"
	"time"
)

var (
	// now has a fraction, so that rounding a clock to seconds would show.
	now = time.Unix(1_800_000_000, 500_000_000)

	secret    = []byte("an HMAC secret of 32 bytes or so")
	oldSecret = []byte("the one before it, still rotated")
	foreign   = []byte("the secret of somebody else, too")
)

const (
	publishableKey = "sb_publishable_0123456789abcdefghijklmnopqr"
	secretKey      = "sb_secret_0123456789abcdefghijklmnopqrstuv"
	hashedKey      = "sb_secret_known_by_its_hash_only_012345"
	plainKey       = "legacy-gateway-key"
	hs256          = `{"alg":"HS256","typ":"JWT"}`
)

func sum(s string) []byte {
	h := sha256.Sum256([]byte(s))
	return h[:]
}

func newVerifier(t testing.TB) *Verifier {
	t.Helper()
	v, err := New(Config{
		Secrets: [][]byte{secret, oldSecret},
		APIKeys: []APIKey{
			{Name: "web", Type: Publishable, Key: publishableKey},
			{Name: "ci", Type: Secret, Key: secretKey},
			{Name: "hashed", Type: Secret, SHA256: sum(hashedKey)},
			{Name: "plain", Type: Publishable, Key: plainKey},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// sign makes tokens by hand, so that the tests do not rest on the library they test.
func sign(header, payload string, key []byte) string {
	return signWith(sha256.New, header, payload, key)
}

func signWith(h func() hash.Hash, header, payload string, key []byte) string {
	text := b64(header) + "." + b64(payload)
	mac := hmac.New(h, key)
	mac.Write([]byte(text))
	return text + "." + b64(string(mac.Sum(nil)))
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func bearer(token string) Credentials { return Credentials{Authorization: []string{"Bearer " + token}} }

func TestNewRefuses(t *testing.T) {
	pem := []byte("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n")
	tests := map[string]struct {
		config Config
		want   []string
	}{
		"short secret":        {Config{Secrets: [][]byte{[]byte("only-thirty-one-bytes-of-secret")}}, []string{"HMAC secret 1", "31 bytes"}},
		"empty secret":        {Config{Secrets: [][]byte{secret, nil}}, []string{"HMAC secret 2", "0 bytes"}},
		"PEM as a secret":     {Config{Secrets: [][]byte{pem}}, []string{"PEM"}},
		"JWK as a secret":     {Config{Secrets: [][]byte{[]byte(` {"kty":"RSA","n":"0123456789012345"}`)}}, []string{"JSON Web Key"}},
		"JWKS as a secret":    {Config{Secrets: [][]byte{[]byte(`{"keys":[{"kid":"abcdefghijklmnop"}]}`)}}, []string{"JSON Web Key"}},
		"empty key":           {Config{APIKeys: []APIKey{{Name: "ci", Type: Secret}}}, []string{`API key 1 "ci"`, "empty"}},
		"empty key's hash":    {Config{APIKeys: []APIKey{{Type: Secret, SHA256: sum("")}}}, []string{"empty"}},
		"no type":             {Config{APIKeys: []APIKey{{Key: secretKey}}}, []string{"type"}},
		"bad type":            {Config{APIKeys: []APIKey{{Type: "public", Key: secretKey}}}, []string{`"public"`}},
		"key and hash":        {Config{APIKeys: []APIKey{{Type: Secret, Key: secretKey, SHA256: sum(secretKey)}}}, []string{"both"}},
		"short hash":          {Config{APIKeys: []APIKey{{Type: Secret, SHA256: []byte{1}}}}, []string{"1 bytes"}},
		"space in a key":      {Config{APIKeys: []APIKey{{Type: Secret, Key: "sb_secret_a b"}}}, []string{"visible ASCII"}},
		"newline at its end":  {Config{APIKeys: []APIKey{{Type: Secret, Key: secretKey + "\n"}}}, []string{"visible ASCII"}},
		"not ASCII":           {Config{APIKeys: []APIKey{{Type: Secret, Key: "schl\u00fcssel"}}}, []string{"visible ASCII"}},
		"long key":            {Config{APIKeys: []APIKey{{Type: Secret, Key: strings.Repeat("x", MaxKeyLength+1)}}}, []string{"1025 bytes"}},
		"same key twice":      {Config{APIKeys: []APIKey{{Name: "a", Type: Secret, Key: secretKey}, {Type: Publishable, Key: secretKey}}}, []string{"API key 2", `"a"`}},
		"same key, once hash": {Config{APIKeys: []APIKey{{Name: "a", Type: Secret, Key: secretKey}, {Type: Secret, SHA256: sum(secretKey)}}}, []string{"API key 2"}},
		"all mistakes at once": {
			Config{Secrets: [][]byte{[]byte("hunter2")}, APIKeys: []APIKey{{Type: Secret}, {Type: "x", Key: secretKey}}},
			[]string{"HMAC secret 1", "API key 1", "API key 2"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v, err := New(tt.config)
			if err == nil || v != nil {
				t.Fatalf("New = %v, %v, want an error", v, err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error misses %q: %v", want, err)
				}
			}
			for _, s := range tt.config.Secrets {
				if len(s) > 0 && strings.Contains(err.Error(), string(s)) {
					t.Errorf("the error contains a secret: %v", err)
				}
			}
			for _, k := range tt.config.APIKeys {
				if k.Key != "" && strings.Contains(err.Error(), strings.TrimSpace(k.Key)) {
					t.Errorf("the error contains a key: %v", err)
				}
			}
		})
	}
}

// A Verifier is immutable: the caller may wipe what it passed in.
func TestNewKeepsNothingOfTheCallers(t *testing.T) {
	mine := bytes.Clone(secret)
	keyHash := sum(hashedKey)
	v, err := New(Config{Secrets: [][]byte{mine}, APIKeys: []APIKey{{Type: Secret, SHA256: keyHash}}})
	if err != nil {
		t.Fatal(err)
	}
	clear(mine)
	clear(keyHash)
	if _, failure := v.Check(bearer(sign(hs256, `{}`, secret)), true, now); failure != nil {
		t.Errorf("the secret was not copied: %v", failure.Err)
	}
	if _, failure := v.Check(Credentials{APIKey: []string{hashedKey}}, true, now); failure != nil {
		t.Errorf("the hash was not copied: %v", failure.Err)
	}
}

// Contract 3.11: Origin, Sec-Fetch-Site, or a User-Agent that starts Mozilla/.
func TestFromBrowser(t *testing.T) {
	tests := map[string]struct {
		origin, site []string
		agent        string
		want         bool
	}{
		"nothing":             {nil, nil, "", false},
		"origin":              {[]string{"https://a"}, nil, "", true},
		"origin null":         {[]string{"null"}, nil, "", true},
		"second origin":       {[]string{"", "https://a"}, nil, "", true},
		"blank origin":        {[]string{" "}, nil, "", false},
		"fetch site":          {nil, []string{"same-origin"}, "", true},
		"blank fetch site":    {nil, []string{""}, "", false},
		"browser agent":       {nil, nil, "Mozilla/5.0 (X11; Linux x86_64)", true},
		"agent names it last": {nil, nil, "bot (like Mozilla/5.0)", false},
		"other case":          {nil, nil, "mozilla/5.0", false},
		"curl":                {nil, nil, "curl/8.5.0", false},
		"node":                {nil, nil, "node", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := FromBrowser(tt.origin, tt.site, tt.agent); got != tt.want {
				t.Errorf("contract 3.11: FromBrowser = %v, want %v", got, tt.want)
			}
		})
	}
}

// What a verified request is known by (contract 8.25, 8.26), and no more of it.
func TestIdentity(t *testing.T) {
	v := newVerifier(t)
	token := sign(`{"alg":"HS256","kid":"k1"}`, `{"iss":"supabase","sub":"u1","role":"anon","exp":1800000001.75}`, secret)
	claims := Claims{
		Issuer: "supabase", Subject: "u1", Role: "anon", Algorithm: "HS256", KeyID: "k1",
		ExpiresAt: 1_800_000_001, SignaturePrefix: token[strings.LastIndex(token, ".")+1:][:6],
	}
	web := KeyInfo{Name: "web", Type: Publishable, Prefix: "sb_publishable_012345", Hash: hex.EncodeToString(sum(publishableKey))}
	ci := KeyInfo{Name: "ci", Type: Secret, Prefix: "sb_secret_012345", Hash: hex.EncodeToString(sum(secretKey))}
	plain := KeyInfo{Name: "plain", Type: Publishable, Prefix: "lega", Hash: hex.EncodeToString(sum(plainKey))}
	odd := sign(hs256, `{"iss":1,"sub":null,"role":["anon"],"Role":"admin"}`, secret)
	tests := map[string]struct {
		credentials Credentials
		verifyJWT   bool
		want        Identity
	}{
		"token":                   {bearer(token), true, Identity{Method: MethodJWT, JWT: claims}},
		"token as apikey":         {Credentials{APIKey: []string{token}}, true, Identity{Method: MethodJWT, JWT: claims}},
		"token beside a key":      {Credentials{Authorization: []string{"Bearer " + token}, APIKey: []string{publishableKey}}, true, Identity{Method: MethodJWT, JWT: claims, APIKey: web}},
		"key":                     {Credentials{APIKey: []string{publishableKey}}, true, Identity{Method: MethodAPIKey, APIKey: web}},
		"key as token":            {bearer(secretKey), true, Identity{Method: MethodAPIKey, APIKey: ci}},
		"another key as token":    {Credentials{Authorization: []string{"Bearer " + secretKey}, APIKey: []string{publishableKey}}, true, Identity{Method: MethodAPIKey, APIKey: ci}},
		"key without a prefix":    {Credentials{APIKey: []string{plainKey}}, true, Identity{Method: MethodAPIKey, APIKey: plain}},
		"key, token not read":     {Credentials{Authorization: []string{"Bearer " + token}, APIKey: []string{publishableKey}}, false, Identity{Method: MethodAPIKey, APIKey: web}},
		"nobody":                  {Credentials{}, false, Identity{Method: MethodNone}},
		"token not read":          {bearer(token), false, Identity{Method: MethodNone}},
		"apikey token not judged": {Credentials{APIKey: []string{token}}, false, Identity{Method: MethodNone}},
		"claims of other types": {bearer(odd), true, Identity{Method: MethodJWT, JWT: Claims{
			Algorithm:       "HS256",
			SignaturePrefix: odd[strings.LastIndex(odd, ".")+1:][:6],
		}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, failure := v.Check(tt.credentials, tt.verifyJWT, now)
			if failure != nil {
				t.Fatalf("refused: %v", failure.Err)
			}
			if got != tt.want {
				t.Errorf("\n got %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// Prefixes are for telling keys apart, not for guessing them.
func TestPrefix(t *testing.T) {
	for key, want := range map[string]string{
		"sb_secret_": "sb_secret_", "sb_secret_abc": "sb_secret_", "sb_secret_abcd": "sb_secret_a", "abc": "", "abcdefgh": "ab",
		strings.Repeat("x", 100): "xxxxxx",
	} {
		if got := prefix(key); got != want {
			t.Errorf("prefix(%q) = %q, want %q", key, got, want)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	v := newVerifier(b)
	token := sign(hs256, `{"iss":"supabase","ref":"abcdefghijklmnopqrst","role":"anon","iat":1700000000,"exp":2000000000}`, secret)
	for name, c := range map[string]Credentials{
		"hs256":           bearer(token),
		"hs256_and_key":   {Authorization: []string{"Bearer " + token}, APIKey: []string{publishableKey}},
		"api_key":         {APIKey: []string{publishableKey}},
		"refused_forgery": bearer(sign(hs256, `{"role":"anon"}`, foreign)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v.Check(c, true, now)
			}
		})
	}
}
