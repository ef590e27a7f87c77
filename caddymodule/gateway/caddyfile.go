package gateway

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/edgegate/edgegate/caddymodule/logs"
	"github.com/edgegate/edgegate/caddymodule/metrics"
	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/caddymodule/tracing"
	"github.com/edgegate/edgegate/regions/spelling"
	"github.com/edgegate/edgegate/routing/projects"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("edge_functions", parseGlobalOption)
}

func parseGlobalOption(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		d.Next()
		return nil, d.Errf("edge_functions: given twice, put everything into one block")
	}
	app := new(App)
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "edge_functions", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile reads the global option:
//
//	edge_functions {
//		apex <domain>
//		location <region> | <latitude> <longitude>
//		nearest gateway|client {
//			max_spill <duration>
//			max_detour <duration>
//		}
//		region <name> {
//			backend <address...>
//			coordinates <latitude> <longitude>
//			bias <duration>
//			capacity <number>
//			websockets <number>
//			health_uri <path>
//			tls {
//				...
//			}
//		}
//		locate {
//			header <name...>
//			mmdb <file...>
//		}
//		debug_secret <secret>
//		retry_status <status...>
//		retry_sent on|off
//		retry_body <size>
//		idle_timeout <duration>
//		max_body <size>
//		memory replay|tokens|limits <size>
//		rate_limit project|function|client_ip|subject <n>/<time> [burst <n>] [local|shared|strict] [shadow]
//		in_flight project|function|client_ip <number>
//		capacity_share <percent>
//		invocation_log {
//			sample <percent>
//		}
//		tracing {
//			sample <percent>
//		}
//		request_metrics on|off
//		top_projects <number>
//		jwks_private on|off
//		currency <code>
//		plan <name> {
//			functions <number>
//			wall_clock <duration>
//			quota <number>
//			overage <price> per <number>
//			spend_cap on|off
//			weight <number>
//			meter_unavailable closed|open
//		}
//		project default {
//			...
//		}
//		projects file <path>
//		projects redis [<url>]
//		store embedded [<directory>] {
//			sync none|group|strict
//		}
//		store redis <url> [<directory>] {
//			...
//		}
//		export file <directory> {
//			format csv|jsonl|parquet|focus
//		}
//		export stripe {
//			...
//		}
//		export webhook <url> {
//			...
//		}
//	}
//
// The blocks of regions, plans, projects and the store are read in the files of
// their names, those of projects sources and exporters by their modules.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.Errf("edge_functions: unexpected %q; the global option has a block only", d.Val())
	}
	at := *d
	// Options may name regions that are listed after them: they are checked at the
	// end, and the errors are reported at their own lines.
	var located, projected, sourced caddyfile.Dispenser
	var prices []pricedLine
	err := options.Block(d, options.Table{
		"apex":         a.parseApex,
		"location":     func(d *caddyfile.Dispenser) error { located = *d; return a.parseLocation(d) },
		"nearest":      a.parseNearest,
		"region":       a.parseRegion,
		"retry_sent":   func(d *caddyfile.Dispenser) error { return options.OnOff(d, &a.retry().Sent) },
		"retry_status": a.parseRetryStatus,
		"retry_body":   a.parseRetryBody,
		"idle_timeout": func(d *caddyfile.Dispenser) error { return options.Duration(d, &a.IdleTimeout) },
		"max_body":     func(d *caddyfile.Dispenser) error { return options.Size(d, &a.MaxBody) },
		"memory":       a.parseMemory,
		"project":      func(d *caddyfile.Dispenser) error { projected = *d; return a.parseProject(d) },
		"projects":     func(d *caddyfile.Dispenser) error { sourced = *d; return a.parseProjects(d) },
		"store":        a.parseStore,
		"currency":     a.parseCurrency,
		"jwks_private": func(d *caddyfile.Dispenser) error { return options.OnOff(d, &a.JWKSPrivate) },
		"plan":         func(d *caddyfile.Dispenser) error { return a.parsePlan(d, &prices) },
		"locate":       a.parseLocate,
		"debug_secret": a.parseDebugSecret,
		"rate_limit":   a.parseRateLimit,
		"export":       a.parseExport,
		"in_flight":    a.parseInFlight,

		"capacity_share": a.parseCapacityShare,
		"invocation_log": a.parseInvocationLog,

		"tracing":         a.parseTracing,
		"request_metrics": a.parseRequestMetrics,
		"top_projects":    a.parseTopProjects,

		"placement": nil,
	})
	if err != nil {
		return err
	}
	for _, p := range prices {
		if err := a.checkPrice(p.overage); err != nil {
			return p.at.WrapErr(err)
		}
	}
	set, err := a.regionSet()
	if err != nil {
		return at.Errf("%s", options.OneLine(err))
	}
	if _, err := a.gatewayLocation(set); err != nil {
		return located.Errf("%s", options.OneLine(err))
	}
	switch {
	case a.Project == nil && a.ProjectsRaw == nil:
		return at.Errf("%s", noProject)
	case a.Project != nil && a.ProjectsRaw != nil:
		return sourced.Errf("%s", bothProjects)
	case a.Project == nil:
		return nil
	}
	if err := a.Project.checkRegions(set); err != nil {
		return projected.Errf("project %s: %s", projects.DefaultRef, options.OneLine(err))
	}
	if err := a.checkPlan(); err != nil {
		return projected.Errf("project %s: %s", projects.DefaultRef, options.OneLine(err))
	}
	return nil
}

func (a *App) parseApex(d *caddyfile.Dispenser) error {
	if err := options.String(d, &a.Apex); err != nil {
		return err
	}
	if _, err := projects.NewSingle(new(projects.Project), a.Apex); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (a *App) parseProject(d *caddyfile.Dispenser) error {
	var ref string
	if err := options.String(d, &ref); err != nil {
		return err
	}
	if ref != projects.DefaultRef {
		return d.Errf("project %q: the one project of a Caddyfile is called default; write `%s`", ref, options.Form("project"))
	}
	at := *d
	a.Project = new(Project)
	if err := a.Project.UnmarshalCaddyfile(d); err != nil {
		return err
	}
	a.Project.warnOfNoCredentials(&at)
	return nil
}

// parseProjects reads a source by the module of its name.
func (a *App) parseProjects(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Errf("projects: the source is missing%s; write `%s`", options.UnsetVariable(d), options.Form("projects"))
	}
	name, sources := d.Val(), sourceNames()
	if !slices.Contains(sources, name) {
		return d.Errf("projects %q: allowed are %s%s", name, strings.Join(sources, ", "), spelling.DidYouMean(name, sources))
	}
	source, err := caddyfile.UnmarshalModule(d, sourceNamespace+"."+name)
	if err != nil {
		return err
	}
	a.ProjectsRaw = caddyconfig.JSONModuleObject(source, "source", name, nil)
	return nil
}

func (a *App) parseInvocationLog(d *caddyfile.Dispenser) error {
	a.InvocationLog = new(logs.InvocationLogConfig)
	return a.InvocationLog.UnmarshalCaddyfile(d)
}

func (a *App) parseTracing(d *caddyfile.Dispenser) error {
	a.Tracing = new(tracing.Config)
	return a.Tracing.UnmarshalCaddyfile(d)
}

func (a *App) parseRequestMetrics(d *caddyfile.Dispenser) error {
	a.RequestMetrics = new(bool)
	return options.OnOff(d, a.RequestMetrics)
}

func (a *App) parseTopProjects(d *caddyfile.Dispenser) error {
	if err := options.Number(d, &a.TopProjects); err != nil {
		return err
	}
	if a.TopProjects > metrics.MostTopProjects {
		return d.Errf("top_projects %d: must be a whole number from 0 to %d", a.TopProjects, metrics.MostTopProjects)
	}
	return nil
}

func (a *App) parseDebugSecret(d *caddyfile.Dispenser) error {
	args, err := options.Arguments(d, 1, 1)
	if err == nil {
		a.DebugSecret = args[0]
	}
	return err
}

// Interface guards
var _ caddyfile.Unmarshaler = (*App)(nil)
