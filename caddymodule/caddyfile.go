package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/edgegate/edgegate/regions"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("edge_functions", parseHandler)
	httpcaddyfile.RegisterDirectiveOrder("edge_functions", httpcaddyfile.Before, "reverse_proxy")
}

func parseHandler(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
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
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	return block(d, options{
		"cors": func(d *caddyfile.Dispenser) error { return parseCORS(d, &h.CORS) },
		"html": func(d *caddyfile.Dispenser) error { return oneOf(d, &h.HTML, "text/plain", "keep") },
	})
}

// options maps the names of a block to the functions that read them. A nil
// function is an option whose part comes later.
type options map[string]func(*caddyfile.Dispenser) error

// repeatable marks options that may be given more than once.
var repeatable = map[string]bool{
	"region": true, "backend": true, "domain": true, "jwt_secret": true, "api_key": true,
	"function": true, "origin": true,
}

// block reads a block of options. Unknown names get the nearest match, names
// given twice are refused.
func block(d *caddyfile.Dispenser, known options) error {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		read, ok := known[name]
		switch {
		case !ok:
			return d.Errf("unknown option %q%s", name, suggestion(name, known))
		case read == nil:
			return d.Errf("%s: not in this build", name)
		case seen[name] && !repeatable[name]:
			return d.Errf("%s: given twice", name)
		}
		seen[name] = true
		if err := read(d); err != nil {
			return err
		}
	}
	return nil
}

// suggestion returns the nearest option, else all of them.
func suggestion(name string, known options) string {
	names := sortedNames(known)
	if near, ok := regions.Nearest(name, names); ok {
		return ", did you mean " + quote(near) + "?"
	}
	return "; options here: " + joinNames(names)
}

func parseCORS(d *caddyfile.Dispenser, into **CORS) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	policy := new(CORS)
	*into = policy
	return block(d, options{
		"origin": func(d *caddyfile.Dispenser) error {
			args := d.RemainingArgs()
			if len(args) == 0 {
				return d.ArgErr()
			}
			policy.Origins = append(policy.Origins, args...)
			return nil
		},
		"credentials": func(d *caddyfile.Dispenser) error { return onOff(d, &policy.Credentials) },
	})
}
