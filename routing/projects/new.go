package projects

import (
	"errors"
	"fmt"
	"time"

	"github.com/edgegate/edgegate/routing/auth"
	"github.com/edgegate/edgegate/routing/cors"
)

// Config describes a project by checked parts. New validates the rest.
type Config struct {
	Ref       string        // DefaultRef, or twenty lower-case letters
	Auth      auth.Config   // tokens and API keys
	CORS      *cors.Config  // nil leaves the policy to the site
	Domains   []string      // own hosts; any other host is shared
	Regions   []string      // residency list; empty allows every region
	MaxBody   int64         // bytes; 0 leaves it to the gateway
	WallClock time.Duration // from the request's start; 0 means none
	Functions []Function
}

// New validates cfg and returns the project. The error joins everything that
// is wrong, each with the place inside the project; it never has a key in it.
func New(cfg Config) (*Project, error) {
	var errs []error
	if cfg.Ref != DefaultRef && !ValidRef(cfg.Ref) {
		errs = append(errs, fmt.Errorf("ref %q: must be twenty lower-case letters", cfg.Ref))
	}
	p := &Project{
		// The clone of an empty list is nil: no list, not a list of nothing.
		Ref: cfg.Ref, Regions: append([]string(nil), cfg.Regions...),
		MaxBody: cfg.MaxBody, WallClock: cfg.WallClock,
	}
	if cfg.MaxBody < 0 {
		errs = append(errs, errors.New("max_body: must not be negative"))
	}
	if cfg.WallClock < 0 {
		errs = append(errs, errors.New("wall_clock: must not be negative"))
	}
	var err error
	if p.Auth, err = auth.New(cfg.Auth); err != nil {
		errs = append(errs, err)
	}
	if cfg.CORS != nil {
		if p.CORS, err = cors.New(*cfg.CORS); err != nil {
			errs = append(errs, fmt.Errorf("cors: %w", err))
		}
	}
	if p.Domains, err = domains(cfg.Domains); err != nil {
		errs = append(errs, err)
	}
	functions := make([]Function, 0, len(cfg.Functions))
	seen := make(map[string]bool, len(cfg.Functions))
	for _, f := range cfg.Functions {
		problem := slugProblem(f.Slug)
		switch {
		case problem != "":
		case f.WallClock < 0:
			problem = "wall_clock: must not be negative"
		case seen[f.Slug]:
			problem = "listed twice"
		}
		if problem != "" {
			errs = append(errs, fmt.Errorf("function %q: %s", f.Slug, problem))
			continue
		}
		seen[f.Slug] = true
		functions = append(functions, f)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	p.setFunctions(functions)
	return p, nil
}

func domains(list []string) ([]string, error) {
	var errs []error
	out := make([]string, 0, len(list))
	seen := make(map[string]bool, len(list))
	for _, d := range list {
		host, err := ParseDomain(d)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("domain %q: %w", d, err))
		case seen[host]:
			errs = append(errs, fmt.Errorf("domain %q: listed twice", d))
		default:
			seen[host] = true
			out = append(out, host)
		}
	}
	return out, errors.Join(errs...)
}

// slugProblem says what is wrong with the slug of a listed function, "" when
// nothing is.
func slugProblem(slug string) string {
	switch {
	case slug == Wildcard:
		return ""
	case !ValidSlug(slug):
		return "a slug is made of letters, digits, _ and -, or is * for any other"
	case Reserved(slug):
		return "reserved for the runtime's own endpoints"
	}
	return ""
}
