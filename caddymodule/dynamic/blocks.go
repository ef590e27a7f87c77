package dynamic

import (
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/options"
)

// arguments are the options of Caddy's own modules that may be given on the line of
// the module instead, in their order.
var arguments = map[string][]string{
	"a":   {"name", "port"},
	"srv": {"name"},
}

// blockOptions are the options in the blocks of Caddy's own modules.
var blockOptions = map[string][]string{
	"a":   {"name", "port", "refresh", "resolvers", "dial_timeout", "dial_fallback_delay", "versions"},
	"srv": {"service", "proto", "name", "refresh", "resolvers", "dial_timeout", "dial_fallback_delay", "grace_period"},
}

// checkBlock refuses options that Caddy's own modules do not have, with the nearest one,
// and options that are given twice, of which Caddy takes the last without a word. The
// dispenser is on the name of the module, and is moved past it.
func checkBlock(d *caddyfile.Dispenser) error {
	module := d.Val()
	if module == "multi" {
		for nesting := d.Nesting(); d.NextBlock(nesting); {
			if err := known(d.Val()); err != nil {
				return d.Errf("dynamic multi: %v", err)
			}
			if err := checkBlock(d); err != nil {
				return err
			}
		}
		return nil
	}
	if blockOptions[module] == nil {
		d.NextSegment()
		return nil
	}
	given := arguments[module]
	given = given[:min(len(d.RemainingArgs()), len(given))]
	table := make(options.Table)
	for _, name := range blockOptions[module] {
		table[name] = func(d *caddyfile.Dispenser) error {
			if slices.Contains(given, name) {
				return d.Errf("%s: given twice, keep one", name)
			}
			d.RemainingArgs() // the module reads them
			return nil
		}
	}
	return options.Block(d, table)
}
