package gateway

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/regions/spelling"
	"github.com/edgegate/edgegate/routing/projects"
)

// ExporterNamespace is the namespace of the modules that are an Exporter.
const ExporterNamespace = "edge_functions.exporters"

// Exporter takes line items when they become final, and their corrections: a guest
// module in the namespace edge_functions.exporters, which `export NAME` in a
// Caddyfile chooses. It is a usage.Deliverer or a usage.Service too, and may be an
// OrganizationUser. Its methods are called by one goroutine at a time; what fails is
// tried again. Package exporters has those that come with the gateway, and an
// example of another.
type Exporter interface {
	caddy.Module
	usage.Sink
}

// OrganizationUser is an Exporter that needs more than the line items of organizations,
// such as the customer at a payment service.
type OrganizationUser interface {
	Exporter

	// UseOrganizations is called once, after the exporter was provisioned. inForce
	// returns the organizations with projects whenever it is called, sorted by their
	// ids; it may be called from any goroutine.
	UseOrganizations(inForce func() iter.Seq[*projects.Organization])
}

// parseExport reads an exporter by the module of its name.
func (a *App) parseExport(d *caddyfile.Dispenser) error {
	names := options.ModuleNames(ExporterNamespace)
	if !d.NextArg() {
		return d.Errf("export: what to is missing%s; write `%s`", options.UnsetVariable(d), options.Form("export"))
	}
	name := d.Val()
	if !slices.Contains(names, name) {
		return d.Errf("export %q: allowed are %s%s", name, strings.Join(names, ", "), spelling.DidYouMean(name, names))
	}
	exporter, err := caddyfile.UnmarshalModule(d, ExporterNamespace+"."+name)
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
		if user, ok := module.(OrganizationUser); ok {
			user.UseOrganizations(a.payingOrganizations)
		}
		if seen[exporter.Name()] {
			return fmt.Errorf("export %s: given twice, keep one", exporter.Name())
		}
		seen[exporter.Name()] = true
		a.exporters = append(a.exporters, exporter)
	}
	return nil
}

// payingOrganizations iterates over the organizations in force, sorted by their ids.
func (a *App) payingOrganizations() iter.Seq[*projects.Organization] {
	return func(yield func(*projects.Organization) bool) {
		for _, o := range a.organizations() {
			if o != nil && !yield(o) {
				return
			}
		}
	}
}
