package gateway

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/edgegate/edgegate/routing/projects"
)

// envPlaceholder is {env.NAME}, by which keys and secrets are kept out of
// configuration files.
var envPlaceholder = regexp.MustCompile(`\{env\.([^{}]*)\}`)

// otherPlaceholder is what Caddy would fill in elsewhere. As the text of a
// secret it would be one that everybody can guess.
var otherPlaceholder = regexp.MustCompile(`\{(?:file|http|system|time|tls|vars)\.[^{}]*\}`)

// resolveKey is ResolveSecret for what nothing else judges.
func resolveKey(text string) (string, error) {
	resolved, err := ResolveSecret(text)
	if err == nil {
		err = projects.CheckSecret(resolved)
	}
	return resolved, err
}

// ResolveSecret returns a key or secret with its {env.NAME} filled in from the
// environment. A variable that is unset or empty is an error that names it: a
// gateway must not start with an empty key. Other braces are part of the secret; Caddy's replacer would drop
// what it doesn't know, and so change a key in silence.
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
