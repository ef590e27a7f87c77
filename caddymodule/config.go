package caddymodule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing/auth"
	"github.com/edgegate/edgegate/routing/cors"
	"github.com/edgegate/edgegate/routing/projects"
)

// Location is where the gateway is: a region name, or coordinates in degrees.
type Location struct {
	Region    string   `json:"region,omitempty"`
	Latitude  *float64 `json:"latitude,omitempty"`
	Longitude *float64 `json:"longitude,omitempty"`
}

func (l *Location) place(set *regions.Set) (regions.Place, error) {
	switch {
	case (l.Latitude == nil) != (l.Longitude == nil):
		return regions.Place{}, errors.New("location: give latitude and longitude, not one of them")
	case l.Latitude != nil && l.Region != "":
		return regions.Place{}, errors.New("location: give a region or coordinates, not both")
	case l.Latitude != nil:
		c := regions.Coordinates{Latitude: *l.Latitude, Longitude: *l.Longitude}
		if err := c.Valid(); err != nil {
			return regions.Place{}, fmt.Errorf("location: %w", err)
		}
		return regions.Place{Coordinates: c, Known: true}, nil
	}
	place, ok := set.Place(l.Region)
	if !ok {
		return regions.Place{}, fmt.Errorf("location: the place of region %q is not known%s; name a region, or give latitude and longitude",
			l.Region, didYouMean(l.Region, slices.Concat(set.Names(), regions.KnownNames())))
	}
	return place, nil
}

// Region is one region and the backends in it.
type Region struct {
	// The name that clients ask for.
	Name string `json:"name"`

	// Where the runtimes are: http://HOST[:PORT], https://HOST[:PORT] or
	// unix//PATH.
	Backends []string `json:"backends"`

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
	region := regions.Region{Name: r.Name, Bias: time.Duration(r.Bias)}
	if r.Coordinates != nil {
		region.Coordinates = regions.Coordinates{Latitude: r.Coordinates[0], Longitude: r.Coordinates[1]}
		region.HasCoordinates = true
	}
	var errs []error
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

// Project is one project, with the names of a projects file.
type Project struct {
	// Own hosts; on them HTML is served as HTML. Any other host is shared.
	Domains []string `json:"domains,omitempty"`

	// Residency: the regions that may run the functions. Default: all.
	Regions []string `json:"regions,omitempty"`

	// Who signs the tokens.
	JWT *JWT `json:"jwt,omitempty"`

	// The publishable and secret API keys.
	APIKeys []*APIKey `json:"api_keys,omitempty"`

	// The largest request body, in bytes. Default: the gateway's.
	MaxBody int64 `json:"max_body,omitempty"`

	// How long an invocation may run, from the request's start. Default: no
	// limit.
	WallClock caddy.Duration `json:"wall_clock,omitempty"`

	// Who may read answers from a browser. Default: the site's policy.
	CORS *CORS `json:"cors,omitempty"`

	// The deployed functions.
	Functions []*Function `json:"functions,omitempty"`
}

// CORS says which origins may read answers.
type CORS struct {
	// Origins as browsers send them, or `*`. Default: `*`.
	Origins []string `json:"origins,omitempty"`

	// Whether credentials may be sent; not with `*`.
	Credentials bool `json:"credentials,omitempty"`
}

func (c *CORS) config() *cors.Config {
	if c == nil {
		return nil
	}
	return &cors.Config{Origins: c.Origins, Credentials: c.Credentials}
}

// Function is a deployed function.
type Function struct {
	// The slug in the URL, or `*` for any other.
	Slug string `json:"slug"`

	// The function's UUID.
	ID string `json:"id,omitempty"`

	// The deployed version.
	Version int `json:"version,omitempty"`

	// Whether callers need a token or an API key. Default: true.
	VerifyJWT *bool `json:"verify_jwt,omitempty"`

	// auto (default) or function: who answers preflights.
	CORS string `json:"cors,omitempty"`

	// text/plain or keep: what becomes of HTML on shared hosts. Default: the
	// site's choice.
	HTML string `json:"html,omitempty"`

	// ACTIVE (default) or REMOVED, which is answered 404.
	Status string `json:"status,omitempty"`

	// How long an invocation may run. Default: the project's.
	WallClock caddy.Duration `json:"wall_clock,omitempty"`
}

// build resolves the secrets and returns what routing/projects validates.
func (p *Project) build(set *regions.Set) (projects.Config, error) {
	cfg := projects.Config{
		Ref: projects.DefaultRef, CORS: p.CORS.config(), Domains: p.Domains, Regions: p.Regions,
		MaxBody: p.MaxBody, WallClock: time.Duration(p.WallClock),
	}
	var errs []error
	if err := p.checkRegions(set); err != nil {
		errs = append(errs, err)
	}
	for _, domain := range p.Domains {
		if envPlaceholder.MatchString(domain) {
			errs = append(errs, fmt.Errorf("domain %q: placeholders are filled in only in keys and secrets", domain))
		}
	}
	secrets, err := p.JWT.build()
	if err != nil {
		errs = append(errs, err)
	}
	cfg.Auth.Secrets = secrets
	for i, k := range p.APIKeys {
		key, err := k.build()
		if err != nil {
			errs = append(errs, fmt.Errorf("api_key %d: %w", i+1, err))
			continue
		}
		if first := slices.IndexFunc(cfg.Auth.APIKeys, func(other auth.APIKey) bool { return key.Key != "" && other.Key == key.Key }); first >= 0 {
			errs = append(errs, fmt.Errorf("api_key %d: it is the same key as another before it, remove one", i+1))
			continue
		}
		cfg.Auth.APIKeys = append(cfg.Auth.APIKeys, key)
	}
	for i, f := range p.Functions {
		if f == nil {
			errs = append(errs, fmt.Errorf("function %d: null is no function", i+1))
			continue
		}
		function, err := f.build()
		if err != nil {
			errs = append(errs, fmt.Errorf("function %q: %w", f.Slug, err))
			continue
		}
		cfg.Functions = append(cfg.Functions, function)
	}
	return cfg, errors.Join(errs...)
}

// checkRegions says whether the residency list names configured regions.
func (p *Project) checkRegions(set *regions.Set) error {
	var errs []error
	for i, name := range p.Regions {
		switch {
		case !slices.Contains(set.Names(), name):
			errs = append(errs, fmt.Errorf("regions: %q is not configured%s; configured are %s",
				name, didYouMean(name, set.Names()), strings.Join(set.Names(), ", ")))
		case slices.Contains(p.Regions[:i], name):
			errs = append(errs, fmt.Errorf("regions: %q is listed twice, keep one", name))
		}
	}
	return errors.Join(errs...)
}

func (f *Function) build() (projects.Function, error) {
	function := projects.Function{
		Slug: f.Slug, ID: f.ID, Version: f.Version,
		VerifyJWT: f.VerifyJWT == nil || *f.VerifyJWT, WallClock: time.Duration(f.WallClock),
	}
	var err error
	if function.CORS, err = projects.ParseCORSMode(f.CORS); err != nil {
		return function, fmt.Errorf("cors %w", err)
	}
	if function.HTML, err = projects.ParseHTMLMode(f.HTML); err != nil {
		return function, fmt.Errorf("html %w", err)
	}
	if function.Status, err = projects.ParseStatus(f.Status); err != nil {
		return function, fmt.Errorf("status %w", err)
	}
	return function, nil
}

// didYouMean returns the hint of an error message, "" without a near miss.
func didYouMean(name string, among []string) string {
	if near, ok := regions.Nearest(strings.ToLower(name), among); ok {
		return fmt.Sprintf(" (did you mean %q?)", near)
	}
	return ""
}
