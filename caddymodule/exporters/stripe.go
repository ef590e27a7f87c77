package gateway

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/ratelimit/usage/stripemeter"
)

func init() {
	caddy.RegisterModule(new(StripeExporter))
}

// StripeExporter tells Stripe's billing meters what each organization used in an
// hour, and what of it is beyond what its plan includes. Organizations need a
// stripe_customer.
type StripeExporter struct {
	// The secret key, or a restricted one that may write meter events and read
	// meters, their summaries and events. May have {env.X} in it.
	APIKey string `json:"api_key"`

	// The event name of the meter of all invocations.
	Meter string `json:"meter"`

	// The event name of the meter of those that are to be paid: those beyond what is
	// included. Default: that of the other meter with _overage after it; off: none.
	OverageMeter string `json:"overage_meter,omitempty"`

	// Where Stripe's API is. Default: https://api.stripe.com.
	URL string `json:"url,omitempty"`

	customers            func() map[string]string
	*stripemeter.Service `json:"-"`
}

// off is the meter that is none.
const off = "off"

// CaddyModule returns the Caddy module information.
func (*StripeExporter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  exporterNamespace + ".stripe",
		New: func() caddy.Module { return new(StripeExporter) },
	}
}

// UseCustomers implements CustomerUser.
func (s *StripeExporter) UseCustomers(stripe func() map[string]string) { s.customers = stripe }

// Provision checks the options. It calls nobody.
func (s *StripeExporter) Provision(caddy.Context) error {
	switch {
	case s.APIKey == "":
		return errors.New("stripe: api_key is missing; write `api_key {env.STRIPE_KEY}`")
	case s.Meter == "":
		return errors.New("stripe: meter is missing; write `meter edge_invocations`, the event name of a billing meter")
	}
	key, err := ResolveKey(s.APIKey)
	if err != nil {
		return fmt.Errorf("stripe: api_key: %w", err)
	}
	if err := checkURL(s.URL); s.URL != "" && err != nil {
		return fmt.Errorf("stripe: url: %w", err)
	}
	overage := s.OverageMeter
	switch overage {
	case "":
		overage = s.Meter + "_overage"
	case off:
		overage = ""
	}
	s.Service = stripemeter.New(stripemeter.Config{
		Key: key, Meter: s.Meter, Overage: overage, URL: s.URL,
		Customers: func() map[string]string { return s.customers() },
	})
	return nil
}

// UnmarshalCaddyfile reads
//
//	stripe {
//		api_key <key>
//		meter <event name>
//		overage_meter <event name>|off
//		url <url>
//	}
func (s *StripeExporter) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.Errf("export stripe: %q: it takes no arguments; write `%s`", d.Val(), exportStripeForm)
	}
	err := options.Block(d, options.Table{
		"api_key":       func(d *caddyfile.Dispenser) error { return secretArg(d, &s.APIKey, exportStripeForm) },
		"meter":         func(d *caddyfile.Dispenser) error { return options.String(d, &s.Meter) },
		"overage_meter": func(d *caddyfile.Dispenser) error { return options.String(d, &s.OverageMeter) },
		"url":           func(d *caddyfile.Dispenser) error { return urlArg(d, &s.URL) },
	})
	if err == nil && (s.APIKey == "" || s.Meter == "") {
		err = d.Errf("export stripe: api_key and meter are needed; write `%s`", exportStripeForm)
	}
	return err
}

const exportStripeForm = "export stripe { api_key {env.STRIPE_KEY} meter edge_invocations }"

// Interface guards
var (
	_ Exporter              = (*StripeExporter)(nil)
	_ usage.RejectionSource = (*StripeExporter)(nil)
	_ CustomerUser          = (*StripeExporter)(nil)
	_ caddy.Provisioner     = (*StripeExporter)(nil)
	_ caddyfile.Unmarshaler = (*StripeExporter)(nil)
)
