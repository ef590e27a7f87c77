package gateway

import (
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/edgegate/edgegate/regions/spelling"
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
			return d.Errf("edge_functions: unexpected %q%s", text, "; "+habits["to"])
		}
		return d.Errf("edge_functions: unexpected %q; write `edge_functions [MATCHER] { ... }`", text)
	}
	return block(d, options{
		"cors":   func(d *caddyfile.Dispenser) error { return parseCORS(d, &h.CORS) },
		"html":   func(d *caddyfile.Dispenser) error { return oneOf(d, &h.HTML, "text/plain", "keep") },
		"expose": func(d *caddyfile.Dispenser) error { return parseExpose(d, &h.Expose) },
	})
}

// options maps the names of a block to the functions that read them. A nil
// function is an option whose part comes later.
type options map[string]func(*caddyfile.Dispenser) error

// repeatable marks options that may be given more than once.
var repeatable = map[string]bool{
	"region": true, "backend": true, "domain": true, "regions": true, "jwt_secret": true, "api_key": true,
	"function": true, "origin": true, "jwks": true, "jwt_issuer": true, "jwt_audience": true, "jwt_role": true, "plan": true,
	"rate_limit": true, "export": true, "in_flight": true, "memory": true,
}

// block reads a block of options. Unknown names get the nearest match, names
// given twice are refused.
func block(d *caddyfile.Dispenser, known options) error {
	seen := make(map[string]bool)
	last := ""
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		read, ok := known[name]
		switch {
		case name == "{":
			return d.Errf("%s: takes no block", last)
		case !ok:
			return d.Errf("unknown option %q%s", name, suggestion(name, known))
		case read == nil:
			return d.Errf("%s: %s", name, projects.NotBuilt)
		case seen[name] && !repeatable[name]:
			return d.Errf("%s: given twice, keep one", name)
		}
		seen[name], last = true, name
		if err := read(d); err != nil {
			return err
		}
	}
	return nil
}

// suggestion returns what to write for an option that belongs elsewhere, the
// nearest one, or those of this build.
func suggestion(name string, known options) string {
	if text := habits[name]; text != "" {
		return "; " + text
	}
	if hint := spelling.DidYouMean(name, slices.Sorted(maps.Keys(known))); hint != "" {
		return hint
	}
	if text := places[name]; text != "" {
		return "; " + text
	}
	var names []string
	for option, read := range known {
		if read != nil {
			names = append(names, option)
		}
	}
	if len(names) == 0 {
		return "; there are none here in this build"
	}
	slices.Sort(names)
	return "; options here: " + strings.Join(names, ", ")
}

// parseCORS reads a policy and has it judged while the line is known.
func parseCORS(d *caddyfile.Dispenser, into **projects.CORSConfig) error {
	if d.NextArg() {
		return d.Errf("cors: unexpected %q; write `cors { origin https://app.example.org }`", d.Val())
	}
	at := *d
	policy := new(projects.CORSConfig)
	*into = policy
	err := block(d, options{
		"origin":      func(d *caddyfile.Dispenser) error { return someArgs(d, &policy.Origins) },
		"credentials": func(d *caddyfile.Dispenser) error { return onOff(d, &policy.Credentials) },
	})
	if err != nil {
		return err
	}
	if _, err := cors.New(cors.Config(*policy)); err != nil {
		return at.Errf("cors: %s", oneLine(err))
	}
	return nil
}

// parseExpose reads names of headers and has them judged while the line is known.
func parseExpose(d *caddyfile.Dispenser, into *[]string) error {
	if err := someArgs(d, into); err != nil {
		return err
	}
	if _, err := cors.ParseExposed(*into); err != nil {
		return d.Errf("expose: %s", oneLine(err))
	}
	return nil
}
