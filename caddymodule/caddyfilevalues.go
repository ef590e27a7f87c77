package caddymodule

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"
)

// oneArg reads the only argument of the current option.
func oneArg(d *caddyfile.Dispenser, into *string) error {
	name, args := d.Val(), d.RemainingArgs()
	if len(args) != 1 {
		return d.ArgErr()
	}
	if args[0] == "" {
		return d.Errf("%s: must not be empty", name)
	}
	*into = args[0]
	return nil
}

// oneOf reads an argument that must be one of the allowed words.
func oneOf(d *caddyfile.Dispenser, into *string, allowed ...string) error {
	name := d.Val()
	var value string
	if err := oneArg(d, &value); err != nil {
		return err
	}
	if !slices.Contains(allowed, value) {
		return d.Errf("%s %q: allowed are %s%s", name, value, strings.Join(allowed, ", "), didYouMean(value, allowed))
	}
	*into = value
	return nil
}

// onOff reads an argument that must be `on` or `off`.
func onOff(d *caddyfile.Dispenser, into *bool) error {
	var value string
	if err := oneOf(d, &value, "on", "off"); err != nil {
		return err
	}
	*into = value == "on"
	return nil
}

// duration reads a positive duration.
func duration(d *caddyfile.Dispenser, into *caddy.Duration) error {
	name := d.Val()
	var text string
	if err := oneArg(d, &text); err != nil {
		return err
	}
	value, err := caddy.ParseDuration(text)
	if err != nil || value <= 0 {
		return d.Errf("%s %q: must be a positive duration such as 150s", name, text)
	}
	*into = caddy.Duration(value)
	return nil
}

// size reads a number of bytes such as 100MB.
func size(d *caddyfile.Dispenser, into *int64) error {
	name := d.Val()
	var text string
	if err := oneArg(d, &text); err != nil {
		return err
	}
	value, err := humanize.ParseBytes(text)
	if err != nil || value == 0 || value > 1<<62 {
		return d.Errf("%s %q: must be a size such as 100MB", name, text)
	}
	*into = int64(value)
	return nil
}

// coordinates reads a latitude and a longitude in degrees.
func coordinates(d *caddyfile.Dispenser, name string, args []string) (lat, lon float64, err error) {
	lat, errLat := strconv.ParseFloat(args[0], 64)
	lon, errLon := strconv.ParseFloat(args[1], 64)
	// The negated form refuses NaN as well.
	if errLat != nil || errLon != nil || !(lat >= -90 && lat <= 90) || !(lon >= -180 && lon <= 180) {
		return 0, 0, d.Errf("%s %s: must be a latitude from -90 to 90 and a longitude from -180 to 180, such as 52.5 13.4",
			name, strings.Join(args, " "))
	}
	return lat, lon, nil
}

func sortedNames(known options) []string { return slices.Sorted(maps.Keys(known)) }

func quote(name string) string { return strconv.Quote(name) }

func joinNames(names []string) string { return strings.Join(names, ", ") }
