package projects

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/edgegate/edgegate/routing/auth"
	"github.com/edgegate/edgegate/routing/auth/jwks"
)

// BuilderConfig has the settings that documents are checked against.
type BuilderConfig struct {
	// Apex is the domain that <ref>.<apex> and <ref>.functions.<apex> are below
	// (contract 1.1, 1.2). Default: none.
	Apex string
	// Regions are those of this gateway, for residency lists. Default: not checked.
	Regions []string
	// Plans are the plans by name. Default (nil): BuiltinPlans.
	Plans map[string]Plan
	// Resolve fills the {env.X} of keys and secrets. Its errors must not contain
	// what it filled in. Default: a placeholder is an error.
	Resolve func(text string) (string, error)
	// Keys are the public keys that are fetched. Default (nil): none is, and tokens
	// signed with them are refused; for checks of a document.
	Keys *jwks.Pool
	// PrivateKeySets allows jwks_url to lead to addresses that are not of the
	// internet. Set where the operator alone writes projects.
	PrivateKeySets bool
	// NoFiles refuses jwks_file. Set where tenants write their own projects: the
	// files are the gateway's.
	NoFiles bool
	// Shared is the token cache of all verifiers. Default: none.
	Shared *auth.Shared
	// Now tells which API keys are expired. Default: time.Now.
	Now func() time.Time
}

// Builder turns documents into snapshots. It remembers what it built last, so
// that a document with one change costs little more than reading it. It is safe
// for concurrent use.
type Builder struct {
	config BuilderConfig
	suffix string // ".<apex>"; "" without an apex

	mu   sync.Mutex // guards last
	last generation
}

// NewBuilder returns a Builder. The error is a bad apex.
func NewBuilder(config BuilderConfig) (*Builder, error) {
	suffix, err := apexSuffix(config.Apex)
	if err != nil {
		return nil, err
	}
	if config.Plans == nil {
		config.Plans = BuiltinPlans()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Builder{config: config, suffix: suffix}, nil
}

// Project returns the one project of single-project mode: its ref is
// DefaultRef, and paths have no prefix. The problems refuse nothing; the error
// is an *InvalidError.
func (b *Builder) Project(cfg ProjectConfig) (*Project, []Problem, error) {
	return b.ProjectOf(cfg, nil)
}

// ProjectOf is Project with its organization; nil for none.
func (b *Builder) ProjectOf(cfg ProjectConfig, who *OrganizationConfig) (*Project, []Problem, error) {
	c := compiler{
		Builder: b,
		cfg:     &cfg,
		single:  true,
		invalid: new(InvalidError),
	}
	c.organization = func(string) (*Organization, error) {
		if who == nil {
			return nil, errors.New("there are no organizations beside a single project")
		}
		return c.account(*who, who.ID, loadZone), nil
	}
	if who != nil {
		cfg.Organization = who.ID
	}
	p := c.project()
	if !c.invalid.empty() {
		return nil, nil, c.invalid
	}
	return p, slices.Concat(c.problems, unmet(c.conditions, b.config.Now())), nil
}

// Build returns the snapshot of what a source holds. Its error is an
// *InvalidError, which is in the report too; what was built before stays what
// the next Build is compared to.
func (b *Builder) Build(in Input) (*Snapshot, Report, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := newRun(b, in.KeepGood)
	r.addOrganizations(in.Organizations)
	r.addProjects(in.Projects)
	r.settleDomains()
	if !in.KeepGood && !r.invalid.empty() {
		return nil, Report{Errors: r.invalid}, r.invalid
	}
	b.last = r.generation()
	return r.snapshot(), r.finish(), nil
}
