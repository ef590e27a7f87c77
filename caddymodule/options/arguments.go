package options

import (
	"math"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/regions/spelling"
)

// Arguments reads the arguments of the current option: at least atLeast, at
// most atMost, none empty. The error does not repeat them, they may be secrets.
func Arguments(d *caddyfile.Dispenser, atLeast, atMost int) ([]string, error) {
	name, args := d.Val(), d.RemainingArgs()
	switch n := len(args); {
	case n < atLeast || n > atMost:
		return nil, d.Errf("%s: wrong number of arguments (%d)%s%s", name, n, UnsetVariable(d), writeAs(name))
	case slices.Contains(args, ""):
		return nil, d.Errf("%s: must not be empty%s", name, writeAs(name))
	}
	return args, nil
}

// PlainArguments is Arguments for options that are no secrets. It refuses
// {env.NAME}, which nothing would fill in later.
func PlainArguments(d *caddyfile.Dispenser, atLeast, atMost int) ([]string, error) {
	name := d.Val()
	args, err := Arguments(d, atLeast, atMost)
	for _, arg := range args {
		if found := envPlaceholder.FindStringSubmatch(arg); found != nil {
			return nil, d.Errf("%s: %s is filled in only in `dynamic`, keys, secrets, tokens, jwks and the URLs of Redis and webhooks; write {$%s}, which is filled in when the file is read",
				name, found[0], found[1])
		}
	}
	return args, err
}

// String reads the only argument of the current option, which is no secret.
func String(d *caddyfile.Dispenser, into *string) error {
	args, err := PlainArguments(d, 1, 1)
	if err == nil {
		*into = args[0]
	}
	return err
}

// Strings appends the arguments of the current option, one at least, which are
// no secrets.
func Strings(d *caddyfile.Dispenser, into *[]string) error {
	args, err := PlainArguments(d, 1, math.MaxInt)
	*into = append(*into, args...)
	return err
}

// OneOf reads an argument that must be one of the allowed words.
func OneOf(d *caddyfile.Dispenser, into *string, allowed ...string) error {
	name := d.Val()
	var value string
	if err := String(d, &value); err != nil {
		return err
	}
	if !slices.Contains(allowed, value) {
		return d.Errf("%s %q: allowed are %s%s", name, value, strings.Join(allowed, ", "), spelling.DidYouMean(value, allowed))
	}
	*into = value
	return nil
}

// OnOff reads an argument that must be `on` or `off`.
func OnOff(d *caddyfile.Dispenser, into *bool) error {
	var value string
	if err := OneOf(d, &value, "on", "off"); err != nil {
		return err
	}
	*into = value == "on"
	return nil
}

// OneLine returns the text of an error that may come from errors.Join, with
// semicolons instead of line breaks: the file and line that a dispenser adds
// then belong to all of it.
func OneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
