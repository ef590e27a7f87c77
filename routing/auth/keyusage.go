package auth

import (
	"time"

	"github.com/edgegate/edgegate/routing/auth/jwks"
)

// Usage has the times when the keys of a Verifier were last used, for audits. All times
// are to the second and zero for never. They count from the start of the process
// on, over reloads that keep the key, if Config has a Shared; a key that two
// projects have is used when one of them uses it.
type Usage struct {
	// APIKeys and Secrets are in the order of the Config.
	APIKeys []APIKeyUsage `json:"api_keys"`
	Secrets []SecretUsage `json:"secrets"`
	// PublicKeys are those of the configuration, then those of each Remote.
	PublicKeys []PublicKeyUsage `json:"public_keys"`
	// Remotes are the locations of further sets of public keys, also of those that were
	// never reached.
	Remotes []string `json:"remotes"`
}

// APIKeyUsage describes an API key without giving it away.
type APIKeyUsage struct {
	Name string  `json:"name"`
	Type KeyType `json:"type"`
	// HashPrefix is the first 12 hexadecimal digits of the key's SHA-256.
	HashPrefix string    `json:"hash_prefix"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
	LastUsed   time.Time `json:"last_used,omitzero"`
}

// SecretUsage describes an HMAC secret by its position alone.
type SecretUsage struct {
	// Position counts from 1.
	Position int `json:"position"`
	// WellKnown names a public secret (WellKnownSecret); empty for others.
	WellKnown string    `json:"well_known,omitempty"`
	LastUsed  time.Time `json:"last_used,omitzero"`
}

// PublicKeyUsage describes a public key.
type PublicKeyUsage struct {
	KeyID      string `json:"kid,omitempty"`
	Algorithm  string `json:"alg"`
	Thumbprint string `json:"thumbprint"` // RFC 7638
	// Location is that of the key's set; empty for the configuration itself.
	Location string    `json:"location,omitempty"`
	LastUsed time.Time `json:"last_used,omitzero"`
}

// Usage returns the keys and their last uses. It fetches nothing.
func (v *Verifier) Usage() Usage {
	var usage Usage
	for _, key := range v.apiKeys {
		usage.APIKeys = append(usage.APIKeys, APIKeyUsage{
			Name:       key.name,
			Type:       key.typ,
			HashPrefix: key.hash[:12],
			ExpiresAt:  key.expires,
			LastUsed:   key.used.Time(),
		})
	}
	for i := range v.secrets {
		secret := &v.secrets[i]
		usage.Secrets = append(usage.Secrets, SecretUsage{Position: i + 1, WellKnown: secret.wellKnown, LastUsed: secret.used.Time()})
	}
	add := func(set *jwks.Set, location string) {
		for _, key := range set.Keys() {
			usage.PublicKeys = append(usage.PublicKeys, PublicKeyUsage{
				KeyID:      key.ID,
				Algorithm:  key.Algorithm,
				Thumbprint: key.Thumbprint,
				Location:   location,
				LastUsed:   key.LastUsed(),
			})
		}
	}
	add(v.inline, "")
	for _, remote := range v.remotes {
		add(remote.Set(), remote.Location())
		usage.Remotes = append(usage.Remotes, remote.Location())
	}
	return usage
}
