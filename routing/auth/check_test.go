package auth

import (
	"crypto/sha512"
	"errors"
	"regexp"
	"strings"
	"testing"
)

// challengeForm is RFC 6750 section 3 with its character set for descriptions.
var challengeForm = regexp.MustCompile(`^Bearer error="(invalid_token|invalid_request)", error_description="[ !#-\[\]-~]+"$`)

// Contract 3.2-3.7, 3.9-3.13: each way to be refused, or not.
func TestCheck(t *testing.T) {
	v := newVerifier(t)
	good := sign(hs256, `{"role":"anon"}`, secret)
	forged := sign(hs256, `{"role":"service_role"}`, foreign)
	alg := func(name string) string { return sign(`{"alg":"`+name+`"}`, `{}`, secret) }
	signature := good[strings.LastIndex(good, "."):]
	auth := func(values ...string) Credentials { return Credentials{Authorization: values} }
	key := func(values ...string) Credentials { return Credentials{APIKey: values} }
	both := func(authorization, apikey string) Credentials {
		return Credentials{Authorization: []string{authorization}, APIKey: []string{apikey}}
	}
	browser := func(c Credentials) Credentials { c.Browser = true; return c }
	const on, off = true, false

	tests := map[string]struct {
		credentials Credentials
		verifyJWT   bool
		want        error // nil: accepted
	}{
		"contract 3.1 off, nothing":                       {Credentials{}, off, nil},
		"contract 3.2 nothing":                            {Credentials{}, on, ErrMissing},
		"contract 3.2 empty values":                       {both("", ""), on, ErrMissing},
		"contract 3.2 blank values":                       {Credentials{Authorization: []string{" ", "\t"}, APIKey: []string{"", " "}}, on, ErrMissing},
		"contract 3.3 basic":                              {auth("Basic dXNlcjpwYXNz"), on, ErrFormat},
		"contract 3.3 lower case":                         {auth("bearer " + good), on, ErrFormat},
		"contract 3.3 upper case":                         {auth("BEARER " + good), on, ErrFormat},
		"contract 3.3 bare token":                         {auth(good), on, ErrFormat},
		"contract 3.3 only the scheme":                    {auth("Bearer"), on, ErrFormat},
		"contract 3.3 the scheme and a space":             {auth("Bearer "), on, ErrFormat},
		"contract 3.3 two spaces":                         {auth("Bearer  " + good), on, ErrFormat},
		"contract 3.3 a tab":                              {auth("Bearer\t" + good), on, ErrFormat},
		"contract 3.3 two parts":                          {auth("Bearer " + good + " x"), on, ErrFormat},
		"contract 3.3 a tab inside":                       {auth("Bearer " + good + "\tx"), on, ErrFormat},
		"contract 3.3 newline, which base64 skips":        {auth("Bearer " + good + "\n"), on, ErrFormat},
		"contract 3.3 newline inside":                     {auth("Bearer " + good[:9] + "\r\n" + good[9:]), on, ErrFormat},
		"contract 3.3 two values":                         {auth("Bearer "+good, "Bearer "+good), on, ErrFormat},
		"contract 3.3 two in one":                         {auth("Bearer " + good + ", Bearer " + good), on, ErrFormat},
		"contract 3.3 two values and a good key":          {Credentials{Authorization: []string{"Bearer " + good, "x"}, APIKey: []string{publishableKey}}, on, ErrFormat},
		"contract 3.3 a blank value does not count":       {auth("", "Bearer "+good), on, nil},
		"contract 3.3 space round the value":              {auth(" Bearer " + good + "\t"), on, nil},
		"contract 3.4 no dots":                            {auth("Bearer abc"), on, ErrMalformed},
		"contract 3.4 two parts":                          {auth("Bearer a.b"), on, ErrMalformed},
		"contract 3.4 four parts":                         {auth("Bearer " + good + ".x"), on, ErrMalformed},
		"contract 3.4 five parts":                         {auth("Bearer a.b.c.d.e"), on, ErrMalformed},
		"contract 3.4 only dots":                          {auth("Bearer .."), on, ErrMalformed},
		"contract 3.4 header not base64":                  {auth("Bearer !!!!.e30.x"), on, ErrMalformed},
		"contract 3.4 header padded":                      {auth("Bearer " + b64(`{"alg":"HS256"}`+" ") + "==.e30.x"), on, ErrMalformed},
		"contract 3.4 header with trailing bits":          {auth("Bearer e31.e30.x"), on, ErrMalformed},
		"contract 3.4 header not JSON":                    {auth("Bearer " + b64("alg") + ".e30.x"), on, ErrMalformed},
		"contract 3.4 header an array":                    {auth("Bearer " + b64(`["HS256"]`) + ".e30.x"), on, ErrMalformed},
		"contract 3.4 header null":                        {auth("Bearer " + b64("null") + ".e30.x"), on, ErrMalformed},
		"contract 3.4 more after the header":              {auth("Bearer " + b64(`{"alg":"HS256"}{}`) + ".e30.x"), on, ErrMalformed},
		"contract 3.4 no alg":                             {auth("Bearer " + sign(`{"typ":"JWT"}`, `{}`, secret)), on, ErrMalformed},
		"contract 3.4 alg empty":                          {auth("Bearer " + alg("")), on, ErrMalformed},
		"contract 3.4 alg null":                           {auth("Bearer " + sign(`{"alg":null}`, `{}`, secret)), on, ErrMalformed},
		"contract 3.4 alg an array":                       {auth("Bearer " + sign(`{"alg":["HS256"]}`, `{}`, secret)), on, ErrMalformed},
		"contract 3.4 alg a number":                       {auth("Bearer " + sign(`{"alg":256}`, `{}`, secret)), on, ErrMalformed},
		"contract 3.4 ALG is not alg":                     {auth("Bearer " + sign(`{"ALG":"HS256"}`, `{}`, secret)), on, ErrMalformed},
		"contract 3.4 none overruled by a second alg":     {auth("Bearer " + b64(`{"alg":"none","alg":"HS256"}`) + ".e30." + signature[1:]), on, ErrMalformed},
		"contract 3.4 HS256 overruled by a second alg":    {auth("Bearer " + sign(`{"alg":"HS256","alg":"none"}`, `{}`, secret)), on, ErrMalformed},
		"contract 3.4 a second alg, spelled otherwise":    {auth("Bearer " + sign(`{"alg":"HS256","\u0061lg":"HS256"}`, `{}`, secret)), on, ErrMalformed},
		"contract 3.4 any second member":                  {auth("Bearer " + sign(`{"alg":"HS256","typ":"JWT","typ":"JWT"}`, `{}`, secret)), on, ErrMalformed},
		"contract 3.4 equal names at different depths":    {auth("Bearer " + sign(`{"alg":"HS256","x":{"alg":":\"{"},"y":["alg",{}]}`, `{}`, secret)), on, nil},
		"contract 3.5 good":                               {auth("Bearer " + good), on, nil},
		"contract 3.5 good by the older secret":           {auth("Bearer " + sign(hs256, `{}`, oldSecret)), on, nil},
		"contract 3.5 foreign secret":                     {auth("Bearer " + forged), on, ErrSignature},
		"contract 3.5 signature of another token":         {auth("Bearer " + forged[:strings.LastIndex(forged, ".")] + signature), on, ErrSignature},
		"contract 3.5 no signature":                       {auth("Bearer " + good[:strings.LastIndex(good, ".")+1]), on, ErrSignature},
		"contract 3.5 half a signature":                   {auth("Bearer " + good[:len(good)-20]), on, ErrSignature},
		"contract 3.5 signature padded":                   {auth("Bearer " + good + "="), on, ErrSignature},
		"contract 3.5 signature not base64":               {auth("Bearer " + good[:len(good)-1] + "*"), on, ErrSignature},
		"contract 3.5 NUL after the signature":            {auth("Bearer " + good + "\x00"), on, ErrSignature},
		"contract 3.5 payload not base64":                 {auth("Bearer " + b64(hs256) + ".*" + signature), on, ErrClaims},
		"contract 3.5 crit":                               {auth("Bearer " + sign(`{"alg":"HS256","crit":["exp"],"exp":1}`, `{}`, secret)), on, ErrCritical},
		"contract 3.5 crit null":                          {auth("Bearer " + sign(`{"alg":"HS256","crit":null}`, `{}`, secret)), on, ErrCritical},
		"contract 3.5 unencoded payload, RFC 7797":        {auth("Bearer " + sign(`{"alg":"HS256","b64":false,"crit":["b64"]}`, `{}`, secret)), on, ErrCritical},
		"contract 3.6 ES256":                              {auth("Bearer " + alg("ES256")), on, ErrUnknownSigner},
		"contract 3.6 RS256 signed with the HMAC secret":  {auth("Bearer " + alg("RS256")), on, ErrUnknownSigner},
		"contract 3.6 RS256 without a signature":          {auth("Bearer " + b64(`{"alg":"RS256","kid":"x"}`) + ".e30."), on, ErrUnknownSigner},
		"contract 3.7 none":                               {auth("Bearer " + b64(`{"alg":"none"}`) + ".e30."), on, ErrAlgorithm},
		"contract 3.7 none, signed":                       {auth("Bearer " + alg("none")), on, ErrAlgorithm},
		"contract 3.7 None":                               {auth("Bearer " + b64(`{"alg":"None"}`) + ".e30."), on, ErrAlgorithm},
		"contract 3.7 NONE":                               {auth("Bearer " + b64(`{"alg":"NONE"}`) + ".e30."), on, ErrAlgorithm},
		"contract 3.7 nOnE":                               {auth("Bearer " + b64(`{"alg":"nOnE"}`) + ".e30."), on, ErrAlgorithm},
		"contract 3.7 n\\u006fne":                         {auth("Bearer " + b64(`{"alg":"n\u006fne"}`) + ".e30."), on, ErrAlgorithm},
		"contract 3.7 hs256":                              {auth("Bearer " + alg("hs256")), on, ErrAlgorithm},
		"contract 3.7 HS256 and a space":                  {auth("Bearer " + alg("HS256 ")), on, ErrAlgorithm},
		"contract 3.7 HS256 and NUL":                      {auth("Bearer " + alg(`HS256\u0000`)), on, ErrAlgorithm},
		"contract 3.7 HS384 by our secret":                {auth("Bearer " + signWith(sha512.New384, `{"alg":"HS384"}`, `{}`, secret)), on, ErrAlgorithm},
		"contract 3.7 HS512 by our secret":                {auth("Bearer " + signWith(sha512.New, `{"alg":"HS512"}`, `{}`, secret)), on, ErrAlgorithm},
		"contract 3.7 EdDSA":                              {auth("Bearer " + alg("EdDSA")), on, ErrAlgorithm},
		"contract 3.7 PS256":                              {auth("Bearer " + alg("PS256")), on, ErrAlgorithm},
		"contract 3.9 publishable apikey":                 {key(publishableKey), on, nil},
		"contract 3.9 secret apikey":                      {key(secretKey), on, nil},
		"contract 3.9 apikey known by hash":               {key(hashedKey), on, nil},
		"contract 3.9 apikey of another form":             {key(plainKey), on, nil},
		"contract 3.9 space round the apikey":             {key(" " + secretKey + "\t"), on, nil},
		"contract 3.9 a blank apikey does not count":      {key("", secretKey), on, nil},
		"contract 3.9 blank Authorization is absent":      {both(" ", secretKey), on, nil},
		"contract 3.9 same key on both":                   {both("Bearer "+publishableKey, publishableKey), on, nil},
		"contract 3.9 key only as token":                  {auth("Bearer " + secretKey), on, nil},
		"contract 3.9 key of another form as token":       {auth("Bearer " + plainKey), on, nil},
		"contract 3.9 key with a token":                   {both("Bearer "+good, publishableKey), on, nil},
		"contract 3.9 key does not excuse a bad token":    {both("Bearer "+forged, secretKey), on, ErrSignature},
		"contract 3.9 key does not excuse a bad format":   {both("Basic x", secretKey), on, ErrFormat},
		"contract 3.9 off, Authorization is not read":     {auth("Basic x", "Bearer sb_secret_unknown"), off, nil},
		"contract 3.9 off, secret as token in a browser":  {browser(auth("Bearer " + secretKey)), off, nil},
		"contract 3.10 unknown key":                       {key("sb_secret_unknown"), on, ErrUnknownKey},
		"contract 3.10 unknown of another form":           {key("whatever"), on, ErrUnknownKey},
		"contract 3.10 off, unknown":                      {key("whatever"), off, ErrUnknownKey},
		"contract 3.10 unknown beside a good token":       {both("Bearer "+good, "sb_publishable_x"), on, ErrUnknownKey},
		"contract 3.10 judged before the format":          {both("Basic x", "whatever"), on, ErrUnknownKey},
		"contract 3.10 known but for its last letter":     {key(secretKey[:len(secretKey)-1]), on, ErrUnknownKey},
		"contract 3.10 known and more":                    {key(secretKey + "x"), on, ErrUnknownKey},
		"contract 3.10 known and NUL":                     {key(secretKey + "\x00"), on, ErrUnknownKey},
		"contract 3.10 known in other case":               {key(strings.ToUpper(secretKey)), on, ErrUnknownKey},
		"contract 3.10 hash instead of the key":           {key(string(sum(hashedKey))), on, ErrUnknownKey},
		"contract 3.10 two values":                        {key(secretKey, secretKey), on, ErrRepeatedKey},
		"contract 3.10 off, two values":                   {key(publishableKey, "x"), off, ErrRepeatedKey},
		"contract 3.10 two in one":                        {key(secretKey + ", " + secretKey), on, ErrUnknownKey},
		"contract 3.10 unknown as token":                  {auth("Bearer sb_secret_unknown"), on, ErrUnknownKey},
		"contract 3.10 unknown as token, with a key":      {both("Bearer sb_publishable_x", publishableKey), on, ErrUnknownKey},
		"contract 3.10 unknown as token, JWT-shaped":      {auth("Bearer sb_a.b.c"), on, ErrUnknownKey},
		"contract 3.10 opaque, JWT-shaped":                {key("sb_a.b.c"), off, ErrUnknownKey},
		"contract 3.11 secret apikey":                     {browser(key(secretKey)), on, ErrSecretInBrowser},
		"contract 3.11 off, secret apikey":                {browser(key(hashedKey)), off, ErrSecretInBrowser},
		"contract 3.11 secret apikey, good token":         {browser(both("Bearer "+good, secretKey)), on, ErrSecretInBrowser},
		"contract 3.11 secret as token":                   {browser(auth("Bearer " + secretKey)), on, ErrSecretInBrowser},
		"contract 3.11 secret as token, publishable key":  {browser(both("Bearer "+secretKey, publishableKey)), on, ErrSecretInBrowser},
		"contract 3.11 publishable in a browser":          {browser(key(publishableKey)), on, nil},
		"contract 3.11 publishable as token in a browser": {browser(auth("Bearer " + publishableKey)), on, nil},
		"contract 3.12 good token as apikey":              {key(good), on, nil},
		"contract 3.12 blank Authorization is absent":     {both("", good), on, nil},
		"contract 3.12 forged token as apikey":            {key(forged), on, ErrSignature},
		"contract 3.12 unsigned token as apikey":          {key(b64(`{"alg":"none"}`) + ".e30.x"), on, ErrAlgorithm},
		"contract 3.12 three parts of nothing as apikey":  {key("a.b.c"), on, ErrMalformed},
		"contract 3.12 RS256 token as apikey":             {key(alg("RS256")), on, ErrUnknownSigner},
		"contract 3.12 off, not judged":                   {key(forged), off, nil},
		"contract 3.12 with Authorization, not judged":    {both("Bearer "+good, forged), on, nil},
		"contract 3.12 does not excuse a bad token":       {both("Bearer "+forged, good), on, ErrSignature},
		"contract 3.12 empty part is no token":            {key("a..c"), off, ErrUnknownKey},
		"contract 3.12 empty first part":                  {key(".b.c"), off, ErrUnknownKey},
		"contract 3.12 empty last part":                   {key("a.b."), off, ErrUnknownKey},
		"contract 3.12 four parts":                        {key("a.b.c.d"), off, ErrUnknownKey},
		"contract 3.12 padding is no base64url":           {key("a.b=.c"), off, ErrUnknownKey},
		"contract 3.12 with the scheme":                   {key("Bearer " + good), on, ErrUnknownKey},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			identity, failure := v.Check(tt.credentials, tt.verifyJWT, now)
			if tt.want == nil {
				if failure != nil {
					t.Fatalf("refused: %v", failure.Err)
				}
				return
			}
			if failure == nil {
				t.Fatalf("accepted as %+v", identity)
			}
			if !errors.Is(failure.Err, tt.want) {
				t.Errorf("refused for %q, want %q", failure.Err, tt.want)
			}
			if identity != (Identity{}) {
				t.Errorf("a refusal came with %+v", identity)
			}
			if !challengeForm.MatchString(failure.Challenge) {
				t.Errorf("contract 3.13: the challenge is %s", failure.Challenge)
			}
		})
	}
}

// The words of the contract for each cause (contract 3.2 to 3.7, 3.10, 3.11, 3.13, 5.4).
func TestFailure(t *testing.T) {
	tests := map[error]Failure{
		ErrMissing:         {Code: "UNAUTHORIZED_NO_AUTH_HEADER", Message: "Missing authorization header", Challenge: `Bearer error="invalid_request", error_description="missing credentials"`},
		ErrFormat:          {Code: "UNAUTHORIZED_INVALID_JWT_FORMAT", Message: "Auth header is not 'Bearer {token}'", Challenge: `Bearer error="invalid_request", error_description="malformed Authorization header"`},
		ErrMalformed:       {Code: "UNAUTHORIZED_INVALID_JWT_FORMAT", Message: "Invalid JWT", Challenge: `Bearer error="invalid_token", error_description="malformed token"`},
		ErrSignature:       {Code: "UNAUTHORIZED_LEGACY_JWT", Message: "Invalid JWT", Challenge: `Bearer error="invalid_token", error_description="bad signature"`},
		ErrExpired:         {Code: "UNAUTHORIZED_LEGACY_JWT", Message: "Invalid JWT", Challenge: `Bearer error="invalid_token", error_description="token expired"`},
		ErrNotYetValid:     {Code: "UNAUTHORIZED_LEGACY_JWT", Message: "Invalid JWT", Challenge: `Bearer error="invalid_token", error_description="token not yet valid"`},
		ErrClaims:          {Code: "UNAUTHORIZED_LEGACY_JWT", Message: "Invalid JWT", Challenge: `Bearer error="invalid_token", error_description="malformed claims"`},
		ErrCritical:        {Code: "UNAUTHORIZED_LEGACY_JWT", Message: "Invalid JWT", Challenge: `Bearer error="invalid_token", error_description="unsupported critical header"`},
		ErrIssuer:          {Code: "UNAUTHORIZED_LEGACY_JWT", Message: "Invalid JWT", Challenge: `Bearer error="invalid_token", error_description="wrong issuer"`},
		ErrAudience:        {Code: "UNAUTHORIZED_LEGACY_JWT", Message: "Invalid JWT", Challenge: `Bearer error="invalid_token", error_description="wrong audience"`},
		ErrRole:            {Code: "UNAUTHORIZED_LEGACY_JWT", Message: "Invalid JWT", Challenge: `Bearer error="invalid_token", error_description="wrong role"`},
		ErrBusy:            {Code: "GATEWAY_OVERLOADED", Message: "Too many requests to verify at once"},
		ErrUnknownSigner:   {Code: "UNAUTHORIZED_ASYMMETRIC_JWT", Message: "Invalid JWT", Challenge: `Bearer error="invalid_token", error_description="unknown signing key"`},
		ErrUnknownKey:      {Code: "UNAUTHORIZED_INVALID_API_KEY", Message: "Invalid API key", BareMessage: true, Challenge: `Bearer error="invalid_token", error_description="unknown API key"`},
		ErrRepeatedKey:     {Code: "UNAUTHORIZED_INVALID_API_KEY", Message: "Invalid API key", BareMessage: true, Challenge: `Bearer error="invalid_token", error_description="more than one API key"`},
		ErrSecretInBrowser: {Code: "UNAUTHORIZED_SECRET_KEY_IN_BROWSER", Message: "Forbidden use of secret API key in browser", Challenge: `Bearer error="invalid_token", error_description="secret API key in browser"`},
	}
	challenges := map[string]error{}
	for cause, want := range tests {
		want.Err = cause
		got := *fail(cause)
		if got != want {
			t.Errorf("%v:\n got %+v\nwant %+v", cause, got, want)
		}
		if twin := challenges[got.Challenge]; twin != nil {
			t.Errorf("contract 3.13: %v and %v have the same challenge", cause, twin)
		}
		challenges[got.Challenge] = cause
		// Contract 3.6: of asymmetric tokens the code differs, and nothing else.
		if want.Code == CodeLegacyJWT {
			want.Code = "UNAUTHORIZED_ASYMMETRIC_JWT"
		}
		if got := *failAs("ES256", cause); got != want {
			t.Errorf("contract 3.6: %v:\n got %+v\nwant %+v", cause, got, want)
		}
	}
}

// Contract 3.7: the message names the algorithm, in print and cut.
func TestUnsupportedAlgorithm(t *testing.T) {
	for alg, want := range map[string]string{
		"PS256":                            "PS256",
		"none":                             "none",
		"a\r\nb\x00c\x7fd":                 "a??b?c?d",
		"\u00fc":                           "??",
		`"><script>`:                       `"><script>`,
		strings.Repeat("x", 500):           strings.Repeat("x", 64),
		strings.Repeat("x", 63) + "\u00fc": strings.Repeat("x", 63) + "?",
	} {
		f := unsupported(alg)
		if f.Message != "Unsupported JWT algorithm "+want || f.Code != "UNAUTHORIZED_UNSUPPORTED_TOKEN_ALGORITHM" || f.Err != ErrAlgorithm {
			t.Errorf("contract 3.7: unsupported(%q) = %+v", alg, f)
		}
		if f.Challenge != `Bearer error="invalid_token", error_description="unsupported algorithm"` {
			t.Errorf("contract 3.13: the challenge of %q is %s", alg, f.Challenge)
		}
	}
}
