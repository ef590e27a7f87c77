package audit

import (
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/caddymodule/logs"
)

// ofLogs finds the logs that show secrets. The default log is there without
// being written, and is then one of them.
func ofLogs(config map[string]any) []Finding {
	configured, _ := dig(config, "logging", "logs").(map[string]any)
	all := maps.Clone(configured)
	if all == nil {
		all = make(map[string]any)
	}
	if all[caddy.DefaultLoggerName] == nil {
		all[caddy.DefaultLoggerName] = map[string]any{}
	}
	var findings []Finding
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if dig(all[name], "writer", "output") == "discard" || leavesOutHTTP(all[name]) || encoderMasks(dig(all[name], "encoder")) {
			continue
		}
		findings = append(findings, Finding{
			Severity: Medium,
			Check:    "log_secrets",
			Subject:  "log " + name,
			Message:  logs.ExposedMessage,
			Remedy:   logs.ExposedRemedy,
		})
	}
	servers, _ := dig(config, "apps", "http", "servers").(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		if dig(servers[name], "logs", "should_log_credentials") == true {
			findings = append(findings, Finding{
				Severity: Medium,
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
