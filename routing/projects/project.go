// Package projects holds who may be called: projects, their functions, keys
// and domains, as immutable values that requests read without locks.
//
// It decides which project a host belongs to and which function a slug names.
// It does not verify credentials (package auth) and does not read requests
// (package routing).
package projects

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/edgegate/edgegate/routing/auth"
	"github.com/edgegate/edgegate/routing/cors"
)

// DefaultRef is the ref of the only project in single-project mode
// (BEHAVIOUR.md 2.8).
const DefaultRef = "default"

// Wildcard is the slug of the entry that serves every slug not listed.
const Wildcard = "*"

var (
	refPattern  = regexp.MustCompile(`^[a-z]{20}$`)
	slugPattern = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
)

// CORSMode says who answers for cross-origin calls of a function
// (BEHAVIOUR.md 4.1).
type CORSMode string

// The CORS modes. The zero value means CORSAuto.
const (
	CORSAuto     CORSMode = "auto"     // the gateway answers preflights and completes answers
	CORSFunction CORSMode = "function" // OPTIONS reaches the function, its answers pass untouched
)

// HTMLMode says what becomes of text/html answers on shared domains
// (BEHAVIOUR.md 6.3).
type HTMLMode string

// The HTML modes. The zero value leaves the choice to the site.
const (
	HTMLPlain HTMLMode = "text/plain"
	HTMLKeep  HTMLMode = "keep"
)

// Status is the life-cycle state of a function.
type Status string

// The statuses of this build. The zero value means StatusActive.
const (
	StatusActive  Status = "ACTIVE"
	StatusRemoved Status = "REMOVED" // answered as if it were not there
)

// Function is one deployed slug of a project. A Function is immutable.
type Function struct {
	Slug      string // as in the URL, case-sensitive; "*" for the wildcard entry
	ID        string // UUID of the function; "" when unknown
	Version   int    // deployment version; 0 when unknown
	VerifyJWT bool
	CORS      CORSMode
	HTML      HTMLMode      // "" leaves it to the site
	WallClock time.Duration // 0 leaves it to the project
	Status    Status
}

// Config describes a project. New validates it.
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

// Project is a tenant. A Project is immutable and safe for concurrent use.
type Project struct {
	Ref       string
	Auth      *auth.Verifier
	CORS      *cors.Policy // nil: the site's
	Domains   []string     // lower case, without port or trailing dot
	Regions   []string     // residency list; nil allows every region
	MaxBody   int64
	WallClock time.Duration

	functions map[string]*Function
	wildcard  *Function
}

// New validates cfg and returns the project. The error joins everything that
// is wrong, each with the place inside the project; it never has a key in it.
func New(cfg Config) (*Project, error) {
	var errs []error
	if cfg.Ref != DefaultRef && !refPattern.MatchString(cfg.Ref) {
		errs = append(errs, fmt.Errorf("ref %q: must be twenty lower-case letters", cfg.Ref))
	}
	p := &Project{
		// The clone of an empty list is nil: no list, not a list of nothing.
		Ref: cfg.Ref, Regions: append([]string(nil), cfg.Regions...),
		MaxBody: cfg.MaxBody, WallClock: cfg.WallClock,
		functions: make(map[string]*Function, len(cfg.Functions)),
	}
	if cfg.MaxBody < 0 {
		errs = append(errs, fmt.Errorf("max_body: must not be negative"))
	}
	if cfg.WallClock < 0 {
		errs = append(errs, fmt.Errorf("wall_clock: must not be negative"))
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
	for i := range cfg.Functions {
		if err := p.add(cfg.Functions[i]); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}

func domains(list []string) ([]string, error) {
	var errs []error
	out := make([]string, 0, len(list))
	seen := make(map[string]bool, len(list))
	for _, d := range list {
		host := NormalizeHost(d)
		switch {
		case !bareHost(d):
			errs = append(errs, fmt.Errorf("domain %q: must be a bare host name, without scheme, port or wildcard", d))
		case seen[host]:
			errs = append(errs, fmt.Errorf("domain %q: listed twice", d))
		default:
			seen[host] = true
			out = append(out, host)
		}
	}
	return out, errors.Join(errs...)
}

func (p *Project) add(f Function) error {
	if f.Slug != Wildcard && !slugPattern.MatchString(f.Slug) {
		return fmt.Errorf("function %q: a slug is made of letters, digits, _ and -, or is * for any other", f.Slug)
	}
	if Reserved(f.Slug) {
		return fmt.Errorf("function %q: reserved for the runtime's own endpoints", f.Slug)
	}
	switch f.CORS {
	case "":
		f.CORS = CORSAuto
	case CORSAuto, CORSFunction:
	default:
		return fmt.Errorf("function %q: cors %q: allowed are auto, function", f.Slug, f.CORS)
	}
	switch f.HTML {
	case "", HTMLPlain, HTMLKeep:
	default:
		return fmt.Errorf("function %q: html %q: allowed are text/plain, keep", f.Slug, f.HTML)
	}
	switch f.Status {
	case "":
		f.Status = StatusActive
	case StatusActive, StatusRemoved:
	default:
		return fmt.Errorf("function %q: status %q: allowed are ACTIVE, REMOVED", f.Slug, f.Status)
	}
	if f.WallClock < 0 {
		return fmt.Errorf("function %q: wall_clock: must not be negative", f.Slug)
	}
	if f.Slug == Wildcard {
		if p.wildcard != nil {
			return fmt.Errorf("function *: listed twice")
		}
		p.wildcard = &f
		return nil
	}
	if _, dup := p.functions[f.Slug]; dup {
		return fmt.Errorf("function %q: listed twice", f.Slug)
	}
	p.functions[f.Slug] = &f
	return nil
}

// Function returns the function that slug names, compared byte for byte
// (BEHAVIOUR.md 1.4). The wildcard entry stands in for slugs not listed.
// Removed functions and reserved or malformed slugs are not found.
func (p *Project) Function(slug string) (*Function, bool) {
	f, ok := p.functions[slug]
	if !ok {
		if p.wildcard == nil || !ValidSlug(slug) || Reserved(slug) {
			return nil, false
		}
		f = p.wildcard
	}
	return f, f.Status == StatusActive
}

// Functions returns how many slugs are listed, the wildcard included.
func (p *Project) Functions() int {
	n := len(p.functions)
	if p.wildcard != nil {
		n++
	}
	return n
}

// ValidSlug reports whether slug has the form of BEHAVIOUR.md 1.4.
func ValidSlug(slug string) bool {
	for i := 0; i < len(slug); i++ {
		c := slug[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return slug != ""
}

// Reserved reports whether slug is a runtime's own namespace, which no client
// may reach in any spelling (BEHAVIOUR.md 1.6).
func Reserved(slug string) bool { return strings.EqualFold(slug, "_internal") }
