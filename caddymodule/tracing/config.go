package tracing

import (
	"errors"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/options"
)

// Config is the option tracing.
type Config struct {
	// The share of calls that are traced, in percent, above 0. A call that comes from a
	// trusted proxy with a trace context is traced if that one is sampled. Default: 1.
	Sample float64 `json:"sample,omitempty"`
}

// Shares of calls, in percent.
const (
	defaultSample = 1
	allSampled    = 100
)

// Check returns what is wrong with the option. Nil is right: no tracing.
func (c *Config) Check() error {
	if c != nil && !(c.Sample >= 0 && c.Sample <= allSampled) {
		return errors.New("tracing: sample: must be above 0 and at most 100, in percent")
	}
	return nil
}

// UnmarshalCaddyfile reads
//
//	tracing {
//		sample <percent>
//	}
//
// of which the block may be left out.
func (c *Config) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Errf("tracing: unexpected %q; write `%s`", d.Val(), options.Form("tracing"))
	}
	return options.Block(d, options.Table{"sample": func(d *caddyfile.Dispenser) error {
		var text string
		if err := options.String(d, &text); err != nil {
			return err
		}
		number, percent := strings.CutSuffix(text, "%")
		share, err := strconv.ParseFloat(number, 64)
		if err != nil || !percent || !(share > 0 && share <= allSampled) {
			return d.Errf("sample %q: must be above 0%% and at most 100%%; write `%s`", text, options.Form("sample"))
		}
		c.Sample = share
		return nil
	}})
}
