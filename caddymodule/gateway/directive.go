package gateway

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/routing"
	"github.com/edgegate/edgegate/routing/cors"
	"github.com/edgegate/edgegate/routing/projects"
)

func init() {
	httpcaddyfile.RegisterDirective("edge_functions", parseDirective)
	httpcaddyfile.RegisterDirectiveOrder("edge_functions", httpcaddyfile.Before, "reverse_proxy")
	httpcaddyfile.RegisterDirective("edge_functions_console", laterDirective)
}

// laterDirective refuses a directive that a later version will have.
func laterDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next()
	return nil, h.Errf("%s: %s", h.Val(), projects.NotBuilt)
}

// parseDirective reads the directive as httpcaddyfile.RegisterHandlerDirective does, but
// keeps the matcher for warnOfTraps.
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

// parseCORS reads a policy, and checks it here for errors to have a line.
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

// parseExpose reads names of headers, and checks them here for errors to have a line.
func parseExpose(d *caddyfile.Dispenser, into *[]string) error {
	if err := options.Strings(d, into); err != nil {
		return err
	}
	if _, err := cors.ParseExposed(*into); err != nil {
		return d.Errf("expose: %s", options.OneLine(err))
	}
	return nil
}

// warnOfTraps warns of valid configurations in which no call reaches a function: a
// matcher of the bare prefix, and directives that remove the prefix first.
func warnOfTraps(at caddyfile.Token, matcher caddy.ModuleMap) {
	var paths []string
	if json.Unmarshal(matcher["path"], &paths) == nil && len(paths) > 0 {
		alone := func(path string) bool { return strings.TrimSuffix(path, "/") == routing.Prefix }
		if slices.ContainsFunc(paths, alone) && !slices.ContainsFunc(paths, func(path string) bool { return strings.Contains(path, "*") }) {
			options.Warn(at.File, at.Line, "edge_functions: the matcher "+strings.Join(paths, " ")+
				" is that path alone, so no function is reached; write `edge_functions /functions/v1/*`")
		}
	}
	own := options.StatementAt(at, "edge_functions")
	if own == nil {
		return
	}
	for block := own.Parent; block != nil; block = block.Parent {
		for _, beside := range block.Inner {
			if len(beside.Words) > 2 && beside.Words[0] == "uri" && stripsFunctionsPath(beside.Words[len(beside.Words)-2:]) {
				options.Warn(at.File, beside.Line, fmt.Sprintf("uri strip_prefix: takes %s away before edge_functions sees the path, so every call is 404; remove the line, "+
					"functions get their paths without the prefix by themselves", routing.Prefix))
			}
		}
		if len(block.Words) > 1 && block.Words[0] == "handle_path" && isPrefixOfFunctionsPath(block.Words[1]) {
			options.Warn(at.File, block.Line, fmt.Sprintf("handle_path %s: takes %s away before edge_functions sees the path, so every call is 404; write `handle /functions/v1/*`, "+
				"or `edge_functions /functions/v1/*` without a block round it", block.Words[1], routing.Prefix))
		}
	}
}

func stripsFunctionsPath(words []string) bool {
	return words[0] == "strip_prefix" && isPrefixOfFunctionsPath(words[1])
}

// isPrefixOfFunctionsPath reports whether a path that is stripped contains a part of
// the prefix of functions.
func isPrefixOfFunctionsPath(path string) bool {
	path = strings.TrimRight(path, "*")
	path = strings.TrimSuffix(path, "/")
	return path != "" && (path == routing.Prefix || strings.HasPrefix(routing.Prefix, path+"/") || strings.HasPrefix(path, routing.Prefix+"/"))
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Handler)(nil)
