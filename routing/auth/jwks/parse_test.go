package jwks

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"strings"
	"testing"
)

// Contract 3.14, RFC 7517: which keys of a set count, each beside a good one.
func TestParseKeys(t *testing.T) {
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	rsaPublic := &rsaKey.PublicKey
	modulus := func(bits uint, low int64) *rsa.PublicKey {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return &rsa.PublicKey{N: n.Add(n, big.NewInt(low)), E: 65537}
	}
	exponent := func(e int) *rsa.PublicKey { return &rsa.PublicKey{N: rsaPublic.N, E: e} }
	ecPublic, edPublic := ecKey.Public(), edKey.Public().(ed25519.PublicKey)
	point := must(ecKey.PublicKey.Bytes())

	tests := map[string]struct {
		key    string
		alg    string // of the key; empty if it is ignored
		remark string
	}{
		"EC":                            {jwk(ecPublic, nil), ES256, ""},
		"RSA":                           {jwk(rsaPublic, nil), RS256, ""},
		"Ed25519":                       {jwk(edPublic, nil), EdDSA, ""},
		"EC as Supabase writes it":      {jwk(ecPublic, object{"alg": "ES256", "use": "sig", "key_ops": []string{"verify"}, "ext": true}), ES256, ""},
		"RSA as Supabase writes it":     {jwk(rsaPublic, object{"alg": "RS256", "use": "sig", "key_ops": []string{"verify"}}), RS256, ""},
		"Ed25519 by its name":           {jwk(edPublic, object{"alg": "Ed25519"}), EdDSA, ""},
		"Ed25519 as EdDSA":              {jwk(edPublic, object{"alg": "EdDSA"}), EdDSA, ""},
		"private EC":                    {jwk(ecPublic, object{"d": b64(must(ecKey.Bytes())), "key_ops": []string{"sign", "verify"}}), ES256, "private key"},
		"private RSA":                   {jwk(rsaPublic, object{"d": b64(rsaKey.D.Bytes()), "p": "AA", "q": 1}), RS256, "private key"},
		"broken certificate":            {jwk(ecPublic, object{"x5c": []string{"!"}, "x5t": "?", "x5u": ":"}), ES256, ""},
		"certificate of another type":   {jwk(ecPublic, object{"x5c": 1}), ES256, ""},
		"RSA of 8192 bits":              {jwk(modulus(8192, 1), nil), RS256, ""},
		"exponent 3":                    {jwk(exponent(3), nil), RS256, ""},
		"leading zero in the modulus":   {jwk(rsaPublic, object{"n": b64(append([]byte{0}, rsaPublic.N.Bytes()...))}), RS256, ""},
		"unknown members":               {jwk(ecPublic, object{"iat": 1, "x-y": object{}}), ES256, ""},
		"use enc":                       {jwk(ecPublic, object{"use": "enc"}), "", "use"},
		"use SIG":                       {jwk(ecPublic, object{"use": "SIG"}), "", "use"},
		"use a number":                  {jwk(ecPublic, object{"use": 1}), "", "use"},
		"key_ops sign":                  {jwk(ecPublic, object{"key_ops": []string{"sign"}}), "", "key_ops"},
		"key_ops none":                  {jwk(ecPublic, object{"key_ops": []string{}}), "", "key_ops"},
		"key_ops a string":              {jwk(ecPublic, object{"key_ops": "verify"}), "", "key_ops"},
		"EC with alg RS256":             {jwk(ecPublic, object{"alg": "RS256"}), "", "ES256"},
		"EC with alg HS256":             {jwk(ecPublic, object{"alg": "HS256"}), "", "ES256"},
		"EC with alg none":              {jwk(ecPublic, object{"alg": "none"}), "", "ES256"},
		"EC with alg es256":             {jwk(ecPublic, object{"alg": "es256"}), "", "ES256"},
		"EC with alg a list":            {jwk(ecPublic, object{"alg": []string{"ES256"}}), "", "ES256"},
		"EC with alg Ed25519":           {jwk(ecPublic, object{"alg": "Ed25519"}), "", "ES256"},
		"RSA with alg PS256":            {jwk(rsaPublic, object{"alg": "PS256"}), "", "RS256"},
		"RSA with alg RS512":            {jwk(rsaPublic, object{"alg": "RS512"}), "", "RS256"},
		"RSA with alg RSA-OAEP":         {jwk(rsaPublic, object{"alg": "RSA-OAEP"}), "", "RS256"},
		"shared secret":                 {`{"kty":"oct","kid":"h","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ"}`, "", "shared secret"},
		"P-384":                         {jwk(p384.Public(), nil), "", "curve"},
		"secp256k1":                     {jwk(ecPublic, object{"crv": "secp256k1"}), "", "curve"},
		"P-256 of kty OKP":              {jwk(ecPublic, object{"kty": "OKP"}), "", "curve"},
		"X25519":                        {jwk(edPublic, object{"crv": "X25519"}), "", "curve"},
		"Ed448":                         {jwk(edPublic, object{"crv": "Ed448"}), "", "curve"},
		"unknown kty":                   {`{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}`, "", "kty"},
		"no kty":                        {jwk(ecPublic, object{"kty": nil}), "", "kty"},
		"kty of another case":           {jwk(ecPublic, object{"kty": nil, "KTY": "EC"}), "", "kty"},
		"kty a number":                  {jwk(ecPublic, object{"kty": 1}), "", "kty"},
		"crv a number":                  {jwk(ecPublic, object{"crv": 1}), "", "crv"},
		"kid a number":                  {jwk(ecPublic, object{"kid": 1}), "", "kid"},
		"kid null":                      {strings.TrimSuffix(jwk(ecPublic, nil), "}") + `,"kid":null}`, "", "kid"},
		"point off the curve":           {jwk(ecPublic, object{"y": b64(point[1:33])}), "", "no valid key"},
		"point of zeros":                {jwk(ecPublic, object{"x": b64(make([]byte, 32)), "y": b64(make([]byte, 32))}), "", "no valid key"},
		"short coordinate":              {jwk(ecPublic, object{"x": b64(point[1:32])}), "", "no valid key"},
		"compressed point":              {jwk(ecPublic, object{"y": nil}), "", "no valid key"},
		"coordinate padded":             {jwk(ecPublic, object{"kid": "padded", "x": b64(point[1:33]) + "="}), ES256, ""},
		"coordinate padded twice":       {jwk(ecPublic, object{"x": b64(point[1:33]) + "=="}), "", "no valid key"},
		"coordinate padded in front":    {jwk(ecPublic, object{"x": "=" + b64(point[1:33])}), "", "no valid key"},
		"coordinate padded by five":     {jwk(ecPublic, object{"x": b64(point[1:33]) + "====="}), "", "no valid key"},
		"Ed25519 padded":                {jwk(edPublic, object{"x": b64(edPublic) + "="}), EdDSA, ""},
		"modulus padded":                {jwk(rsaPublic, object{"kid": "padded", "n": b64(rsaPublic.N.Bytes()) + "=="}), RS256, ""},
		"modulus padded once":           {jwk(rsaPublic, object{"n": b64(rsaPublic.N.Bytes()) + "="}), "", "no valid key"},
		"exponent of padding":           {jwk(rsaPublic, object{"e": "===="}), "", "no valid key"},
		"coordinate a number":           {jwk(ecPublic, object{"x": 1}), "", "no valid key"},
		"Ed25519 of 31 bytes":           {jwk(edPublic[:31], nil), "", "no valid key"},
		"Ed25519 of 33 bytes":           {jwk(append(edPublic[:32:32], 0), nil), "", "no valid key"},
		"Ed25519 without x":             {jwk(edPublic, object{"x": nil}), "", "no valid key"},
		"RSA of 1024 bits":              {jwk(modulus(1024, 1), nil), "", "1024 bits"},
		"RSA of 2047 bits":              {jwk(modulus(2047, 1), nil), "", "2047 bits"},
		"RSA of 8193 bits":              {jwk(modulus(8193, 1), nil), "", "8193 bits"},
		"RSA of far too many bits":      {jwk(modulus(100_000, 1), nil), "", "100000 bits"},
		"RSA with an even modulus":      {jwk(modulus(2048, 0), nil), "", "even"},
		"RSA without a modulus":         {jwk(rsaPublic, object{"n": nil}), "", "no valid key"},
		"RSA with an empty modulus":     {jwk(rsaPublic, object{"n": ""}), "", "no valid key"},
		"exponent 1":                    {jwk(exponent(1), nil), "", "exponent"},
		"exponent 2":                    {jwk(exponent(2), nil), "", "exponent"},
		"exponent even":                 {jwk(exponent(65536), nil), "", "exponent"},
		"exponent of 33 bits":           {jwk(exponent(1<<32+1), nil), "", "exponent"},
		"exponent past int64":           {jwk(rsaPublic, object{"e": b64(point[1:33])}), "", "exponent"},
		"exponent that would overflow":  {jwk(rsaPublic, object{"e": b64([]byte{1, 0, 0, 0, 0, 0, 1, 0, 1})}), "", "exponent"},
		"exponent 0":                    {jwk(rsaPublic, object{"e": b64([]byte{0})}), "", "exponent"},
		"no object":                     {`"EC"`, "", "not a JSON object"},
		"null":                          {`null`, "", "not a JSON object"},
		"an array":                      {`[]`, "", "not a JSON object"},
		"the good key again":            {ec("good"), "", "twice"},
		"good key of another ID":        {ec("other"), ES256, ""},
		"long and odd kid in a remark":  {jwk(ecPublic, object{"kid": "\x1b[31m\u009b" + strings.Repeat("x", 500), "use": "enc"}), "", `"\x1b[31m`},
		"good key with alg none beside": {jwk(ecPublic, object{"kid": "good", "alg": "none"}), "", "alg"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, remarks, err := Parse([]byte(set(tt.key, jwk(rsaPublic, object{"kid": "neighbour"}), ec("good"))))
			if tt.key == ec("good") {
				got, remarks, err = Parse([]byte(set(ec("good"), tt.key, jwk(rsaPublic, object{"kid": "neighbour"}))))
			}
			if err != nil {
				t.Fatalf("one odd key spoilt the set: %v", err)
			}
			if len(got.Candidates(ES256, "good")) != 1 || len(got.Candidates(RS256, "neighbour")) != 1 {
				t.Fatal("a good key was lost")
			}
			want := 2
			if tt.alg != "" {
				want = 3
				if key := got.Keys()[0]; key.Algorithm != tt.alg || len(key.Thumbprint) != 43 {
					t.Errorf("got %+v, want one for %s", key, tt.alg)
				}
			}
			if got.Len() != want {
				t.Fatalf("%d keys, want %d: %q", got.Len(), want, remarks)
			}
			if tt.remark == "" {
				if len(remarks) > 0 {
					t.Errorf("remarks %q about a good key", remarks)
				}
				return
			}
			if len(remarks) != 1 || !strings.Contains(remarks[0], tt.remark) || strings.Contains(remarks[0], "ignored") != (tt.alg == "") {
				t.Errorf("remarks %q, want one with %q", remarks, tt.remark)
			}
			for _, remark := range remarks {
				if len(remark) > 400 || strings.ContainsAny(remark, "\x1b\u009b") || strings.Contains(remark, b64(must(ecKey.Bytes()))) {
					t.Errorf("not fit for a log: %q", remark)
				}
			}
		})
	}
}

func TestParse(t *testing.T) {
	many := make([]string, MaxKeys)
	for i := range many {
		many[i] = ec(strings.Repeat("x", i+1))
	}
	tests := map[string]struct {
		data string
		keys int
		err  string // empty: a set
	}{
		"Supabase without public keys": {`{"keys":[]}`, 0, ""},
		"one key":                      {set(ec("a")), 1, ""},
		"members beside":               {`{"x":1,"keys":[` + ec("a") + `],"y":{}}`, 1, ""},
		"space round it":               {" \n" + set(ec("a")) + "\n", 1, ""},
		"as many as allowed":           {set(many...), MaxKeys, ""},
		"one more":                     {set(append(many, ec("y"))...), 0, "101 keys"},
		"nothing":                      {"", 0, "not a JSON object"},
		"no JSON":                      {"<html>", 0, "not a JSON object"},
		"null":                         {"null", 0, "not a JSON object"},
		"an array of keys":             {"[" + ec("a") + "]", 0, "not a JSON object"},
		"a single key":                 {ec("a"), 0, "keys"},
		"no keys":                      {`{}`, 0, "keys"},
		"keys null":                    {`{"keys":null}`, 0, "keys"},
		"keys an object":               {`{"keys":{}}`, 0, "keys"},
		"KEYS":                         {`{"KEYS":[]}`, 0, "keys"},
		"two sets":                     {`{"keys":[]}{"keys":[]}`, 0, "not a JSON object"},
		"cut":                          {set(ec("a"))[:50], 0, "not a JSON object"},
		"byte order mark":              {"\ufeff" + set(ec("a")), 0, "not a JSON object"},
		"deep":                         {`{"keys":` + strings.Repeat("[", 20_000), 0, "not a JSON object"},
		"too large":                    {`{"keys":[]` + strings.Repeat(" ", MaxSize) + "}", 0, "bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, _, err := Parse([]byte(tt.data))
			if tt.err != "" {
				if err == nil || got != nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("Parse = %v, %v, want an error with %q", got, err, tt.err)
				}
				return
			}
			if err != nil || got.Len() != tt.keys {
				t.Fatalf("Parse = %d keys, %v, want %d", got.Len(), err, tt.keys)
			}
		})
	}
}

// FuzzParse: no set makes Parse panic, and no key gets through that is not of a
// type, size and purpose that may verify.
func FuzzParse(f *testing.F) {
	for _, public := range []crypto.PublicKey{ecKey.Public(), rsaKey.Public(), edKey.Public()} {
		f.Add([]byte(set(jwk(public, nil), jwk(public, object{"kid": "a", "use": "sig", "d": "AA"}))))
	}
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"},{"kty":"EC","crv":"P-256","x":"","y":""},null,1]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, _, err := Parse(data)
		if err != nil {
			return
		}
		for _, key := range got.Keys() {
			if got.Candidates(key.Algorithm, key.ID) == nil || len(got.Candidates(key.Algorithm, "")) == 0 {
				t.Fatalf("%+v is not found", key)
			}
			switch public := key.Public.(type) {
			case *ecdsa.PublicKey:
				if _, err := public.ECDH(); err != nil || public.Curve != elliptic.P256() || key.Algorithm != ES256 {
					t.Fatalf("%+v: %v", key, err)
				}
			case *rsa.PublicKey:
				if bits := public.N.BitLen(); bits < 2048 || bits > 8192 || public.E < 3 || key.Algorithm != RS256 {
					t.Fatalf("%+v", key)
				}
			case ed25519.PublicKey:
				if len(public) != ed25519.PublicKeySize || key.Algorithm != EdDSA {
					t.Fatalf("%+v", key)
				}
			default:
				t.Fatalf("%T got through", public)
			}
		}
	})
}
