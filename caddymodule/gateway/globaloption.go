package gateway

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/regions"
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
//	}
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.Errf("edge_functions: unexpected %q; the global option has a block only", d.Val())
	}
	at := *d
	// Regions may be listed after what names them, so that is judged at the
	// end, but reported where it stands.
	var located, projected, sourced caddyfile.Dispenser
	var prices []priced
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

		"placement": nil, "invocation_log": nil, "top_projects": nil,
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

func (a *App) parseLocation(d *caddyfile.Dispenser) error {
	args, err := options.PlainArguments(d, 1, 2)
	if err != nil {
		return err
	}
	if len(args) == 1 {
		a.Location = &Location{Region: args[0]}
		return nil
	}
	lat, lon, err := options.Coordinates(d, "location", args)
	a.Location = &Location{Latitude: &lat, Longitude: &lon}
	return err
}

func (a *App) parseRegion(d *caddyfile.Dispenser) error {
	region, at := new(Region), *d
	if err := options.String(d, &region.Name); err != nil {
		return err
	}
	for _, other := range a.Regions {
		if other.Name == region.Name {
			return d.Errf("region %s: given twice, put its backends into one block", region.Name)
		}
	}
	a.Regions = append(a.Regions, region)
	err := options.Block(d, options.Table{
		"backend": func(d *caddyfile.Dispenser) error { return region.parseBackend(d) },
		"coordinates": func(d *caddyfile.Dispenser) error {
			args, err := options.PlainArguments(d, 2, 2)
			if err != nil {
				return err
			}
			lat, lon, err := options.Coordinates(d, "coordinates", args)
			region.Coordinates = &[2]float64{lat, lon}
			return err
		},
		"bias": func(d *caddyfile.Dispenser) error { return parseBias(d, &region.Bias) },
		"capacity": func(d *caddyfile.Dispenser) error {
			var capacity int
			err := options.Number(d, &capacity)
			region.Capacity = int64(capacity)
			return err
		},
		"websockets": func(d *caddyfile.Dispenser) error { return options.Count(d, &region.WebSockets, regions.MaxCapacity) },
		"health_uri": func(d *caddyfile.Dispenser) error { return options.String(d, &region.HealthURI) },
		"tls": func(d *caddyfile.Dispenser) error {
			region.TLS = new(BackendTLS)
			return region.TLS.UnmarshalCaddyfile(d)
		},
		"dynamic": nil,
	})
	if err != nil {
		return err
	}
	built, err := region.build()
	if err == nil {
		_, err = regions.NewSet([]regions.Region{built})
	}
	if err != nil {
		return at.Errf("%s", options.OneLine(err))
	}
	return nil
}

// parseBackend reads addresses, each of which must be right by itself.
func (r *Region) parseBackend(d *caddyfile.Dispenser) error {
	if err := options.Strings(d, &r.Backends); err != nil {
		return err
	}
	if _, err := r.build(); err != nil {
		return d.Errf("%s", options.OneLine(err))
	}
	return nil
}

// parseBias reads a duration that may be negative.
func parseBias(d *caddyfile.Dispenser, into *caddy.Duration) error {
	var text string
	if err := options.String(d, &text); err != nil {
		return err
	}
	value, err := caddy.ParseDuration(text)
	if err != nil {
		return d.Errf("bias %q: must be a duration such as 10ms", text)
	}
	*into = caddy.Duration(value)
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

func (a *App) parseDebugSecret(d *caddyfile.Dispenser) error {
	args, err := options.Arguments(d, 1, 1)
	if err == nil {
		a.DebugSecret = args[0]
	}
	return err
}

func (a *App) parseStore(d *caddyfile.Dispenser) error {
	args, err := options.Arguments(d, 1, 3)
	if err != nil {
		return err
	}
	a.Store = &Store{Kind: args[0]}
	switch rest := args[1:]; {
	case args[0] == storeEmbedded && len(rest) < 2:
	case args[0] == storeRedis && len(rest) > 0:
		if err := CheckRedisURL(rest[0]); err != nil {
			return d.Errf("store: %w", err)
		}
		a.Store.URL, args = rest[0], rest
	default:
		return d.Errf("store: write `%s`", options.Form("store"))
	}
	if len(args) == 2 {
		a.Store.Path = args[1]
	}
	return options.Block(d, options.Table{
		"sync": func(d *caddyfile.Dispenser) error { return options.OneOf(d, &a.Store.Sync, metering.SyncModes()...) },
	})
}

func (a *App) parsePlan(d *caddyfile.Dispenser, prices *[]priced) error {
	var name string
	if err := options.String(d, &name); err != nil {
		return err
	}
	if _, twice := a.Plans[name]; twice {
		return d.Errf("plan %s: given twice, put its options into one block", name)
	}
	plan := new(Plan)
	if a.Plans == nil {
		a.Plans = make(map[string]*Plan)
	}
	a.Plans[name] = plan
	return options.Block(d, options.Table{
		"functions": func(d *caddyfile.Dispenser) error {
			plan.Functions = new(int)
			return options.Number(d, plan.Functions)
		},
		"wall_clock": func(d *caddyfile.Dispenser) error { return options.Duration(d, &plan.WallClock) },
		"quota":      func(d *caddyfile.Dispenser) error { return quotaValue(d, &plan.Quota) },
		"overage": func(d *caddyfile.Dispenser) error {
			at := *d
			if err := overage(d, &plan.Overage); err != nil {
				return err
			}
			*prices = append(*prices, priced{at, plan.Overage})
			return nil
		},
		"spend_cap": func(d *caddyfile.Dispenser) error {
			plan.SpendCap = new(bool)
			return options.OnOff(d, plan.SpendCap)
		},
		"weight": func(d *caddyfile.Dispenser) error { return options.Count(d, &plan.Weight, projects.MaxWeight) },
		"meter_unavailable": func(d *caddyfile.Dispenser) error {
			return options.OneOf(d, &plan.MeterUnavailable, meterClosed, meterOpen)
		},
	})
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*App)(nil)
	_ caddyfile.Unmarshaler = (*Handler)(nil)
)
