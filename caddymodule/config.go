package caddymodule

import (
	"encoding/hex"
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
	if l.Latitude != nil && l.Longitude != nil {
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

// JWT holds the keys of a project's tokens.
type JWT struct {
	// The HS256 secret, at least 32 bytes.
	Secret string `json:"secret,omitempty"`

	// Further HS256 secrets, valid at the same time while one is replaced.
	Secrets []string `json:"secrets,omitempty"`
}

// APIKey is an API key, in clear or as the SHA-256 of it.
type APIKey struct {
	// A name for people.
	Name string `json:"name,omitempty"`

	// publishable or secret.
	Type string `json:"type"`

	// The key, or
	Key string `json:"key,omitempty"`

	// the lower-case hex SHA-256 of the key.
	SHA256 string `json:"sha256,omitempty"`
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
	for _, f := range p.Functions {
		cfg.Functions = append(cfg.Functions, f.build())
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

// build resolves the secrets, numbered in the order of the Caddyfile.
func (j *JWT) build() ([][]byte, error) {
	if j == nil {
		return nil, nil
	}
	var errs []error
	texts := j.Secrets
	if j.Secret != "" {
		texts = slices.Concat([]string{j.Secret}, j.Secrets)
	}
	built := make([][]byte, 0, len(texts))
	for i, text := range texts {
		secret, err := resolveSecret(text)
		if err == nil {
			err = checkSecret(secret)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("jwt_secret %d%s: %w", i+1, origin(text), err))
			continue
		}
		built = append(built, []byte(secret))
	}
	return built, errors.Join(errs...)
}

// checkSecret has package auth judge a secret by itself. Its number there means
// nothing to the user.
func checkSecret(secret string) error {
	if _, err := auth.New(auth.Config{Secrets: [][]byte{[]byte(secret)}}); err != nil {
		return fmt.Errorf("%s; `openssl rand -base64 32` makes one", strings.TrimPrefix(err.Error(), "HMAC secret 1: "))
	}
	return nil
}

// keyType never repeats what it was given: whoever swaps the arguments has a
// key in the place of the type.
func (k *APIKey) keyType() (auth.KeyType, error) {
	switch k.Type {
	case "publishable":
		return auth.Publishable, nil
	case "secret":
		return auth.Secret, nil
	}
	return "", fmt.Errorf("the type is publishable or secret%s", didYouMean(k.Type, []string{"publishable", "secret"}))
}

// build resolves the key and has package auth judge it by itself.
func (k *APIKey) build() (auth.APIKey, error) {
	key := auth.APIKey{Name: k.Name}
	var err error
	if key.Type, err = k.keyType(); err != nil {
		return key, err
	}
	if k.Key != "" || k.SHA256 == "" {
		if key.Key, err = resolveSecret(k.Key); err != nil {
			return key, err
		}
	}
	if k.SHA256 != "" {
		if key.SHA256, err = hex.DecodeString(k.SHA256); err != nil {
			return key, errors.New("sha256 must be 64 hexadecimal digits")
		}
	}
	if _, err := auth.New(auth.Config{APIKeys: []auth.APIKey{key}}); err != nil {
		return key, fmt.Errorf("%s%s", strings.TrimPrefix(err.Error(), fmt.Sprintf("API key 1 %q: ", key.Name)), origin(k.Key))
	}
	return key, nil
}

func (f *Function) build() projects.Function {
	return projects.Function{
		Slug: f.Slug, ID: f.ID, Version: f.Version,
		VerifyJWT: f.VerifyJWT == nil || *f.VerifyJWT,
		CORS:      projects.CORSMode(f.CORS), HTML: projects.HTMLMode(f.HTML),
		Status: projects.Status(f.Status), WallClock: time.Duration(f.WallClock),
	}
}

// didYouMean returns the hint of an error message, "" without a near miss.
func didYouMean(name string, among []string) string {
	if near, ok := regions.Nearest(strings.ToLower(name), among); ok {
		return fmt.Sprintf(" (did you mean %q?)", near)
	}
	return ""
}
