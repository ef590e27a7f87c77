package options

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// envPlaceholder is {env.NAME}, which keeps keys and secrets out of
// configuration files.
var envPlaceholder = regexp.MustCompile(`\{env\.([^{}]*)\}`)

// otherPlaceholder is one of Caddy's placeholders that are not filled in here. As
// the text of a secret it would be one that everybody can guess.
var otherPlaceholder = regexp.MustCompile(`\{(?:file|http|system|time|tls|vars)\.[^{}]*\}`)

// HasEnv reports whether a text has an {env.NAME} in it, which ResolveSecret
// fills in.
func HasEnv(text string) bool { return envPlaceholder.MatchString(text) }

// Placeholder returns the first placeholder of a text, {env.NAME} before others
// of Caddy's, or "".
func Placeholder(text string) string {
	if found := envPlaceholder.FindString(text); found != "" {
		return found
	}
	return otherPlaceholder.FindString(text)
}

// ResolveSecret returns a key or secret with its {env.NAME} filled in from the
// environment. A variable that is unset or empty is an error that names it: a
// gateway must not start with an empty key. Other placeholders of Caddy's are an
// error, too. All other braces are part of the secret; Caddy's replacer would
// drop what it doesn't know, and so change a key in silence.
func ResolveSecret(text string) (string, error) {
	if other := otherPlaceholder.FindString(text); other != "" {
		return "", fmt.Errorf("%s is not filled in here; use {env.NAME}", other)
	}
	for _, match := range envPlaceholder.FindAllStringSubmatch(text, -1) {
		if match[1] == "" {
			return "", fmt.Errorf("%s names no variable", match[0])
		}
		if os.Getenv(match[1]) == "" {
			return "", fmt.Errorf("the environment variable %s is not set or empty", match[1])
		}
	}
	resolved := envPlaceholder.ReplaceAllStringFunc(text, func(placeholder string) string {
		return os.Getenv(envPlaceholder.FindStringSubmatch(placeholder)[1])
	})
	if strings.TrimSpace(resolved) == "" {
		return "", errors.New("must not be empty")
	}
	return resolved, nil
}
