package gateway

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/regions/spelling"
)

// exporterNamespace is where the modules of Exporter are.
const exporterNamespace = "edge_functions.exporters"

// Exporter is where lines go as they become final or are corrected: a guest
// module in the namespace edge_functions.exporters, that is a usage.Deliverer or a
// usage.Service too. It is asked by one goroutine at a time; what fails is tried
// again.
type Exporter interface {
	caddy.Module
	usage.Sink
}

// CustomerUser is an Exporter that has to know who organizations are elsewhere.
type CustomerUser interface {
	// UseCustomers is told, when it is provisioned, where it finds that.
	UseCustomers(stripe func() map[string]string)
}

// parseExport reads an exporter by the module of its name.
func (a *App) parseExport(d *caddyfile.Dispenser) error {
	names := options.ModuleNames(exporterNamespace)
	if !d.NextArg() {
		return d.Errf("export: what to is missing%s; write `%s`", options.UnsetVariable(d), options.Form("export"))
	}
	name := d.Val()
	if !slices.Contains(names, name) {
		return d.Errf("export %q: allowed are %s%s", name, strings.Join(names, ", "), spelling.DidYouMean(name, names))
	}
	exporter, err := caddyfile.UnmarshalModule(d, exporterNamespace+"."+name)
	if err != nil {
		return err
	}
	a.ExportersRaw = append(a.ExportersRaw, caddyconfig.JSONModuleObject(exporter, "exporter", name, nil))
	return nil
}

// provisionExporters loads the exporters.
func (a *App) provisionExporters(ctx caddy.Context) error {
	if len(a.ExportersRaw) == 0 {
		return nil
	}
	loaded, err := ctx.LoadModule(a, "ExportersRaw")
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	seen := make(map[string]bool)
	for _, module := range loaded.([]any) {
		exporter, ok := module.(Exporter)
		if !ok {
			return fmt.Errorf("export: %T is no exporter", module)
		}
		_, delivers := module.(usage.Deliverer)
		_, serves := module.(usage.Service)
		if !delivers && !serves {
			return fmt.Errorf("export: %T is neither a usage.Deliverer nor a usage.Service", module)
		}
		if u, ok := module.(CustomerUser); ok {
			u.UseCustomers(a.stripeCustomers)
		}
		if seen[exporter.Name()] {
			return fmt.Errorf("export %s: given twice, keep one", exporter.Name())
		}
		seen[exporter.Name()] = true
		a.exporters = append(a.exporters, exporter)
	}
	return nil
}

// stripeCustomers are the organizations that have a customer at Stripe.
func (a *App) stripeCustomers() map[string]string {
	customers := make(map[string]string)
	for _, o := range a.organizations() {
		if o != nil && o.StripeCustomer != "" {
			customers[o.ID] = o.StripeCustomer
		}
	}
	return customers
}
