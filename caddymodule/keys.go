package caddymodule

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/edgegate/edgegate/routing/auth"
)

// JWT holds the keys of a project's tokens.
type JWT struct {
	// The HS256 secret, at least 32 bytes.
	Secret string `json:"secret,omitempty"`

	// Further HS256 secrets, valid at the same time while one is replaced.
	Secrets []string `json:"secrets,omitempty"`
}

// APIKey is an API key, in clear or as the SHA-256 of it.
type APIKey struct {
	// A name for people.
	Name string `json:"name,omitempty"`

	// publishable or secret.
	Type string `json:"type"`

	// The key, or
	Key string `json:"key,omitempty"`

	// the lower-case hex SHA-256 of the key.
	SHA256 string `json:"sha256,omitempty"`
}

// build resolves the secrets, numbered in the order of the Caddyfile.
func (j *JWT) build() ([][]byte, error) {
	if j == nil {
		return nil, nil
	}
	var errs []error
	texts := j.Secrets
	if j.Secret != "" {
		texts = slices.Concat([]string{j.Secret}, j.Secrets)
	}
	built := make([][]byte, 0, len(texts))
	for i, text := range texts {
		secret, err := resolveSecret(text)
		if err == nil {
			err = checkSecret(secret)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("jwt_secret %d%s: %w", i+1, origin(text), err))
			continue
		}
		built = append(built, []byte(secret))
	}
	return built, errors.Join(errs...)
}

// checkSecret has package auth judge a secret by itself. Its number there means
// nothing to the user.
func checkSecret(secret string) error {
	if _, err := auth.New(auth.Config{Secrets: [][]byte{[]byte(secret)}}); err != nil {
		return fmt.Errorf("%s; `openssl rand -base64 32` makes one", strings.TrimPrefix(err.Error(), "HMAC secret 1: "))
	}
	return nil
}

// keyType never repeats what it was given: whoever swaps the arguments has a
// key in the place of the type.
func (k *APIKey) keyType() (auth.KeyType, error) {
	switch k.Type {
	case "publishable":
		return auth.Publishable, nil
	case "secret":
		return auth.Secret, nil
	}
	return "", fmt.Errorf("the type is publishable or secret%s", didYouMean(k.Type, []string{"publishable", "secret"}))
}

// build resolves the key and has package auth judge it by itself.
func (k *APIKey) build() (auth.APIKey, error) {
	if k == nil {
		return auth.APIKey{}, errors.New("null is no key")
	}
	key := auth.APIKey{Name: k.Name}
	var err error
	if key.Type, err = k.keyType(); err != nil {
		return key, err
	}
	if k.Key != "" || k.SHA256 == "" {
		if key.Key, err = resolveSecret(k.Key); err != nil {
			return key, err
		}
	}
	if k.SHA256 != "" {
		if key.SHA256, err = hex.DecodeString(k.SHA256); err != nil {
			return key, errors.New("sha256 must be 64 hexadecimal digits")
		}
	}
	if _, err := auth.New(auth.Config{APIKeys: []auth.APIKey{key}}); err != nil {
		return key, fmt.Errorf("%s%s", strings.TrimPrefix(err.Error(), fmt.Sprintf("API key 1 %q: ", key.Name)), origin(k.Key))
	}
	return key, nil
}
