package audit

import (
	"cmp"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// ofConfig judges what stands round the gateway in a configuration: the admin API,
// certificates, proxies, header directives.
func ofConfig(config map[string]any) []Finding {
	var findings []Finding
	if f := ofAdmin(config); f != nil {
		findings = append(findings, *f)
	}
	if onDemand(config) && dig(config, "apps", "tls", "automation", "on_demand", "permission") == nil {
		findings = append(findings, Finding{
			Severity: High,
			Check:    "on_demand_permission",
			Subject:  "tls",
			Message:  "certificates are asked for on demand without a permission: any name that points here makes the gateway order one",
			Remedy:   "add `on_demand_tls { permission edge_functions }` to the global options",
		})
	}
	servers, _ := dig(config, "apps", "http", "servers").(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		server, _ := servers[name].(map[string]any)
		if !uses(server, "edge_functions") {
			continue
		}
		if server["trusted_proxies"] == nil {
			findings = append(findings, Finding{
				Severity: Low,
				Check:    "trusted_proxies",
				Subject:  "server " + name,
				Message:  "no trusted_proxies: behind a load balancer or a CDN every client has its address, and functions see it in x-forwarded-for",
				Remedy:   "add `servers { trusted_proxies static RANGES }` with the proxies' ranges; if clients connect directly, leave it",
			})
		}
		if wildcardCredentials(server) {
			findings = append(findings, Finding{
				Severity: High,
				Check:    "cors_credentials",
				Subject:  "server " + name,
				Message:  "a header directive allows credentials together with any origin, or with the origin that asks",
				Remedy:   "remove it, and list the origins: `edge_functions { cors { origin https://app.example.org; credentials on } }`",
			})
		}
	}
	return findings
}

// ofAdmin finds an admin API that others than the operator can reach: who
// reaches it changes the configuration. Functions are others: those that run on
// this machine reach its loopback addresses.
func ofAdmin(config map[string]any) *Finding {
	if dig(config, "admin", "disabled") == true {
		return nil
	}
	listen, _ := dig(config, "admin", "listen").(string)
	listen = cmp.Or(listen, caddy.DefaultAdminListen)
	const remedy = "use `admin unix//run/edgegate/admin.sock|0600`"
	address, err := caddy.ParseNetworkAddress(listen)
	switch {
	case err != nil || address.IsUnixNetwork():
		return nil
	case !loopbackHost(address.Host):
		return &Finding{
			Severity: High,
			Check:    "admin_address",
			Subject:  "admin " + listen,
			Message:  "the admin API listens on more than this machine, and who reaches it controls the gateway",
			Remedy:   remedy + ", or keep others away by a firewall",
		}
	case localBackend(config):
		return &Finding{
			Severity: Medium,
			Check:    "admin_loopback",
			Subject:  "admin " + listen,
			Message:  "backends run on this machine: a function there that may call loopback addresses reaches the admin API and controls the gateway",
			Remedy:   remedy + ", or forbid functions to call " + listen,
		}
	}
	return nil
}

func loopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// localBackend reports whether a region has a backend on this machine.
func localBackend(config map[string]any) bool {
	all, _ := dig(config, "apps", "edge_functions", "regions").([]any)
	return slices.ContainsFunc(all, func(region any) bool {
		backends, _ := dig(region, "backends").([]any)
		return slices.ContainsFunc(backends, func(backend any) bool {
			text, _ := backend.(string)
			u, err := url.Parse(text)
			return strings.HasPrefix(text, "unix/") || err == nil && loopbackHost(u.Hostname())
		})
	})
}

// onDemand reports whether any policy asks for certificates on demand.
func onDemand(config map[string]any) bool {
	policies, _ := dig(config, "apps", "tls", "automation", "policies").([]any)
	return slices.ContainsFunc(policies, func(p any) bool { return dig(p, "on_demand") == true })
}

// uses reports whether a handler of the name is anywhere below.
func uses(value any, handler string) bool {
	return walk(value, func(object map[string]any) bool { return object["handler"] == handler })
}

// wildcardCredentials finds Caddy's own header handlers in the role of CORS.
func wildcardCredentials(server any) bool {
	return setsHeader(server, "Access-Control-Allow-Credentials", func(value string) bool { return value == "true" }) &&
		setsHeader(server, "Access-Control-Allow-Origin", func(value string) bool {
			return value == "*" || strings.EqualFold(value, "{http.request.header.origin}")
		})
}

// setsHeader reports whether a header handler below gives answers such a header.
func setsHeader(value any, name string, such func(string) bool) bool {
	return walk(value, func(object map[string]any) bool {
		if object["handler"] != "headers" {
			return false
		}
		for _, kind := range []string{"set", "add"} {
			headers, _ := dig(object, "response", kind).(map[string]any)
			for header, values := range headers {
				list, _ := values.([]any)
				if strings.EqualFold(header, name) && slices.ContainsFunc(list, func(v any) bool {
					text, _ := v.(string)
					return such(strings.TrimSpace(text))
				}) {
					return true
				}
			}
		}
		return false
	})
}

// walk reports whether found is true of any object in value.
func walk(value any, found func(map[string]any) bool) bool {
	switch v := value.(type) {
	case map[string]any:
		if found(v) {
			return true
		}
		for _, member := range v {
			if walk(member, found) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(element any) bool { return walk(element, found) })
	}
	return false
}

// dig returns the member at the end of path, nil if there is none.
func dig(value any, path ...string) any {
	for _, name := range path {
		object, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = object[name]
	}
	return value
}
