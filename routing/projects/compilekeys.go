package projects

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/regions/spelling"
	"github.com/edgegate/edgegate/routing/auth"
	"github.com/edgegate/edgegate/routing/auth/jwks"
)

// placeholder begins the {env.NAME} of a key or secret.
const placeholder = "{env."

// verifier collects the credentials of the project. No message of it has
// anything in it that was written in the place of a key or secret.
func (c *compiler) verifier() *auth.Verifier {
	credentials := auth.Config{Shared: c.config.Shared}
	var secretPaths, keyPaths []string
	if c.cfg.JWT != nil {
		secretPaths = c.secrets(&credentials)
		c.publicKeys(&credentials)
		c.claims(&credentials)
	}
	for i := range c.cfg.APIKeys {
		path := fmt.Sprintf("api_keys[%d]", i)
		if key, ok := c.apiKey(path, &c.cfg.APIKeys[i]); ok {
			credentials.APIKeys = append(credentials.APIKeys, key)
			keyPaths = append(keyPaths, path)
		}
	}
	verifier, err := auth.New(credentials)
	if err != nil {
		c.locate(err, credentials, secretPaths, keyPaths)
	}
	return verifier
}

// secrets adds the HS256 secrets and returns where they stand.
func (c *compiler) secrets(to *auth.Config) (paths []string) {
	add := func(path, text string) {
		if secret, ok := c.resolve(path, text); ok {
			to.Secrets = append(to.Secrets, []byte(secret))
			paths = append(paths, path)
		}
	}
	if c.cfg.JWT.Secret != "" {
		add("jwt.secret", c.cfg.JWT.Secret)
	}
	for i, text := range c.cfg.JWT.Secrets {
		add(fmt.Sprintf("jwt.secrets[%d]", i), text)
	}
	return paths
}

// publicKeys adds the keys that are written down and the places where others
// are fetched, which nothing here reads.
func (c *compiler) publicKeys(to *auth.Config) {
	if len(c.cfg.JWT.JWKS) > 0 {
		set, remarks, err := jwks.Parse(c.cfg.JWT.JWKS)
		if err != nil {
			c.wrong("jwt.jwks", "%s", err)
		}
		for _, remark := range remarks {
			c.problems = append(c.problems, Problem{Path: "jwt.jwks", Message: remark})
		}
		to.Keys = set
	}
	if path := c.cfg.JWT.JWKSFile; path != "" && c.config.NoFiles {
		c.wrong("jwt.jwks_file", "projects from here may not name files of the gateway; write the keys into jwks, or use jwks_url")
	} else if path != "" {
		c.conditions = append(c.conditions, condition{path: "jwt.jwks_file", file: path})
		if c.config.Keys != nil {
			to.Remotes = append(to.Remotes, c.config.Keys.Get(jwks.NewFile(path)))
		}
	}
	if text := c.cfg.JWT.JWKSURL; text != "" {
		newFetcher := jwks.NewPublicURL
		if c.config.PrivateKeySets {
			newFetcher = jwks.NewURL
		}
		fetcher, err := newFetcher(text)
		switch {
		case strings.Contains(text, placeholder):
			c.wrong("jwt.jwks_url", "placeholders are filled in only in keys and secrets")
		case err != nil:
			c.wrong("jwt.jwks_url", "%s", err)
		case c.config.Keys != nil:
			to.Remotes = append(to.Remotes, c.config.Keys.Get(fetcher))
		}
	}
}

// claims adds what tokens must say.
func (c *compiler) claims(to *auth.Config) {
	to.AllowEdDSA = c.cfg.JWT.AllowEdDSA
	to.Issuers = c.oneOf("jwt.issuer", c.cfg.JWT.Issuer)
	to.Audiences = c.oneOf("jwt.audience", c.cfg.JWT.Audience)
	to.Roles = c.oneOf("jwt.role", c.cfg.JWT.Role)
	c.nonNegative("jwt.leeway", int64(c.cfg.JWT.Leeway))
	to.Leeway = time.Duration(c.cfg.JWT.Leeway)
}

// oneOf refuses lists that are written and yet ask for nothing: to accept any
// value is a decision that shows.
func (c *compiler) oneOf(path string, list Strings) []string {
	if list != nil && len(list) == 0 {
		c.wrong(path, "the list is empty; leave it out to accept anything")
	}
	if slices.Contains(list, "") {
		c.wrong(path, "must not be empty; leave it out to accept anything")
		return nil
	}
	return list
}

// apiKey reads one API key; package auth judges it.
func (c *compiler) apiKey(path string, cfg *APIKeyConfig) (auth.APIKey, bool) {
	key := auth.APIKey{Name: cfg.Name}
	good := true
	switch cfg.Type {
	case string(auth.Publishable), string(auth.Secret):
		key.Type = auth.KeyType(cfg.Type)
	default:
		// It is not repeated: who mixes the fields up has a key in it.
		c.wrong(path+".type", "the type is publishable or secret%s", spelling.DidYouMean(cfg.Type, []string{"publishable", "secret"}))
		good = false
	}
	if cfg.Key == "" && cfg.SHA256 == "" {
		c.wrong(path, "has neither key nor sha256")
		good = false
	}
	if cfg.Key != "" {
		var ok bool
		key.Key, ok = c.resolve(path+".key", cfg.Key)
		if err := checkAPIKey(cfg.Type, key.Key); ok && err != nil {
			c.wrong(path+".key", "%s", err)
			ok = false
		}
		good = good && ok
	}
	if cfg.SHA256 != "" {
		var err error
		if key.SHA256, err = hex.DecodeString(cfg.SHA256); err != nil || len(key.SHA256) != sha256.Size {
			c.wrong(path+".sha256", "must be %d hexadecimal digits", 2*sha256.Size)
			good = false
		}
	}
	if cfg.ExpiresAt != nil {
		key.ExpiresAt = *cfg.ExpiresAt
		c.conditions = append(c.conditions, condition{path: path + ".expires_at", name: cfg.Name, expires: key.ExpiresAt})
	}
	return key, good
}

// resolve fills in the placeholders of a key or secret.
func (c *compiler) resolve(path, text string) (string, bool) {
	resolved := text
	switch {
	case c.config.Resolve != nil:
		var err error
		if resolved, err = c.config.Resolve(text); err != nil {
			c.wrong(path, "%s", err)
			return "", false
		}
	case strings.Contains(text, placeholder):
		c.wrong(path, "placeholders such as {env.NAME} are not filled in here")
		return "", false
	}
	if strings.TrimSpace(resolved) == "" {
		c.wrong(path, "must not be empty")
		return "", false
	}
	if err := CheckSecret(resolved); err != nil {
		c.wrong(path, "%s", err)
		return "", false
	}
	if unfinished := looksUnfinished(resolved); unfinished != "" {
		c.problems = append(c.problems, Problem{Path: path, Message: unfinished})
	}
	return resolved, true
}

// locate finds out which credentials package auth refuses. It judges each by
// itself, which is too slow to be done with those that are good.
func (c *compiler) locate(err error, all auth.Config, secretPaths, keyPaths []string) {
	found := false
	for i, secret := range all.Secrets {
		if _, err := auth.New(auth.Config{Secrets: [][]byte{secret}}); err != nil {
			c.wrong(secretPaths[i], "%s; `openssl rand -base64 32` makes one", cause(err))
			found = true
		}
	}
	seen := make(map[[sha256.Size]byte]int, len(all.APIKeys))
	for i, key := range all.APIKeys {
		if _, err := auth.New(auth.Config{APIKeys: []auth.APIKey{key}}); err != nil {
			c.wrong(keyPaths[i], "%s", cause(err))
			found = true
			continue
		}
		sum := sha256.Sum256([]byte(key.Key))
		if key.Key == "" {
			sum = [sha256.Size]byte(key.SHA256)
		}
		if first, twice := seen[sum]; twice {
			c.wrong(keyPaths[i], "is the same key as %s, remove one", keyPaths[first])
			found = true
			continue
		}
		seen[sum] = i
	}
	said := func(p Problem) bool { return strings.HasPrefix(p.Path, "jwt.") }
	if !found && !slices.ContainsFunc(c.invalid.Problems, said) {
		c.wrong("jwt", "%s", err)
	}
}

// cause returns the error of the one credential in a joined error, without the
// number that package auth gave it.
func cause(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok && len(joined.Unwrap()) == 1 {
		err = joined.Unwrap()[0]
	}
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}
