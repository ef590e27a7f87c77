package dynamic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// placeholder is one of Caddy's placeholders, or {, which has a backslash before it
// where it is meant as it is.
var placeholder = regexp.MustCompile(`\\\{|\{[^{}\s"]+\}`)

// ofRequests are the beginnings of placeholders that only requests can fill in.
var ofRequests = []string{"http.", "tls.", "vars.", "l4."}

// shorthands are the short forms of placeholders in Caddyfiles. In global options the
// adapter leaves them as they are.
var shorthands = httpcaddyfile.NewShorthandReplacer()

// ofRequest reports whether a placeholder stands for something of a request.
func ofRequest(found string) bool {
	segment := caddyfile.Segment{{Text: found}}
	shorthands.ApplyToSegment(&segment)
	key := strings.Trim(segment[0].Text, "{}")
	return slices.ContainsFunc(ofRequests, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
}

// fill returns the options of a module with the placeholders of the environment and the
// system filled in, unless they are to be kept. Those of requests are an error: sources
// are asked in the background. So are unknown ones if strict; other modules may have
// texts in braces of their own.
func fill(options json.RawMessage, strict, keep bool) (json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(options))
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil {
		return nil, err
	}
	f := filler{replacer: caddy.NewReplacer(), strict: strict, keep: keep}
	document, err := f.value(document)
	if err != nil || keep {
		return options, err
	}
	return json.Marshal(document)
}

type filler struct {
	replacer     *caddy.Replacer
	strict, keep bool
}

func (f filler) value(value any) (any, error) {
	var err error
	switch value := value.(type) {
	case string:
		return f.text(value)
	case []any:
		for i := range value {
			if value[i], err = f.value(value[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			for _, found := range placeholder.FindAllString(name, -1) {
				if ofRequest(found) {
					return nil, refusal(found)
				}
			}
			if value[name], err = f.value(value[name]); err != nil {
				return nil, err
			}
		}
	}
	return value, nil
}

func (f filler) text(text string) (string, error) {
	var failure error
	filled := placeholder.ReplaceAllStringFunc(text, func(found string) string {
		value, err := f.one(found)
		if err != nil && failure == nil {
			failure = err
		}
		return value
	})
	if failure != nil {
		return "", failure
	}
	return filled, nil
}

// one returns the value of a placeholder, or the placeholder where it stays.
func (f filler) one(found string) (string, error) {
	key := strings.Trim(found, "{}")
	variable, environment := strings.CutPrefix(key, "env.")
	switch {
	case found == `\{`:
		return found, nil
	case ofRequest(found):
		return "", refusal(found)
	case !environment && !strings.HasPrefix(key, "system.") && !strings.HasPrefix(key, "file."):
		if f.strict {
			return "", fmt.Errorf("the placeholder %s is not filled in here; use {env.NAME}", found)
		}
		return found, nil
	case f.keep:
		return found, nil
	}
	value, _ := f.replacer.GetString(key)
	switch {
	case value != "":
		return value, nil
	case environment:
		return "", fmt.Errorf("the environment variable %s is not set or empty", variable)
	}
	return "", fmt.Errorf("the placeholder %s is unknown or empty", found)
}

func refusal(found string) error {
	return fmt.Errorf("the placeholder %s is filled in for each request, but backends are looked for in the background, without a request; write the value itself or {env.NAME}", found)
}
