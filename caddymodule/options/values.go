package options

import (
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"
)

// Duration reads a positive duration such as 150s, in nanoseconds.
func Duration[T ~int64](d *caddyfile.Dispenser, into *T) error {
	name := d.Val()
	var text string
	if err := String(d, &text); err != nil {
		return err
	}
	value, err := caddy.ParseDuration(text)
	if err != nil || value <= 0 {
		return d.Errf("%s %q: must be a positive duration such as 150s", name, text)
	}
	*into = T(value)
	return nil
}

// Size reads a positive number of bytes such as 100MB or 64MiB.
func Size[T ~int64](d *caddyfile.Dispenser, into *T) error {
	name := d.Val()
	var text string
	if err := String(d, &text); err != nil {
		return err
	}
	value, err := humanize.ParseBytes(text)
	if err != nil || value == 0 || value > 1<<62 {
		return d.Errf("%s %q: must be a size such as 100MB", name, text)
	}
	*into = T(value)
	return nil
}

// Coordinates returns the latitude and longitude, in degrees, that the two
// arguments of an option give.
func Coordinates(d *caddyfile.Dispenser, name string, args []string) (lat, lon float64, err error) {
	lat, errLat := strconv.ParseFloat(args[0], 64)
	lon, errLon := strconv.ParseFloat(args[1], 64)
	// The negated form refuses NaN as well.
	if errLat != nil || errLon != nil || !(lat >= -90 && lat <= 90) || !(lon >= -180 && lon <= 180) {
		return 0, 0, d.Errf("%s %s: must be a latitude from -90 to 90 and a longitude from -180 to 180, such as 52.5 13.4",
			name, strings.Join(args, " "))
	}
	return lat, lon, nil
}

// Number reads a whole number from 0 to 2147483647.
func Number(d *caddyfile.Dispenser, into *int) error {
	name := d.Val()
	var text string
	if err := String(d, &text); err != nil {
		return err
	}
	n, err := ParseNumber(text)
	if err != nil {
		return d.Errf("%s %q: must be a whole number from 0", name, text)
	}
	*into = n
	return nil
}

// Time reads a point in time as RFC 3339 writes it.
func Time(d *caddyfile.Dispenser, into **time.Time) error {
	name := d.Val()
	var text string
	if err := String(d, &text); err != nil {
		return err
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return d.Errf("%s %q: must be a time such as 2027-01-31T00:00:00Z", name, text)
	}
	*into = &at
	return nil
}

// TimeZone reads the name of an IANA time zone.
func TimeZone(d *caddyfile.Dispenser, into *string) error {
	name := d.Val()
	if err := String(d, into); err != nil {
		return err
	}
	if _, err := time.LoadLocation(*into); err != nil || *into == "Local" {
		return d.Errf("%s %q: must be an IANA time zone such as Europe/Berlin", name, *into)
	}
	return nil
}

// Count reads a whole number from 1 to the highest allowed one.
func Count(d *caddyfile.Dispenser, into *int64, highest int) error {
	name := d.Val()
	var text string
	if err := String(d, &text); err != nil {
		return err
	}
	n, err := ParseNumber(text)
	if err != nil || n < 1 || n > highest {
		return d.Errf("%s %q: must be a whole number from 1 to %d", name, text, highest)
	}
	*into = int64(n)
	return nil
}

// ParseNumber returns the whole number that a text is, from 0 to 2147483647.
func ParseNumber(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err
}
