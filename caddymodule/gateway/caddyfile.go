package gateway

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/routing/cors"
	"github.com/edgegate/edgegate/routing/projects"
)

func init() {
	httpcaddyfile.RegisterDirective("edge_functions", parseDirective)
	httpcaddyfile.RegisterDirectiveOrder("edge_functions", httpcaddyfile.Before, "reverse_proxy")
	for _, name := range []string{"edge_functions_console", "edge_functions_health"} {
		httpcaddyfile.RegisterDirective(name, laterDirective)
	}
}

// laterDirective refuses a directive whose part comes later.
func laterDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next()
	return nil, h.Errf("%s: %s", h.Val(), projects.NotBuilt)
}

// parseDirective does the work of RegisterHandlerDirective, which would hide the
// matcher from the check for traps.
func parseDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next()
	at := h.Token()
	matcher, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, err
	}
	handler, err := parseHandler(h)
	if err != nil {
		return nil, err
	}
	warnOfTraps(at, matcher)
	return h.NewRoute(matcher, handler), nil
}

func parseHandler(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	if h.Option("edge_functions") == nil {
		at := *h.Dispenser
		at.Next()
		return nil, at.Errf("edge_functions: the global option of this name is missing; add `{ edge_functions { ... } }` at the top of the Caddyfile")
	}
	handler := new(Handler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads the directive of a site:
//
//	edge_functions [<matcher>] {
//		cors {
//			origin <origin...>
//			credentials on|off
//		}
//		html text/plain|keep
//		expose <name...>
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		text := d.Val()
		if strings.Contains(text, ":") { // an address, as reverse_proxy takes it
			return d.Errf("edge_functions: unexpected %q%s", text, "; "+options.RegionHint)
		}
		return d.Errf("edge_functions: unexpected %q; write `edge_functions [MATCHER] { ... }`", text)
	}
	return options.Block(d, options.Table{
		"cors":   func(d *caddyfile.Dispenser) error { return parseCORS(d, &h.CORS) },
		"html":   func(d *caddyfile.Dispenser) error { return options.OneOf(d, &h.HTML, "text/plain", "keep") },
		"expose": func(d *caddyfile.Dispenser) error { return parseExpose(d, &h.Expose) },
	})
}

// parseCORS reads a policy and has it judged while the line is known.
func parseCORS(d *caddyfile.Dispenser, into **projects.CORSConfig) error {
	if d.NextArg() {
		return d.Errf("cors: unexpected %q; write `cors { origin https://app.example.org }`", d.Val())
	}
	at := *d
	policy := new(projects.CORSConfig)
	*into = policy
	err := options.Block(d, options.Table{
		"origin":      func(d *caddyfile.Dispenser) error { return options.Strings(d, &policy.Origins) },
		"credentials": func(d *caddyfile.Dispenser) error { return options.OnOff(d, &policy.Credentials) },
	})
	if err != nil {
		return err
	}
	if _, err := cors.New(cors.Config(*policy)); err != nil {
		return at.Errf("cors: %s", options.OneLine(err))
	}
	return nil
}

// parseExpose reads names of headers and has them judged while the line is known.
func parseExpose(d *caddyfile.Dispenser, into *[]string) error {
	if err := options.Strings(d, into); err != nil {
		return err
	}
	if _, err := cors.ParseExposed(*into); err != nil {
		return d.Errf("expose: %s", options.OneLine(err))
	}
	return nil
}
