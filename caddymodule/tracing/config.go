package tracing

import (
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
	if c == nil {
		return nil
	}
	return options.CheckSample("tracing", c.Sample)
}

// UnmarshalCaddyfile reads
//
//	tracing {
//		sample <percent>
//	}
//
// of which the block may be left out.
func (c *Config) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return options.Sample(d, "tracing", &c.Sample)
}
