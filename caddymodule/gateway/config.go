package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/geo"
	"github.com/edgegate/edgegate/regions/spelling"
	"github.com/edgegate/edgegate/routing/projects"
)

// Location is where the gateway is: a region name, or coordinates in degrees.
type Location struct {
	Region    string   `json:"region,omitempty"`
	Latitude  *float64 `json:"latitude,omitempty"`
	Longitude *float64 `json:"longitude,omitempty"`
}

func (l *Location) place(set *regions.Set) (geo.Place, error) {
	switch {
	case (l.Latitude == nil) != (l.Longitude == nil):
		return geo.Place{}, errors.New("location: give latitude and longitude, not one of them")
	case l.Latitude != nil && l.Region != "":
		return geo.Place{}, errors.New("location: give a region or coordinates, not both")
	case l.Latitude != nil:
		c := geo.Coordinates{Latitude: *l.Latitude, Longitude: *l.Longitude}
		if err := c.Valid(); err != nil {
			return geo.Place{}, fmt.Errorf("location: %w", err)
		}
		return geo.Place{Coordinates: c, Known: true}, nil
	}
	place, ok := set.Place(l.Region)
	if !ok {
		return geo.Place{}, fmt.Errorf("location: the place of region %q is not known%s; name a region, or give latitude and longitude",
			l.Region, spelling.DidYouMean(l.Region, slices.Concat(set.Names(), geo.KnownNames())))
	}
	return place, nil
}

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
	region := regions.Region{Name: r.Name, Bias: time.Duration(r.Bias), Capacity: r.Capacity, WebSockets: r.WebSockets, HealthURI: r.HealthURI}
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

// Project is the one project of a configuration, with the names of a projects
// file. The plan is its organization's there.
type Project struct {
	projects.ProjectConfig

	// The plan: free, pro, team, enterprise or one of the global option `plan`.
	// Default: none, and so no limits.
	Plan string `json:"plan,omitempty"`

	// Whether invocations stop at the plan's quota. Default: the plan's word.
	SpendCap *bool `json:"spend_cap,omitempty"`

	// When the billing cycles start; any of the starts anchors them all. Default:
	// the first of the month.
	CycleStart *time.Time `json:"cycle_start,omitempty"`

	// Invocations a cycle. Default: the plan's.
	Quota *int64 `json:"quota,omitempty"`

	// How long calls go on past the quota. Default: 0.
	Grace projects.Duration `json:"grace,omitempty"`

	// The IANA time zone that cycles start in. Default: UTC.
	TimeZone string `json:"time_zone,omitempty"`

	// Who pays, at Stripe: cus_..., for the exporter.
	StripeCustomer string `json:"stripe_customer,omitempty"`

	// Further sets of public keys: {env.X} that holds a URL, the path of a file,
	// or the set itself.
	LaterKeys []string `json:"jwks_env,omitempty"`
}

// account is who pays for the project.
func (p *Project) account() *projects.OrganizationConfig {
	return &projects.OrganizationConfig{
		ID: cmp.Or(p.Organization, projects.DefaultRef), Plan: p.Plan, SpendCap: p.SpendCap, CycleStart: p.CycleStart,
		Quota: p.Quota, Grace: p.Grace, TimeZone: p.TimeZone, StripeCustomer: p.StripeCustomer,
	}
}

// resolved returns the configuration of the project with the sets of keys that
// the environment names.
func (p *Project) resolved() (projects.ProjectConfig, error) {
	cfg := p.ProjectConfig
	if len(p.LaterKeys) == 0 {
		return cfg, nil
	}
	tokens := new(projects.JWTConfig)
	if cfg.JWT != nil {
		*tokens = *cfg.JWT
	}
	cfg.JWT = tokens
	for _, text := range p.LaterKeys {
		keys, err := options.ResolveSecret(text)
		if err == nil {
			err = addKeys(tokens, keys)
		}
		if err != nil {
			return cfg, fmt.Errorf("jwks %s: %w", text, err)
		}
	}
	return cfg, nil
}

// checkRegions says whether the residency list names configured regions. In a
// projects file, which other gateways read too, others are allowed.
func (p *Project) checkRegions(set *regions.Set) error {
	var errs []error
	for i, name := range p.Regions {
		switch {
		case !slices.Contains(set.Names(), name):
			errs = append(errs, fmt.Errorf("regions: %q is not configured%s; configured are %s",
				name, spelling.DidYouMean(name, set.Names()), strings.Join(set.Names(), ", ")))
		case slices.Contains(p.Regions[:i], name):
			errs = append(errs, fmt.Errorf("regions: %q is listed twice, keep one", name))
		}
	}
	return errors.Join(errs...)
}

// Plan changes or adds a plan.
type Plan struct {
	// How many functions a project may have, 0 for any number. Default: the
	// built-in plan's.
	Functions *int `json:"functions,omitempty"`

	// How long an invocation may run. Default: the built-in plan's.
	WallClock caddy.Duration `json:"wall_clock,omitempty"`

	// Invocations a cycle. Default: the built-in plan's.
	Quota *int64 `json:"quota,omitempty"`

	// What invocations beyond the quota cost. Default: the built-in plan's;
	// without, they are refused.
	Overage *projects.Overage `json:"overage,omitempty"`

	// Whether they are refused unless an organization says otherwise. Default:
	// the built-in plan's.
	SpendCap *bool `json:"spend_cap,omitempty"`

	// How much of a full region each project gets, beside others of weight 1.
	// Default: 1, at most 1000.
	Weight int64 `json:"weight,omitempty"`

	// What becomes of invocations that cannot be recorded since the disk is full
	// or fails, or that need a grant of a hard quota while the store is away:
	// `closed` (default) answers them 503; `open` lets them go on, and counts
	// them later.
	MeterUnavailable string `json:"meter_unavailable,omitempty"`
}

// The values of Plan.MeterUnavailable.
const (
	meterClosed = "closed"
	meterOpen   = "open"
)

// plans returns the built-in plans with those of the configuration over them.
func (a *App) plans() map[string]projects.Plan {
	plans := projects.BuiltinPlans()
	for name, plan := range plans {
		if plan.Overage != nil { // 2 of whatever the currency is, which may have no decimals
			plan.Overage = &projects.Overage{Price: strings.TrimSuffix(plan.Overage.Price, ".00"), Package: plan.Overage.Package}
			plans[name] = plan
		}
	}
	for name, p := range a.Plans {
		plan := plans[name]
		plan.Name = name
		if p.Functions != nil {
			plan.Functions = *p.Functions
		}
		if p.WallClock > 0 {
			plan.WallClock = time.Duration(p.WallClock)
		}
		if p.Quota != nil {
			plan.Quota = p.Quota
		}
		if p.Overage != nil {
			plan.Overage = p.Overage
		}
		if p.SpendCap != nil {
			plan.SpendCap = *p.SpendCap
		}
		plan.Weight = p.Weight
		plan.Unmetered = p.MeterUnavailable == meterOpen
		plans[name] = plan
	}
	return plans
}

// The kinds of a store.
const (
	storeEmbedded = "embedded"
	storeRedis    = "redis"
)

// Store is where the gateway keeps what must outlive it.
type Store struct {
	// embedded (default): files of this gateway; redis: shared by all gateways.
	Kind string `json:"kind"`

	// The directory of the files, on a disk of this machine. Default: edgegate in
	// Caddy's data directory.
	Path string `json:"path,omitempty"`

	// What the end of the machine may take of the ledger: group (default), the
	// invocations of 50 ms; strict, none: each waits for the disk; none, what the
	// kernel has not written yet.
	Sync string `json:"sync,omitempty"`

	// redis://[user:password@]host:port[,host:port...][?mode=cluster|sentinel&master=NAME],
	// or rediss:// for TLS. May have {env.X} in it.
	URL string `json:"url,omitempty"`
}

func (s *Store) check() error {
	switch {
	case s == nil:
		return nil
	case s.Kind != storeEmbedded && s.Kind != storeRedis:
		return fmt.Errorf("store %q: allowed are embedded, redis", s.Kind)
	case s.Kind == storeRedis && s.URL == "":
		return errors.New("store redis: the URL is missing")
	case s.Kind == storeEmbedded && s.URL != "":
		return errors.New("store embedded: it has no URL")
	case s.Sync != "" && !slices.Contains(metering.SyncModes(), s.Sync):
		return fmt.Errorf("store: sync %q: allowed are %s", s.Sync, strings.Join(metering.SyncModes(), ", "))
	}
	return nil
}
