package projects

import (
	"errors"
	"regexp"
	"strings"
	"unicode"
)

// neverMeant are placeholders of manuals that were copied instead of a secret, each
// with the advice to give.
var neverMeant = []struct {
	pattern *regexp.Regexp
	problem string
}{
	{regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*(?::?[-?+=][^}]*)?\}|^\$[A-Z_][A-Z0-9_]*$|^%[A-Za-z_][A-Za-z0-9_]*%$`), "is a variable of a shell that nothing filled in; write {env.NAME}"},
	{regexp.MustCompile(`\{\$|(?i:\{env[.:])`), "has a placeholder that is not closed or misspelled; write {env.NAME}"},
	{regexp.MustCompile(`\{\{\s*[A-Za-z_.][A-Za-z0-9_.-]*\s*\}\}`), "has a placeholder of a template that nothing filled in"},
	{regexp.MustCompile("\\$\\([^()]+\\)|^`.+`$"), "is a command that nothing ran; write what it prints"},
	{regexp.MustCompile(`^<[^<>]*>$`), "is the placeholder of a manual"},
	{regexp.MustCompile(`^".*"$|^'.*'$`), "has quotation marks round it, which are part of it; remove them, in a file of environment variables too"},
}

// typographic are characters that word processors and chats put into copied text.
const typographic = "\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u201b\u00ab\u00bb\u2039\u203a\u2013\u2014\u2026" +
	"\u00a0\u00ad\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202f\u2060\ufeff\ufffd"

// CheckSecret refuses texts that cannot be meant as a key or secret of any kind. Its
// error never repeats the text.
func CheckSecret(text string) error {
	switch {
	case strings.Contains(text, "-----BEGIN ") && strings.ContainsFunc(text, unicode.IsControl):
		return errors.New("is a PEM file, not a shared secret; put public keys into jwks")
	case strings.ContainsFunc(text, unicode.IsControl):
		return errors.New("has a control character, such as the end of a line; remove it")
	case strings.TrimSpace(text) != text:
		return errors.New("begins or ends with white space; remove it")
	case strings.ContainsAny(text, typographic):
		return errors.New("has a typographic quotation mark, a dash or an invisible character, as word processors put in; type it anew")
	}
	for _, never := range neverMeant {
		if never.pattern.MatchString(text) {
			return errors.New(never.problem)
		}
	}
	return nil
}

// minSecretKey is the shortest secret API key, in bytes: a shorter one could be
// guessed.
const minSecretKey = 16

// The prefixes of API keys by their type.
const (
	publishablePrefix = "sb_publishable_"
	secretPrefix      = "sb_secret_"
)

// checkAPIKey refuses a key that is not of the type that it is given as: a secret
// key as a publishable one would be taken from browsers, where it must never be.
func checkAPIKey(kind, key string) error {
	switch {
	case kind == "secret" && strings.HasPrefix(key, publishablePrefix):
		return errors.New("is publishable by its form, and given as secret")
	case kind == "publishable" && strings.HasPrefix(key, secretPrefix):
		return errors.New("is secret by its form, and given as publishable")
	case kind == "secret" && len(key) < minSecretKey:
		return errors.New("is too short for a secret key, which needs 16 bytes or more; `echo sb_secret_$(openssl rand -hex 16)` makes one")
	}
	return nil
}

// looksUnfinished finds keys and secrets that may be meant and yet want a second
// look. It returns "" for all others.
func looksUnfinished(text string) string {
	lower := strings.ToLower(text)
	for _, word := range []string{"changeme", "change-me", "change_me", "replaceme", "replace-me", "replace_me", "your-", "your_", "placeholder"} {
		if strings.Contains(lower, word) {
			return "looks like the placeholder of a manual; `openssl rand -hex 32` makes a random one"
		}
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII }) {
		return "has a character beyond ASCII, which programs that sign may encode otherwise"
	}
	return ""
}
