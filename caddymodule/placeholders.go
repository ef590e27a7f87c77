package caddymodule

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// envPlaceholder is {env.NAME}, by which keys and secrets are kept out of
// configuration files.
var envPlaceholder = regexp.MustCompile(`\{env\.([^{}]+)\}`)

// resolveSecret replaces the placeholders of a key or secret. A variable that
// is unset or empty is an error that names it: a gateway must not start with
// an empty key.
func resolveSecret(text string) (string, error) {
	repl := caddy.NewReplacer()
	for _, match := range envPlaceholder.FindAllStringSubmatch(text, -1) {
		if value, _ := repl.GetString("env." + match[1]); value == "" {
			return "", fmt.Errorf("the environment variable %s is not set or empty", match[1])
		}
	}
	resolved := repl.ReplaceAll(text, "")
	if strings.TrimSpace(resolved) == "" {
		return "", fmt.Errorf("must not be empty")
	}
	return resolved, nil
}
