package gateway

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/dynamic"
	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/discovery"
	"github.com/edgegate/edgegate/regions/geo"
)

// Region is one region and the backends in it.
type Region struct {
	// The name that clients ask for.
	Name string `json:"name"`

	// The addresses of the runtimes: http://HOST[:PORT], https://HOST[:PORT],
	// h2c://HOST[:PORT], unix//PATH or unix+h2c//PATH. Of a DNS name all addresses are
	// backends, and it is looked up anew every 5 s.
	Backends []string `json:"backends,omitempty"`

	// Sources of more backends: modules as `dynamic` of reverse_proxy takes them. A
	// region has at least one backend or source.
	Dynamic []json.RawMessage `json:"dynamic,omitempty" caddy:"namespace=http.reverse_proxy.upstreams inline_key=source"`

	// The scheme of the backends of all these sources: http, https or h2c. Default: http.
	DynamicScheme string `json:"dynamic_scheme,omitempty"`

	// The number of requests that the region can run at once. Default: unknown, the
	// region is never full.
	Capacity int64 `json:"capacity,omitempty"`

	// The number of WebSockets that the region can have open at once; they do not count
	// as requests. Default: four times the capacity, or any number without one.
	WebSockets int64 `json:"websockets,omitempty"`

	// The path of health probes, which backends must answer with 2xx. Default:
	// /_internal/health, where any status counts as healthy.
	HealthURI string `json:"health_uri,omitempty"`

	// Options of TLS connections to https backends. Default: the system's authorities,
	// no client certificate.
	TLS *BackendTLS `json:"tls,omitempty"`

	// Latitude and longitude in degrees; needed for names that are not known
	// out of the box.
	Coordinates *[2]float64 `json:"coordinates,omitempty"`

	// Added to the region's expected round trip when regions are compared.
	Bias caddy.Duration `json:"bias,omitempty"`
}

// loadSources returns the sources of a module that `dynamic` names.
type loadSources func(module json.RawMessage, scheme string) ([]discovery.Source, error)

// build returns the region as package regions takes it.
func (r *Region) build(load loadSources) (regions.Region, error) {
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
		if err := r.TLS.check(r.hasHTTPS()); err != nil {
			errs = append(errs, fmt.Errorf("region %q: %w", r.Name, err))
		}
	}
	for _, address := range r.Backends {
		backend, err := regions.ParseBackend(address)
		if err != nil {
			errs = append(errs, fmt.Errorf("region %q: %w", r.Name, err))
			continue
		}
		if source, ok := namedSource(backend); ok {
			region.Sources = append(region.Sources, source)
			continue
		}
		region.Backends = append(region.Backends, backend)
	}
	if err := r.checkScheme(); err != nil {
		errs = append(errs, fmt.Errorf("region %q: %w", r.Name, err))
	}
	for _, module := range r.Dynamic {
		sources, err := load(module, cmp.Or(r.DynamicScheme, "http"))
		if err != nil {
			errs = append(errs, fmt.Errorf("region %q: %w", r.Name, err))
		}
		region.Sources = append(region.Sources, sources...)
	}
	return region, errors.Join(errs...)
}

var dynamicSchemes = []string{"http", "https", "h2c"}

func (r *Region) checkScheme() error {
	switch {
	case r.DynamicScheme == "":
		return nil
	case !slices.Contains(dynamicSchemes, r.DynamicScheme):
		return fmt.Errorf("dynamic_scheme %q: allowed are %s", r.DynamicScheme, strings.Join(dynamicSchemes, ", "))
	case len(r.Dynamic) == 0:
		return errors.New("dynamic_scheme: it is for backends that `dynamic` finds, and there is no `dynamic`; write the scheme in front of each backend")
	}
	return nil
}

// hasHTTPS reports whether backends of the region can have TLS.
func (r *Region) hasHTTPS() bool {
	return len(r.Dynamic) > 0 && r.DynamicScheme == "https" || slices.ContainsFunc(r.Backends, func(address string) bool {
		return strings.HasPrefix(strings.ToLower(address), "https://")
	})
}

// namedSource returns the source of the addresses of a backend that is given by its DNS
// name.
func namedSource(b regions.Backend) (discovery.Source, bool) {
	name, port, ok := b.DNSName()
	if !ok {
		return discovery.Source{}, false
	}
	scheme := b.Scheme
	if b.H2C {
		scheme = "h2c"
	}
	number, err := strconv.ParseUint(port, 10, 16)
	return discovery.HostSource(discovery.Host{
		Display:  b.Address,
		Name:     name,
		Port:     uint16(number),
		Scheme:   scheme,
		HostText: b.Host,
	}), err == nil
}

// regionSet returns the regions of the configuration, or all their errors.
func (a *App) regionSet() (*regions.Set, error) {
	if len(a.Regions) == 0 {
		return nil, errors.New("no regions: add `region NAME { backend http://HOST:PORT }` to the edge_functions global option")
	}
	// Without a context nothing can be loaded: the configuration is only looked at.
	load := loadSources(dynamic.Preview)
	if a.ctx.Context != nil {
		load = func(module json.RawMessage, scheme string) ([]discovery.Source, error) {
			return dynamic.Load(a.ctx, module, scheme)
		}
	}
	var errs []error
	list := make([]regions.Region, 0, len(a.Regions))
	for _, r := range a.Regions {
		region, err := r.build(load)
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
//		dynamic <module> ...
//		dynamic_scheme http|https|h2c
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
		"dynamic": func(d *caddyfile.Dispenser) error {
			module, err := dynamic.Parse(d)
			region.Dynamic = append(region.Dynamic, module)
			return err
		},
		"dynamic_scheme": func(d *caddyfile.Dispenser) error {
			return options.OneOf(d, &region.DynamicScheme, dynamicSchemes...)
		},
	})
	if err != nil {
		return err
	}
	built, err := region.build(dynamic.Preview)
	if err == nil {
		_, err = regions.NewSet([]regions.Region{built})
	}
	if err != nil {
		return at.Errf("%s", options.OneLine(err))
	}
	return nil
}

// parseBackend reads addresses of backends, and checks them here for errors to have a
// line.
func (r *Region) parseBackend(d *caddyfile.Dispenser) error {
	if err := options.Strings(d, &r.Backends); err != nil {
		return err
	}
	// Of the backends alone: other options may follow.
	if _, err := (&Region{Name: r.Name, Backends: r.Backends}).build(dynamic.Preview); err != nil {
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

// BackendTLS has the options of TLS connections to the backends of a region.
type BackendTLS struct {
	// A PEM file of the authorities that sign the backends' certificates, instead
	// of the system's.
	CA string `json:"ca,omitempty"`

	// PEM files of the client certificate of the gateway, and of its key.
	Certificate string `json:"certificate,omitempty"`
	Key         string `json:"key,omitempty"`

	// The name that the backends' certificates must be for, instead of the host
	// of their address.
	ServerName string `json:"server_name,omitempty"`
}

// check returns an error if the options are not valid, or there is no https backend
// that they are for. It opens no files.
func (b *BackendTLS) check(hasHTTPS bool) error {
	switch {
	case (b.Certificate == "") != (b.Key == ""):
		return errors.New("tls: give a certificate and its key, not one of them")
	case b.CA == "" && b.Certificate == "" && b.ServerName == "":
		return errors.New("tls: give a ca, a certificate or a server_name")
	case !hasHTTPS:
		return errors.New("tls: the region has no https backend, and no `dynamic_scheme https`")
	}
	return nil
}

// config reads the files and returns the TLS configuration.
func (b *BackendTLS) config() (*tls.Config, error) {
	config := &tls.Config{ServerName: b.ServerName, MinVersion: tls.VersionTLS12}
	if b.CA != "" {
		pem, err := os.ReadFile(b.CA)
		if err != nil {
			return nil, fmt.Errorf("tls ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls ca %s: no certificate in it", b.CA)
		}
	}
	if b.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(b.Certificate, b.Key)
		if err != nil {
			return nil, fmt.Errorf("tls certificate %s: %w", b.Certificate, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// UnmarshalCaddyfile reads
//
//	tls {
//		ca <file>
//		certificate <file> <key file>
//		server_name <name>
//	}
func (b *BackendTLS) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Errf("tls: unexpected %q; it has a block only", d.Val())
	}
	return options.Block(d, options.Table{
		"ca":          func(d *caddyfile.Dispenser) error { return options.String(d, &b.CA) },
		"server_name": func(d *caddyfile.Dispenser) error { return options.String(d, &b.ServerName) },
		"certificate": func(d *caddyfile.Dispenser) error {
			args, err := options.PlainArguments(d, 2, 2)
			if err == nil {
				b.Certificate, b.Key = args[0], args[1]
			}
			return err
		},
	})
}

// backendTLS reads the files of all regions and returns their TLS configurations by
// region. Regions without the option are left out.
func (a *App) backendTLS() (map[string]*tls.Config, error) {
	configs := make(map[string]*tls.Config)
	var errs []error
	for _, r := range a.Regions {
		if r.TLS == nil {
			continue
		}
		config, err := r.TLS.config()
		if err != nil {
			errs = append(errs, fmt.Errorf("region %q: %w", r.Name, err))
		}
		configs[r.Name] = config
	}
	return configs, errors.Join(errs...)
}
