package gateway

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/geo"
)

// Region is one region and the backends in it.
type Region struct {
	// The name that clients ask for.
	Name string `json:"name"`

	// Where the runtimes are: http://HOST[:PORT], https://HOST[:PORT],
	// h2c://HOST[:PORT], unix//PATH or unix+h2c//PATH.
	Backends []string `json:"backends"`

	// How many requests the region can run at once. Default: unknown, and so
	// never full.
	Capacity int64 `json:"capacity,omitempty"`

	// How many WebSockets the region can have open at once, which count for nothing
	// else. Default: four times the capacity, without one any number.
	WebSockets int64 `json:"websockets,omitempty"`

	// What backends are asked for to see whether they live. One that is named
	// must answer 2xx. Default: /_internal/health, where any answer will do.
	HealthURI string `json:"health_uri,omitempty"`

	// How TLS connections to https backends are made. Default: by the system's
	// authorities, without a certificate.
	TLS *BackendTLS `json:"tls,omitempty"`

	// Latitude and longitude in degrees; needed for names that are not known
	// out of the box.
	Coordinates *[2]float64 `json:"coordinates,omitempty"`

	// Added to the region's expected round trip when regions are compared.
	Bias caddy.Duration `json:"bias,omitempty"`
}

func (r *Region) build() (regions.Region, error) {
	if r == nil {
		return regions.Region{}, errors.New("regions: null is no region")
	}
	region := regions.Region{
		Name:       r.Name,
		Bias:       time.Duration(r.Bias),
		Capacity:   r.Capacity,
		WebSockets: r.WebSockets,
		HealthURI:  r.HealthURI,
	}
	if r.Coordinates != nil {
		region.Coordinates = geo.Coordinates{Latitude: r.Coordinates[0], Longitude: r.Coordinates[1]}
		region.HasCoordinates = true
	}
	var errs []error
	if r.TLS != nil {
		if err := r.TLS.check(r.Backends); err != nil {
			errs = append(errs, fmt.Errorf("region %q: %w", r.Name, err))
		}
	}
	for _, address := range r.Backends {
		backend, err := regions.ParseBackend(address)
		if err != nil {
			errs = append(errs, fmt.Errorf("region %q: %w", r.Name, err))
			continue
		}
		region.Backends = append(region.Backends, backend)
	}
	return region, errors.Join(errs...)
}

// regionSet returns the regions of the configuration, or all their errors.
func (a *App) regionSet() (*regions.Set, error) {
	if len(a.Regions) == 0 {
		return nil, errors.New("no regions: add `region NAME { backend http://HOST:PORT }` to the edge_functions global option")
	}
	var errs []error
	list := make([]regions.Region, 0, len(a.Regions))
	for _, r := range a.Regions {
		region, err := r.build()
		if err != nil {
			errs = append(errs, err)
		}
		list = append(list, region)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return regions.NewSet(list)
}

// parseRegion reads
//
//	region <name> {
//		backend <address...>
//		coordinates <latitude> <longitude>
//		bias <duration>
//		capacity <number>
//		websockets <number>
//		health_uri <path>
//		tls {
//			...
//		}
//	}
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

// parseBackend reads addresses of backends, and checks them while their line is
// known.
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
