package gateway

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/caddymodule/audit"
	"github.com/edgegate/edgegate/caddymodule/logs"
	"github.com/edgegate/edgegate/caddymodule/options"
)

const (
	logRemedy  = "write `log { format edge_functions }` in the global options, and `format edge_functions` in each `log` that has a format of its own"
	logExposes = "its lines about requests show API keys, tokens of WebSockets and of URLs"
)

// warnOfLogs says at the start, and in `validate`, that the default log shows
// secrets.
func (a *App) warnOfLogs() {
	if logs.Exposes(a.logger.Core()) {
		a.logger.Warn("the log shows secrets: " + logExposes + "; " + logRemedy)
	}
}

// auditLogs finds the logs that show secrets. The default log is there without
// being written, and is then one of them.
func auditLogs(config map[string]any) []audit.Finding {
	logs, _ := dig(config, "logging", "logs").(map[string]any)
	all := maps.Clone(logs)
	if all == nil {
		all = make(map[string]any)
	}
	if all[caddy.DefaultLoggerName] == nil {
		all[caddy.DefaultLoggerName] = map[string]any{}
	}
	var findings []audit.Finding
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if dig(all[name], "writer", "output") == "discard" || leavesOutHTTP(all[name]) || encoderMasks(dig(all[name], "encoder")) {
			continue
		}
		findings = append(findings, audit.Finding{
			Severity: audit.Medium,
			Check:    "log_secrets",
			Subject:  "log " + name,
			Message:  logExposes,
			Remedy:   logRemedy,
		})
	}
	servers, _ := dig(config, "apps", "http", "servers").(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		if dig(servers[name], "logs", "should_log_credentials") == true {
			findings = append(findings, audit.Finding{
				Severity: audit.Medium,
				Check:    "log_credentials",
				Subject:  "server " + name,
				Message:  "log_credentials has Caddy write Authorization and cookies into logs",
				Remedy:   "remove `log_credentials` from `servers`",
			})
		}
	}
	return findings
}

// leavesOutHTTP reports whether a log takes nothing that is about requests.
func leavesOutHTTP(log any) bool {
	names := func(member string) (list []string) {
		values, _ := dig(log, member).([]any)
		for _, v := range values {
			text, _ := v.(string)
			list = append(list, text)
		}
		return list
	}
	// A name covers the loggers below it, as http does http.log.access.
	about := func(name string) bool { return name == "http" || strings.HasPrefix(name, "http.") }
	if include := names("include"); len(include) > 0 {
		return !slices.ContainsFunc(include, about)
	}
	return slices.Contains(names("exclude"), "http")
}

// encoderMasks judges an encoder as it is configured.
func encoderMasks(encoder any) bool {
	switch dig(encoder, "format") {
	case "edge_functions":
		return true
	case "filter":
		return dig(encoder, "fields", logs.FieldHeaders) != nil && dig(encoder, "fields", logs.FieldURI) != nil
	case "append", "journald":
		return encoderMasks(dig(encoder, "wrap"))
	}
	return false
}

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

// auditLiterals finds secrets that are written into the configuration: the admin
// API shows them, and Caddy keeps a copy in a file.
func auditLiterals(config map[string]any) []audit.Finding {
	var findings []audit.Finding
	findLiterals("edge_functions", dig(config, "apps", "edge_functions"), func(path, form string) {
		findings = append(findings, audit.Finding{
			Severity: audit.Low,
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
