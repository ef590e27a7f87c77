package auth

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/edgegate/edgegate/routing/auth/jwks"
)

// MinSecretLength is the smallest HMAC secret that is accepted, in bytes: the
// output size of SHA-256, as RFC 7518 section 3.2 demands for HS256.
const MinSecretLength = sha256.Size

// checkSecret refuses what cannot be a shared secret beside the project's public
// keys; a nil set is none.
func checkSecret(secret []byte, keys *jwks.Set) error {
	if len(secret) < MinSecretLength {
		return fmt.Errorf("it has %d bytes, HS256 needs at least %d", len(secret), MinSecretLength)
	}
	if err := checkPublic(secret); err != nil {
		return err
	}
	return checkOwn(secret, keys)
}

// wellKnown are secrets that documentation and starter kits print, with where
// they are from. Some are too short for a Verifier and listed for those who ask
// about what it refused.
var wellKnown = map[string]string{ //nolint:gosec // G101: they are public, that is the point
	"super-secret-jwt-token-with-at-least-32-characters-long":      "the Supabase CLI's demo secret",
	"your-super-secret-jwt-token-with-at-least-32-characters-long": "the demo secret of self-hosted Supabase",
	"your-256-bit-secret":                                  "jwt.io's example secret",
	"your-384-bit-secret":                                  "jwt.io's example secret",
	"your-512-bit-secret":                                  "jwt.io's example secret",
	"a-string-secret-at-least-256-bits-long":               "jwt.io's example secret",
	"a-valid-string-secret-that-is-at-least-384-bits-long": "jwt.io's example secret",
	"a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long":                "jwt.io's example secret",
	"reallyreallyreallyreallyverysafe":                                                       "the example secret of PostgREST's documentation",
	"3EK6FD+o0+c7tzBNVfjpMkNDi2yARAAKzQlk8O2IKoxQu4nF7EdAh8s3TwpHwrdWT6R":                    "the example secret of Hasura's documentation",
	"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow": "the example key of RFC 7515",
	"abcdefghijklmnopqrstuvwxyz123456":                                                       "a row of letters",
	"abcdefghijklmnopqrstuvwxyz012345":                                                       "a row of letters",
	"0123456789abcdef0123456789abcdef":                                                       "a row of digits",
}

// WellKnownSecret tells whether secret is public or guessed at once: one that
// documentation prints, or a few bytes repeated. A Verifier accepts those, since
// people develop with them; audits name them. name says which, never the secret.
func WellKnownSecret(secret []byte) (name string, known bool) {
	trimmed := bytes.TrimSpace(secret)
	if name, known = wellKnown[string(trimmed)]; known {
		return name, true
	}
	if repetitive(trimmed) {
		return "a short text repeated", true
	}
	return "", false
}

// repetitive reports whether a text is a shorter one at least twice in a row, the
// last time perhaps cut, or has too few different bytes to be random: 32 random
// ones have fewer than 8 less often than once in 10^30, and even hexadecimal digits
// less often than once in 10^6.
func repetitive(text []byte) bool {
	const fewest = 8
	if len(text) == 0 {
		return false
	}
	for period := 1; period <= len(text)/2; period++ {
		if bytes.Equal(text[period:], text[:len(text)-period]) {
			return true
		}
	}
	var seen [256]bool
	different := 0
	for _, b := range text {
		if !seen[b] {
			seen[b] = true
			different++
		}
	}
	return different < fewest
}
