package options

import (
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/regions/spelling"
)

// notBuilt is said of options that a later version will have. The text is that
// of routing/projects for the same members in JSON.
const notBuilt = "not in this build; see docs/roadmap.md"

// Table maps the names of the options of a block to the functions that read
// them. A function is called with the dispenser on the option's name. A nil
// function is an option that this version does not have yet.
type Table map[string]func(*caddyfile.Dispenser) error

// repeatable marks options that may be given more than once.
var repeatable = map[string]bool{
	"region": true, "backend": true, "dynamic": true, "domain": true, "regions": true, "jwt_secret": true, "api_key": true,
	"function": true, "origin": true, "jwks": true, "jwt_issuer": true, "jwt_audience": true, "jwt_role": true, "plan": true,
	"rate_limit": true, "export": true, "in_flight": true, "memory": true,
}

// Block reads a block of options. The error about an unknown name says what was
// probably meant; options given twice are refused, but for those that list
// several things.
func Block(d *caddyfile.Dispenser, known Table) error {
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
			return d.Errf("%s: %s", name, notBuilt)
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

// suggestion returns the end of an error about an unknown option: what to write
// instead of an option of Caddy's own, the nearest name, the block that the
// option belongs into, or the names of all options here.
func suggestion(name string, known Table) string {
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
