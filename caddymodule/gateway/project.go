package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/spelling"
	"github.com/edgegate/edgegate/routing/projects"
)

// Project is the one project of a configuration, with the names of a projects
// file. The plan is its organization's there.
type Project struct {
	projects.ProjectConfig

	// The plan: free, pro, team, enterprise or one of the global option `plan`.
	// Default: none, and so no limits.
	Plan string `json:"plan,omitempty"`

	// Whether invocations beyond the quota are refused. Default: the plan's.
	SpendCap *bool `json:"spend_cap,omitempty"`

	// The start of any one billing cycle, which determines all others. Default: the
	// first of the month.
	CycleStart *time.Time `json:"cycle_start,omitempty"`

	// Invocations a cycle. Default: the plan's.
	Quota *int64 `json:"quota,omitempty"`

	// How long calls are still served after the quota is used up. Default: 0.
	Grace projects.Duration `json:"grace,omitempty"`

	// The IANA time zone that cycles start in. Default: UTC.
	TimeZone string `json:"time_zone,omitempty"`

	// The customer at Stripe, cus_..., for the exporter.
	StripeCustomer string `json:"stripe_customer,omitempty"`

	// Further sets of public keys: each {env.X} is a URL, the path of a file, or the
	// set itself.
	LaterKeys []string `json:"jwks_env,omitempty"`
}

// account returns the organization that pays for the project.
func (p *Project) account() *projects.OrganizationConfig {
	return &projects.OrganizationConfig{
		ID:             cmp.Or(p.Organization, projects.DefaultRef),
		Plan:           p.Plan,
		SpendCap:       p.SpendCap,
		CycleStart:     p.CycleStart,
		Quota:          p.Quota,
		Grace:          p.Grace,
		TimeZone:       p.TimeZone,
		StripeCustomer: p.StripeCustomer,
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

// checkRegions returns an error if the project is restricted to regions that are not
// configured. In a projects file, which other gateways read too, they are allowed.
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
