package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/routing/auth/jwks"
)

// resigned is the token with other bytes as its signature.
func resigned(token string, signature ...[]byte) string {
	return token[:strings.LastIndexByte(token, '.')+1] + b64(string(bytes.Join(signature, nil)))
}

func signatureOf(token string) []byte {
	return must(encoding.DecodeString(token[strings.LastIndexByte(token, '.')+1:]))
}

// fixed is a number in so many bytes.
func fixed(n *big.Int, size int) []byte { return n.FillBytes(make([]byte, size)) }

// Contract 3.6, RFC 7518 section 3.4: an ES256 signature is 64 bytes with r and s
// from 1 to n-1, and nothing else.
func TestAttackECDSA(t *testing.T) {
	token := ecPair.token(`{"role":"service_role"}`)
	signature := signatureOf(token)
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	n := elliptic.P256().Params().N
	zero, one, most := make([]byte, 32), fixed(big.NewInt(1), 32), bytes.Repeat([]byte{0xff}, 32)
	reversed := slices.Clone(signature)
	slices.Reverse(reversed)
	other := signatureOf(ecPair.token(`{"role":"anon"}`))
	attacks := map[string]attack{
		"control": {token: token},
		// Whoever has a token can write it with n-s: it says the same and is signed by
		// the same key, so nothing may ever tell tokens apart by their text.
		"control, n-s is as good": {token: resigned(token, fixed(r, 32), fixed(new(big.Int).Sub(n, s), 32))},
	}
	for name, bad := range map[string][]byte{
		"none": {}, "r alone": signature[:32], "63 bytes": signature[:63], "first byte gone": signature[1:], "65 bytes": append(slices.Clone(signature), 0),
		"a zero before": append([]byte{0}, signature...), "a zero before each": slices.Concat([]byte{0}, signature[:32], []byte{0}, signature[32:]),
		"48 bytes each, as of ES384": slices.Concat(fixed(r, 48), fixed(s, 48)), "66 bytes each, as of ES512": slices.Concat(fixed(r, 66), fixed(s, 66)),
		"DER": must(asn1.Marshal(struct{ R, S *big.Int }{r, s})), "hexadecimal": []byte(hex.EncodeToString(signature)), "twice": slices.Concat(signature, signature),
		"s before r": slices.Concat(signature[32:], signature[:32]), "little-endian": reversed, "of another token": other, "r of another": slices.Concat(other[:32], signature[32:]),
		"-r": slices.Concat(fixed(new(big.Int).Sub(n, r), 32), signature[32:]), "with a recovery byte, as of ES256K": append([]byte{27}, signature...),
		"s+n": slices.Concat(fixed(r, 32), new(big.Int).Add(s, n).Bytes()), "r+n": slices.Concat(new(big.Int).Add(r, n).Bytes(), fixed(s, 32)),
		"20,000 zeros": make([]byte, 20_000),
	} {
		attacks[name] = attack{resigned(token, bad), ErrSignature, CodeAsymmetricJWT}
	}
	// Zero is where CVE-2022-21449 took everything for signed, n is the next zero.
	edges := map[string][]byte{"0": zero, "1": one, "n-1": fixed(new(big.Int).Sub(n, big.NewInt(1)), 32), "n": fixed(n, 32), "n+1": fixed(new(big.Int).Add(n, big.NewInt(1)), 32), "2^256-1": most}
	for rName, rBytes := range edges {
		for sName, sBytes := range edges {
			attacks["r="+rName+" s="+sName] = attack{resigned(token, rBytes, sBytes), ErrSignature, CodeAsymmetricJWT}
		}
		attacks["r="+rName] = attack{resigned(token, rBytes, signature[32:]), ErrSignature, CodeAsymmetricJWT}
		attacks["s="+rName] = attack{resigned(token, signature[:32], rBytes), ErrSignature, CodeAsymmetricJWT}
	}
	repel(t, besieged(t), attacks)
}

// Contract 3.6, RFC 8017 section 8.2.2: an RS256 signature is a number below the
// modulus in exactly its length, over this hash by this scheme.
func TestAttackRSA(t *testing.T) {
	key := rsaPair.private.(*rsa.PrivateKey)
	token := rsaPair.token(`{"role":"service_role"}`)
	signature := signatureOf(token)
	value := new(big.Int).SetBytes(signature)
	sum := sha256.Sum256([]byte(token[:strings.LastIndexByte(token, '.')]))
	attacks := map[string]attack{"control": {token: token}}
	for name, bad := range map[string][]byte{
		"none": {}, "a zero before": append([]byte{0}, signature...), "a zero after": append(slices.Clone(signature), 0), "255 bytes": signature[:255], "first byte gone": signature[1:],
		"plus the modulus": new(big.Int).Add(value, key.N).Bytes(), "minus": fixed(new(big.Int).Sub(key.N, value), 256), "0": make([]byte, 256), "1": fixed(big.NewInt(1), 256),
		"the modulus": key.N.Bytes(), "the modulus less 1": fixed(new(big.Int).Sub(key.N, big.NewInt(1)), 256), "of another token": signatureOf(rsaPair.token(`{"role":"anon"}`)),
		"the hash itself": fixed(new(big.Int).SetBytes(sum[:]), 256), "without the hash's name": must(rsa.SignPKCS1v15(nil, key, 0, sum[:])), "PSS": must(rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], nil)),
		"twice": slices.Concat(signature, signature), "ASN.1": must(asn1.Marshal(signature)), "hexadecimal": []byte(hex.EncodeToString(signature)),
	} {
		attacks[name] = attack{resigned(token, bad), ErrSignature, CodeAsymmetricJWT}
	}
	// One signature in 256 begins with a zero, which must be neither left out nor missed.
	for i := 0; ; i++ {
		token := rsaPair.token(fmt.Sprintf(`{"sub":"%d"}`, i))
		if signature := signatureOf(token); signature[0] == 0 {
			attacks["control, it begins with a zero"] = attack{token: token}
			attacks["the zero that it begins with gone"] = attack{resigned(token, signature[1:]), ErrSignature, CodeAsymmetricJWT}
			break
		}
	}
	repel(t, besieged(t), attacks)
}

// Contract 3.5, 3.7: HMACs that are nearly right, and EdDSA's second spelling.
func TestAttackHMACAndEdDSA(t *testing.T) {
	token := sign(hs256, `{"role":"service_role"}`, secret)
	signature := signatureOf(token)
	edToken := edPair.token(`{"role":"service_role"}`)
	edSignature := signatureOf(edToken)
	attacks := map[string]attack{"control": {token: token}, "control, EdDSA": {token: edToken}}
	for n := range signature {
		attacks[fmt.Sprintf("%d bytes", n)] = attack{resigned(token, signature[:n]), ErrSignature, CodeLegacyJWT}
	}
	text := token[:strings.LastIndexByte(token, '.')]
	wide := sha512.Sum512([]byte(text))
	plain := sha256.Sum256(append(slices.Clone(secret), text...))
	for name, bad := range map[string][]byte{
		"a zero after": append(slices.Clone(signature), 0), "a zero before": append([]byte{0}, signature...), "twice": slices.Concat(signature, signature), "zeros": make([]byte, 32),
		"hexadecimal": []byte(hex.EncodeToString(signature)), "the text's hash": sum(text), "hash of secret and text": plain[:], "SHA-512 of the text, cut": wide[:32], "inverted": inverted(signature),
	} {
		attacks[name] = attack{resigned(token, bad), ErrSignature, CodeLegacyJWT}
	}
	// l is the order of Ed25519's group: s and s+l are the same to a lenient verifier.
	l, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	number := slices.Clone(edSignature[32:])
	slices.Reverse(number)
	more := fixed(new(big.Int).Add(new(big.Int).SetBytes(number), l), 32)
	slices.Reverse(more)
	identity := append([]byte{1}, make([]byte, 31)...)
	for name, bad := range map[string][]byte{
		"s+l": slices.Concat(edSignature[:32], more), "zeros": make([]byte, 64), "R the identity, s=0": slices.Concat(identity, make([]byte, 32)), "63 bytes": edSignature[:63],
		"65 bytes": append(slices.Clone(edSignature), 0), "none": {}, "s before R": slices.Concat(edSignature[32:], edSignature[:32]), "Ed25519ph": prehashed(edToken), "of another token": signatureOf(edPair.token(`{}`)),
	} {
		attacks["EdDSA "+name] = attack{resigned(edToken, bad), ErrSignature, CodeAsymmetricJWT}
	}
	repel(t, besieged(t), attacks)
}

func inverted(b []byte) []byte {
	b = slices.Clone(b)
	for i := range b {
		b[i] = ^b[i]
	}
	return b
}

// prehashed is a signature by the same key in the other mode of RFC 8032.
func prehashed(token string) []byte {
	digest := sha512.Sum512([]byte(token[:strings.LastIndexByte(token, '.')]))
	return must(edPair.private.(ed25519.PrivateKey).Sign(nil, digest[:], &ed25519.Options{Hash: crypto.SHA512}))
}

// Contract 3.6, 3.14: keys with which anybody could sign, or that fit no algorithm
// of ours, are left out of a set, and the set works without them.
func TestAttackWeakKeys(t *testing.T) {
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	point384 := must(p384.PublicKey.Bytes())
	point := must(ecPair.private.Public().(*ecdsa.PublicKey).Bytes())
	x, y := b64(string(point[1:33])), b64(string(point[33:]))
	modulus := rsaPair.private.Public().(*rsa.PublicKey).N
	rsaJWK := func(n *big.Int, e string) string {
		return `{"kty":"RSA","n":"` + b64(string(n.Bytes())) + `","e":"` + e + `"}`
	}
	ecJWK := func(crv, x, y string) string {
		return `{"kty":"EC","crv":"` + crv + `","x":"` + x + `","y":"` + y + `"}`
	}
	zeros := b64(string(make([]byte, 32)))
	weak := map[string]string{
		"P-384":            ecJWK("P-384", b64(string(point384[1:49])), b64(string(point384[49:]))),
		"P-384 as ES256":   strings.Replace(ecJWK("P-384", b64(string(point384[1:49])), b64(string(point384[49:]))), `{`, `{"alg":"ES256",`, 1),
		"P-384 as P-256":   ecJWK("P-256", b64(string(point384[1:49])), b64(string(point384[49:]))),
		"secp256k1":        ecJWK("secp256k1", x, y),
		"not on the curve": ecJWK("P-256", x, b64(string(inverted(point[33:])))), "x twice": ecJWK("P-256", x, x),
		"the origin": ecJWK("P-256", zeros, zeros), "no y": `{"kty":"EC","crv":"P-256","x":"` + x + `"}`, "the point at infinity": ecJWK("P-256", "", ""),
		"x beyond the field":   ecJWK("P-256", b64(string(bytes.Repeat([]byte{0xff}, 32))), y),
		"RSA, exponent 1":      rsaJWK(modulus, "AQ"),
		"RSA, exponent 0":      rsaJWK(modulus, "AA"),
		"RSA, exponent 2":      rsaJWK(modulus, "Ag"),
		"RSA, no exponent":     rsaJWK(modulus, ""),
		"RSA, huge exponent":   rsaJWK(modulus, b64(string(modulus.Bytes()))),
		"RSA, 1024 bits":       rsaJWK(new(big.Int).Rsh(modulus, 1024), "AQAB"),
		"RSA, 2047 bits":       rsaJWK(new(big.Int).SetBit(new(big.Int).Rsh(modulus, 1), 0, 1), "AQAB"),
		"RSA, 16384 bits":      rsaJWK(new(big.Int).SetBit(new(big.Int).Lsh(modulus, 16384-2048), 0, 1), "AQAB"),
		"RSA, even modulus":    rsaJWK(new(big.Int).SetBit(modulus, 0, 0), "AQAB"),
		"RSA, modulus 0":       rsaJWK(new(big.Int), "AQAB"),
		"RSA, made of an EC":   `{"kty":"RSA","crv":"P-256","x":"` + x + `","y":"` + y + `"}`,
		"EC, made of an RSA":   `{"kty":"EC","crv":"P-256","n":"` + b64(string(modulus.Bytes())) + `","e":"AQAB"}`,
		"shared secret":        `{"kty":"oct","alg":"HS256","k":"` + b64(string(foreign)) + `"}`,
		"public key as secret": `{"kty":"oct","alg":"HS256","k":"` + b64(string(point)) + `"}`,
		"X25519":               `{"kty":"OKP","crv":"X25519","x":"` + zeros + `"}`, "Ed25519, 31 bytes": `{"kty":"OKP","crv":"Ed25519","x":"` + b64(string(point[1:32])) + `"}`,
		"for encryption": strings.Replace(ecPair.jwk(), `"sig"`, `"enc"`, 1), "of ES384": strings.Replace(ecPair.jwk(), `"ES256"`, `"ES384"`, 1), "of none": strings.Replace(ecPair.jwk(), `"ES256"`, `"none"`, 1),
	}
	for name, text := range smallOrder {
		weak["Ed25519, "+name] = `{"kty":"OKP","crv":"Ed25519","x":"` + b64(string(must(hex.DecodeString(text)))) + `"}`
	}
	for name, jwk := range weak {
		set, remarks, err := jwks.Parse([]byte(`{"keys":[` + jwk + `]}`))
		if err != nil || set.Len() != 0 || len(remarks) != 1 {
			t.Errorf("%s: %d keys, remarks %q, %v", name, set.Len(), remarks, err)
		}
	}
	all := slices.Collect(maps.Values(weak))
	set, _, err := jwks.Parse([]byte(`{"keys":[` + strings.Join(append(all, ecNext.jwk()), ",") + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	text := b64(`{"alg":"EdDSA"}`) + ".e30."
	identity := append([]byte{1}, make([]byte, 63)...)
	if !ed25519.Verify(append([]byte{1}, make([]byte, 31)...), []byte(text[:len(text)-1]), identity) {
		t.Error("the library refuses keys of small order itself: the case of the identity proves nothing")
	}
	sum384 := sha512.Sum384([]byte(b64(`{"alg":"ES256"}`) + ".e30"))
	r, s, err := ecdsa.Sign(rand.Reader, p384, sum384[:])
	must(0, err)
	repel(t, Config{Keys: set, AllowEdDSA: true}, map[string]attack{
		"control, the one good key":       {token: ecNext.token(`{}`)},
		"EdDSA by the identity":           {text + b64(string(identity)), ErrUnknownSigner, CodeAsymmetricJWT},
		"RS256 by exponent 1":             {rsaPair.unnamed(`{}`), ErrUnknownSigner, CodeAsymmetricJWT},
		"ES256 by P-384":                  {b64(`{"alg":"ES256"}`) + ".e30." + b64(string(slices.Concat(fixed(r, 48), fixed(s, 48)))), ErrSignature, CodeAsymmetricJWT},
		"ES256 by the key for encryption": {ecPair.token(`{}`), ErrUnknownSigner, CodeAsymmetricJWT},
		"HS256 by the secret in the set":  {sign(hs256, `{}`, foreign), ErrSignature, CodeLegacyJWT},
		"HS256 by the key's certificate":  {sign(hs256, `{}`, must(x509.MarshalPKIXPublicKey(ecNext.private.Public()))), ErrSignature, CodeLegacyJWT},
	})
}

// smallOrder are the points of edwards25519 of order 1, 2, 4 and 8, and other
// encodings of them: with these as keys, made-up signatures verify.
var smallOrder = map[string]string{
	"zeros, order 4":         "0000000000000000000000000000000000000000000000000000000000000000",
	"order 4":                "0000000000000000000000000000000000000000000000000000000000000080",
	"the identity":           "0100000000000000000000000000000000000000000000000000000000000000",
	"the identity, sign bit": "0100000000000000000000000000000000000000000000000000000000000080",
	"order 2":                "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"order 2, sign bit":      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"order 8":                "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"order 8, sign bit":      "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"order 8, another":       "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"order 8, another, sign": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	"p, for 0":               "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"p, for 0, sign bit":     "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"p+1, for 1":             "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"p+1, for 1, sign bit":   "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
}
