package audit

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/edgegate/edgegate/caddymodule/options"
)

// literals are the members of our configuration that hold secrets, which
// {env.NAME} keeps out of it.
var literals = map[string]string{ //nolint:gosec // G101: these are examples, not credentials
	"secret": "jwt_secret {env.JWT_SECRET}", "secrets": "jwt_secret {env.JWT_SECRET}", "debug_secret": "debug_secret {env.DEBUG_SECRET}",
	"token": "token {env.WEBHOOK_TOKEN}", "key": "api_key secret {env.SECRET_KEY}",
}

// exporterLiterals are those members of exporters that are written otherwise.
var exporterLiterals = map[string]string{"secrets": "secret {env.WEBHOOK_SECRET}"} //nolint:gosec // G101: an example

// urlSecret is the password in a URL, before its host or as a parameter. A URL
// that {env.NAME} stands in is none that net/url reads.
var urlSecret = regexp.MustCompile(`^[a-z0-9+.-]+://[^/?#:@]*:([^/?#]+)@|[?&](?:sentinel_password|password|secret|token|access_token|api_key|apikey|key)=([^&#]+)`)

// hasURLSecret reports whether a secret of a URL is written out.
func hasURLSecret(text string) bool {
	return slices.ContainsFunc(urlSecret.FindAllStringSubmatch(text, -1), func(m []string) bool { return isLiteral(m[1] + m[2]) })
}

// urlForms are how URLs are written without their secrets, by the option or the
// exporter that has them.
var urlForms = map[string]string{
	"store":    "store redis redis://USER:{env.REDIS_PASSWORD}@HOST",
	"projects": "projects redis redis://USER:{env.REDIS_PASSWORD}@HOST",
	"webhook":  "export webhook {env.WEBHOOK_URL}",
	"stripe":   "api_key {env.STRIPE_KEY}",
}

// ofLiterals finds secrets that are written into the configuration: the admin
// API shows them, and Caddy keeps a copy in a file.
func ofLiterals(config map[string]any) []Finding {
	var findings []Finding
	findLiterals("edge_functions", dig(config, "apps", "edge_functions"), func(path, form string) {
		findings = append(findings, Finding{
			Severity: Low,
			Check:    "secret_in_config",
			Subject:  path,
			Message:  "the secret stands in the configuration, which the admin API shows and Caddy keeps in autosave.json",
			Remedy:   "write `" + form + "` and set the variable in the environment",
		})
	})
	return findings
}

// findLiterals calls found for each secret below value that is written out.
func findLiterals(path string, value any, found func(path, form string)) {
	switch v := value.(type) {
	case []any:
		for i, element := range v {
			findLiterals(fmt.Sprintf("%s[%d]", path, i), element, found)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			at := path + "." + name
			list, _ := v[name].([]any)
			text, _ := v[name].(string)
			form := literals[name]
			exporter, _ := v["exporter"].(string)
			if other := exporterLiterals[name]; other != "" && exporter != "" {
				form = other
			}
			switch {
			case form != "" && name == "key" && v["type"] != "secret": // publishable keys are public
			case form != "" && (isLiteral(text) || slices.ContainsFunc(list, isLiteral)):
				found(at, form)
			case name == "url" && hasURLSecret(text):
				found(at, urlForms[cmp.Or(exporter, path[strings.LastIndexByte(path, '.')+1:])])
			case name == "jwks_url" && hasURLSecret(text):
				found(at, "jwks {env.JWKS_URL}")
			default:
				findLiterals(at, v[name], found)
			}
		}
	}
}

func isLiteral(value any) bool {
	text, _ := value.(string)
	return text != "" && !options.HasEnv(text)
}
