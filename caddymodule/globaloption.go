package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/edgegate/edgegate/routing/projects"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("edge_functions", parseGlobalOption)
}

func parseGlobalOption(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		return nil, d.Errf("edge_functions: given twice")
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
//		nearest gateway
//		region <name> {
//			backend <address...>
//			coordinates <latitude> <longitude>
//			bias <duration>
//		}
//		idle_timeout <duration>
//		max_body <size>
//		project default {
//			...
//		}
//	}
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	return block(d, options{
		"apex":         func(d *caddyfile.Dispenser) error { return oneArg(d, &a.Apex) },
		"location":     a.parseLocation,
		"nearest":      a.parseNearest,
		"region":       a.parseRegion,
		"idle_timeout": func(d *caddyfile.Dispenser) error { return duration(d, &a.IdleTimeout) },
		"max_body":     func(d *caddyfile.Dispenser) error { return size(d, &a.MaxBody) },
		"project":      a.parseProject,
		"locate":       nil,
		"projects":     nil,
		"store":        nil,
		"rate_limit":   nil,
		"plan":         nil,
		"export":       nil,
	})
}

func (a *App) parseLocation(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	switch len(args) {
	case 1:
		a.Location = &Location{Region: args[0]}
	case 2:
		lat, lon, err := coordinates(d, "location", args)
		if err != nil {
			return err
		}
		a.Location = &Location{Latitude: &lat, Longitude: &lon}
	default:
		return d.Errf("location: give a region name, or latitude and longitude")
	}
	return nil
}

func (a *App) parseNearest(d *caddyfile.Dispenser) error {
	if err := oneOf(d, &a.Nearest, "gateway", "client"); err != nil {
		return err
	}
	if a.Nearest == "client" {
		return d.Errf("nearest client: not in this build")
	}
	return block(d, options{"max_spill": nil})
}

func (a *App) parseRegion(d *caddyfile.Dispenser) error {
	region := new(Region)
	if err := oneArg(d, &region.Name); err != nil {
		return err
	}
	for _, other := range a.Regions {
		if other.Name == region.Name {
			return d.Errf("region %s: given twice", region.Name)
		}
	}
	a.Regions = append(a.Regions, region)
	err := block(d, options{
		"backend": func(d *caddyfile.Dispenser) error {
			args := d.RemainingArgs()
			if len(args) == 0 {
				return d.ArgErr()
			}
			region.Backends = append(region.Backends, args...)
			return nil
		},
		"coordinates": func(d *caddyfile.Dispenser) error {
			args := d.RemainingArgs()
			if len(args) != 2 {
				return d.ArgErr()
			}
			lat, lon, err := coordinates(d, "coordinates", args)
			region.Coordinates = &[2]float64{lat, lon}
			return err
		},
		"bias":       func(d *caddyfile.Dispenser) error { return parseBias(d, &region.Bias) },
		"capacity":   nil,
		"health_uri": nil,
	})
	if err != nil {
		return err
	}
	if _, err := region.build(); err != nil {
		return d.Errf("%v", err)
	}
	if len(region.Backends) == 0 {
		return d.Errf("region %s: no backend; add `backend http://HOST:PORT`", region.Name)
	}
	return nil
}

// parseBias reads a duration that may be negative.
func parseBias(d *caddyfile.Dispenser, into *caddy.Duration) error {
	var text string
	if err := oneArg(d, &text); err != nil {
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
	if err := oneArg(d, &ref); err != nil {
		return err
	}
	if ref != projects.DefaultRef {
		return d.Errf("project %q: the one project of a Caddyfile is called default", ref)
	}
	a.Project = new(Project)
	return a.Project.UnmarshalCaddyfile(d)
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*App)(nil)
	_ caddyfile.Unmarshaler = (*Handler)(nil)
)
