package exporters

import (
	"errors"
	"net/url"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/options"
)

// secretArg reads the only argument of an option that may be filled in later. The
// error does not repeat it.
func secretArg(d *caddyfile.Dispenser, into *string, form string) error {
	name, args := d.Val(), d.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		return d.Errf("%s: one argument is needed, %d were given%s; write `%s`", name, len(args), options.UnsetVariable(d), form)
	}
	*into = args[0]
	return nil
}

// urlArg reads the URL of a service.
func urlArg(d *caddyfile.Dispenser, into *string) error {
	if err := options.String(d, into); err != nil {
		return err
	}
	if err := checkURL(*into); err != nil {
		return d.Errf("url: %w", err)
	}
	return nil
}

// checkURL says whether something can be sent to a URL. The error does not repeat
// it, it may have a password in it.
func checkURL(text string) error {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
		return errors.New("it must begin with http:// or https:// and name a host")
	}
	return nil
}
