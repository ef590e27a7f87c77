package cli

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

var (
	envPlaceholder = regexp.MustCompile(`\{env\.([^{}]*)\}`)
	// otherPlaceholder is what Caddy fills in elsewhere: as the text of a secret it would be one that everybody can guess.
	otherPlaceholder = regexp.MustCompile(`\{(?:file|http|system|time|tls|vars)\.[^{}]*\}`)
)

// fillSecret fills the {env.NAME} of a key or secret by the rules of the
// gateway: an unset or empty variable is an error that names it, other braces
// are part of the secret. lookup is os.LookupEnv but in tests.
func fillSecret(text string, lookup func(string) (string, bool)) (string, error) {
	if other := otherPlaceholder.FindString(text); other != "" {
		return "", fmt.Errorf("%s is not filled in here; use {env.NAME}", other)
	}
	var err error
	filled := envPlaceholder.ReplaceAllStringFunc(text, func(placeholder string) string {
		name := envPlaceholder.FindStringSubmatch(placeholder)[1]
		value, _ := lookup(name)
		switch {
		case err != nil:
		case name == "":
			err = fmt.Errorf("%s names no variable", placeholder)
		case value == "":
			err = fmt.Errorf("the environment variable %s is not set or empty", name)
		}
		return value
	})
	if err == nil && strings.TrimSpace(filled) == "" {
		err = errors.New("must not be empty")
	}
	if err != nil {
		return "", err
	}
	return filled, nil
}

func fillFromEnvironment(text string) (string, error) { return fillSecret(text, os.LookupEnv) }
