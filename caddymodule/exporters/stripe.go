package exporters

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/audit"
	"github.com/edgegate/edgegate/caddymodule/gateway"
	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/ratelimit/usage/stripemeter"
	"github.com/edgegate/edgegate/routing/projects"
)

func init() {
	caddy.RegisterModule(new(Stripe))
}

// Stripe tells Stripe's billing meters what each organization used in an
// hour, and what of it is beyond what its plan includes. Organizations need a
// stripe_customer.
type Stripe struct {
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

	organizations        func() iter.Seq[*projects.Organization]
	*stripemeter.Service `json:"-"`
}

// off is the meter that is none.
const off = "off"

// CaddyModule returns the Caddy module information.
func (*Stripe) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  gateway.ExporterNamespace + ".stripe",
		New: func() caddy.Module { return new(Stripe) },
	}
}

// UseOrganizations implements gateway.OrganizationUser.
func (s *Stripe) UseOrganizations(inForce func() iter.Seq[*projects.Organization]) {
	s.organizations = inForce
}

// customers returns the Stripe customers by the ids of their organizations.
func (s *Stripe) customers() map[string]string {
	customers := make(map[string]string)
	for o := range s.organizations() {
		if o.StripeCustomer != "" {
			customers[o.ID] = o.StripeCustomer
		}
	}
	return customers
}

// Provision checks the options. It calls nobody.
func (s *Stripe) Provision(caddy.Context) error {
	switch {
	case s.APIKey == "":
		return errors.New("stripe: api_key is missing; write `api_key {env.STRIPE_KEY}`")
	case s.Meter == "":
		return errors.New("stripe: meter is missing; write `meter edge_invocations`, the event name of a billing meter")
	}
	key, err := gateway.ResolveKey(s.APIKey)
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
		Key:       key,
		Meter:     s.Meter,
		Overage:   overage,
		URL:       s.URL,
		Customers: s.customers,
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
func (s *Stripe) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
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

// Audit implements audit.Auditor.
func (s *Stripe) Audit() (findings []audit.Finding) {
	if audit.Unencrypted(s.URL) {
		findings = append(findings, audit.Finding{
			Severity: audit.High,
			Check:    "exporter_in_clear",
			Subject:  s.Name(),
			Message:  "the secret key goes over the network in clear",
			Remedy:   "use an https URL, or leave `url` out",
		})
	}
	if !options.HasEnv(s.APIKey) {
		findings = append(findings, audit.Finding{
			Severity: audit.Low,
			Check:    "exporter_key_in_file",
			Subject:  s.Name(),
			Message:  "the secret key stands in the configuration, which the admin API shows",
			Remedy:   "write `api_key {env.STRIPE_KEY}`",
		})
	}
	var missing []string
	for o := range s.organizations() {
		if o.StripeCustomer == "" {
			missing = append(missing, o.ID)
		}
	}
	if n := len(missing); n > 0 {
		slices.Sort(missing)
		findings = append(findings, audit.Finding{
			Severity: audit.Medium,
			Check:    "exporter_customers",
			Subject:  s.Name(),
			Message:  fmt.Sprintf("%d organizations have no Stripe customer, %s among them: what they use is held, and lost to Stripe after 35 days", n, missing[0]),
			Remedy:   "set stripe_customer of each",
		})
	}
	return findings
}

// Interface guards
var (
	_ audit.Auditor            = (*Stripe)(nil)
	_ gateway.Exporter         = (*Stripe)(nil)
	_ usage.RejectionSource    = (*Stripe)(nil)
	_ usage.SumSource          = (*Stripe)(nil)
	_ gateway.OrganizationUser = (*Stripe)(nil)
	_ caddy.Provisioner        = (*Stripe)(nil)
	_ caddyfile.Unmarshaler    = (*Stripe)(nil)
)
