package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/edgegate/edgegate/routing/auth/jwks"
)

// Everybody can read a public key, and so could sign with one that is taken for
// a shared secret (contract 3.14). People have them in many encodings.

// checkPublic refuses a secret that is a public key in a form that tells so.
func checkPublic(secret []byte) error {
	for _, reading := range readings(secret) {
		if kind := publicForm(reading); kind != "" {
			return fmt.Errorf("it is %s, not a shared secret; put public keys into jwks", kind)
		}
	}
	return nil
}

// readings are the bytes that a text may stand for, itself first: as it is, and
// decoded from hexadecimal digits and base64, with line breaks or without.
func readings(text []byte) [][]byte {
	bare := bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\ufeff")))
	all := [][]byte{text, bytes.TrimSuffix(text, []byte("\n")), bare}
	joined := strings.Join(strings.Fields(string(bare)), "")
	joined = strings.TrimPrefix(joined, "0x")
	if decoded, err := hex.DecodeString(joined); err == nil {
		all = append(all, decoded)
	}
	unpadded := strings.TrimRight(joined, "=")
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if decoded, err := encoding.DecodeString(unpadded); err == nil {
			all = append(all, decoded)
		}
	}
	return all
}

// publicForm names what kind of key the bytes are; "" if they don't tell.
func publicForm(data []byte) string {
	if at := bytes.Index(data, []byte("-----BEGIN ")); at >= 0 {
		if block, _ := pem.Decode(data[at:]); block != nil || at == 0 {
			return "a PEM file"
		}
	}
	if isJWK(data) {
		return "a JSON Web Key"
	}
	if len(data) == 0 || data[0] != 0x30 { // every DER of these is a SEQUENCE
		return ""
	}
	if _, err := x509.ParsePKIXPublicKey(data); err == nil {
		return "a public key in DER"
	}
	if _, err := x509.ParsePKCS1PublicKey(data); err == nil {
		return "a public key in DER"
	}
	if _, err := x509.ParseCertificate(data); err == nil {
		return "a certificate in DER"
	}
	return ""
}

// isJWK reports whether data is a JSON Web Key, a set of them or an array.
func isJWK(data []byte) bool {
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	if len(data) == 0 || data[0] != '{' && data[0] != '[' {
		return false
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(data, &object) == nil {
		return object["kty"] != nil || object["keys"] != nil
	}
	var list []map[string]json.RawMessage
	if json.Unmarshal(data, &list) != nil {
		return false
	}
	for _, key := range list {
		if key["kty"] != nil {
			return true
		}
	}
	return false
}

var errOwnKey = errors.New("it is one of the project's public keys, not a shared secret")

// checkOwn refuses a secret that is made of one of the project's public keys in
// a form that by itself does not tell, such as an RSA key's modulus.
func checkOwn(secret []byte, keys *jwks.Set) error {
	if keys.Len() == 0 {
		return nil
	}
	said := readings(secret)
	for _, key := range keys.Keys() {
		for _, form := range publicBytes(key.Public) {
			hashed := sha256.Sum256(form)
			for _, reading := range said {
				if bytes.Equal(reading, form) || bytes.Equal(reading, hashed[:]) {
					return errOwnKey
				}
			}
		}
	}
	return nil
}

// publicBytes are the numbers that a public key consists of, and its DER.
func publicBytes(public crypto.PublicKey) [][]byte {
	var forms [][]byte
	if der, err := x509.MarshalPKIXPublicKey(public); err == nil {
		forms = append(forms, der)
	}
	switch key := public.(type) {
	case *rsa.PublicKey:
		n := key.N.Bytes()
		forms = append(forms, n, append([]byte{0}, n...), []byte(key.N.String()))
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			return forms
		}
		half := (len(point) - 1) / 2
		x, y := point[1:1+half], point[1+half:]
		compressed := append([]byte{2 + y[half-1]&1}, x...)
		forms = append(forms, point, point[1:], x, y, compressed)
	case ed25519.PublicKey:
		forms = append(forms, key)
	}
	return forms
}
