package gateway

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/routing/projects"
)

// UnmarshalCaddyfile reads the block of a project:
//
//	project default {
//		domain <host...>
//		regions <name...>
//		plan <name>
//		organization <id>
//		quota <number>
//		spend_cap on|off
//		grace <duration>
//		cycle_start <time>
//		time_zone <zone>
//		stripe_customer <id>
//		jwt_secret <secret>
//		jwks <url>|<file>|<json>
//		jwt_issuer <iss...>
//		jwt_audience <aud...>
//		jwt_role <role...>
//		jwt_leeway <duration>
//		allow_eddsa on|off
//		api_key publishable|secret <key>|sha256:<hex> [<name>] {
//			expires_at <time>
//		}
//		count_unauthorized on|off
//		max_body <size>
//		wall_clock <duration>
//		cors {
//			origin <origin...>
//			credentials on|off
//		}
//		expose <name...>
//		function <slug>|* {
//			id <uuid>
//			version <number>
//			verify_jwt on|off
//			websocket_token query|subprotocol
//			event_source_token query
//			cors auto|function
//			html text/plain|keep
//			expose <name...>
//			status ACTIVE|REMOVED|THROTTLED
//			wall_clock <duration>
//		}
//	}
func (p *Project) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	domains, functions := make(map[string]int), make(map[string]bool)
	return options.Block(d, options.Table{
		"domain":          func(d *caddyfile.Dispenser) error { return p.parseDomain(d, domains) },
		"regions":         func(d *caddyfile.Dispenser) error { return options.Strings(d, &p.Regions) },
		"plan":            p.parsePlan,
		"jwt_secret":      p.parseSecret,
		"jwks":            p.parseJWKS,
		"jwt_issuer":      func(d *caddyfile.Dispenser) error { return options.Strings(d, (*[]string)(&p.tokens().Issuer)) },
		"jwt_audience":    func(d *caddyfile.Dispenser) error { return options.Strings(d, (*[]string)(&p.tokens().Audience)) },
		"jwt_role":        func(d *caddyfile.Dispenser) error { return options.Strings(d, (*[]string)(&p.tokens().Role)) },
		"jwt_leeway":      func(d *caddyfile.Dispenser) error { return options.Duration(d, &p.tokens().Leeway) },
		"allow_eddsa":     func(d *caddyfile.Dispenser) error { return options.OnOff(d, &p.tokens().AllowEdDSA) },
		"api_key":         p.parseAPIKey,
		"max_body":        func(d *caddyfile.Dispenser) error { return options.Size(d, &p.MaxBody) },
		"wall_clock":      func(d *caddyfile.Dispenser) error { return options.Duration(d, &p.WallClock) },
		"cors":            func(d *caddyfile.Dispenser) error { return parseCORS(d, &p.CORS) },
		"expose":          func(d *caddyfile.Dispenser) error { return parseExpose(d, &p.Expose) },
		"function":        func(d *caddyfile.Dispenser) error { return p.parseFunction(d, functions) },
		"organization":    p.parseOrganization,
		"quota":           func(d *caddyfile.Dispenser) error { return parseQuota(d, &p.Quota) },
		"grace":           func(d *caddyfile.Dispenser) error { return options.Duration(d, &p.Grace) },
		"time_zone":       func(d *caddyfile.Dispenser) error { return options.TimeZone(d, &p.TimeZone) },
		"stripe_customer": func(d *caddyfile.Dispenser) error { return parseStripeCustomer(d, &p.StripeCustomer) },
		"cycle_start":     func(d *caddyfile.Dispenser) error { return options.Time(d, &p.CycleStart) },
		"spend_cap": func(d *caddyfile.Dispenser) error {
			p.SpendCap = new(bool)
			return options.OnOff(d, p.SpendCap)
		},
		"count_unauthorized": func(d *caddyfile.Dispenser) error { return options.OnOff(d, &p.CountUnauthorized) },
		"placement":          nil,
	})
}

// tokens returns the configuration of tokens, which it creates if there is none.
func (p *Project) tokens() *projects.JWTConfig {
	if p.JWT == nil {
		p.JWT = new(projects.JWTConfig)
	}
	return p.JWT
}

// checkProjectPart checks a part of a project by itself, while its line is known. Values from
// the environment are checked when the configuration is loaded.
func checkProjectPart(part projects.ProjectConfig) error {
	builder, err := projects.NewBuilder(projects.BuilderConfig{Resolve: func(text string) (string, error) {
		if options.HasEnv(text) {
			return strings.Repeat("later", 13), nil
		}
		return options.ResolveSecret(text)
	}})
	if err != nil {
		return err
	}
	_, _, err = builder.Project(part)
	var invalid *projects.InvalidError
	if !errors.As(err, &invalid) {
		return err
	}
	var texts []string
	for _, problem := range invalid.Problems {
		problem.Path = "" // the error has the line instead
		texts = append(texts, problem.String())
	}
	return errors.New(strings.Join(texts, "; "))
}

// parsePlan reads the name of the plan, which may be given only once.
func (p *Project) parsePlan(d *caddyfile.Dispenser) error {
	if p.Plan != "" {
		return d.Errf("plan: given twice, keep one")
	}
	return options.String(d, &p.Plan)
}

// parseOrganization reads the id of the organization that usage is counted for.
func (p *Project) parseOrganization(d *caddyfile.Dispenser) error {
	if err := options.String(d, &p.Organization); err != nil {
		return err
	}
	if !projects.ValidOrganizationID(p.Organization) {
		return d.Errf("organization %q: must be letters, digits, _, - and ., at most 64", p.Organization)
	}
	return nil
}

// parseDomain reads a line of domains. seen has the domains of earlier lines, so that
// each line checks only its own.
func (p *Project) parseDomain(d *caddyfile.Dispenser, seen map[string]int) error {
	before := len(p.Domains)
	if err := options.Strings(d, &p.Domains); err != nil {
		return err
	}
	for i, domain := range p.Domains[before:] {
		host, err := projects.ParseDomain(domain)
		if err != nil {
			continue // checkProjectPart reports it
		}
		if first, twice := seen[host]; twice {
			return d.Errf("domain: %q: listed twice, first at domains[%d]", domain, first)
		}
		seen[host] = before + i
	}
	if err := checkProjectPart(projects.ProjectConfig{Domains: p.Domains[before:]}); err != nil {
		return d.Errf("domain: %w", err)
	}
	return nil
}

func (p *Project) parseSecret(d *caddyfile.Dispenser) error {
	args, err := options.Arguments(d, 1, 1)
	if err != nil {
		return err
	}
	secret := args[0]
	if err := checkProjectPart(projects.ProjectConfig{JWT: &projects.JWTConfig{Secret: secret}}); err != nil {
		return d.Errf("jwt_secret: %w", err)
	}
	if t := p.tokens(); t.Secret == "" {
		t.Secret = secret
	} else {
		t.Secrets = append(t.Secrets, secret)
	}
	return nil
}

// parseJWKS reads public keys: a URL, a file or an inline set. A value of the
// environment is told apart when the configuration is loaded.
func (p *Project) parseJWKS(d *caddyfile.Dispenser) error {
	args, err := options.Arguments(d, 1, 1)
	if err != nil {
		return err
	}
	if options.HasEnv(args[0]) {
		p.LaterKeys = append(p.LaterKeys, args[0])
		return nil
	}
	if err := addKeys(p.tokens(), args[0]); err != nil {
		return d.Errf("jwks: %w", err)
	}
	return nil
}

// addKeys adds a set of public keys: an inline set, a URL or a file, by its form.
func addKeys(to *projects.JWTConfig, text string) error {
	var given bool
	part := new(projects.JWTConfig)
	switch {
	case strings.HasPrefix(strings.TrimSpace(text), "{"):
		part.JWKS, given = json.RawMessage(text), to.JWKS != nil
		to.JWKS = part.JWKS
	case strings.Contains(text, "://"):
		part.JWKSURL, given = text, to.JWKSURL != ""
		to.JWKSURL = text
	default:
		given = to.JWKSFile != ""
		to.JWKSFile = text
	}
	if given {
		return errors.New("given twice in the same way; a project may have one URL, one file and one inline set")
	}
	return checkProjectPart(projects.ProjectConfig{JWT: part})
}

// hashedKeyPrefix marks an API key that is given by its SHA-256.
const hashedKeyPrefix = "sha256:"

func (p *Project) parseAPIKey(d *caddyfile.Dispenser) error {
	args, err := options.Arguments(d, 2, 3)
	if err != nil {
		return err
	}
	key := projects.APIKeyConfig{Type: args[0], Key: args[1]}
	if sum, ok := strings.CutPrefix(args[1], hashedKeyPrefix); ok {
		key.Key, key.SHA256 = "", sum
	}
	if len(args) == 3 {
		key.Name = args[2]
	}
	if err := checkProjectPart(projects.ProjectConfig{APIKeys: []projects.APIKeyConfig{key}}); err != nil {
		return d.Errf("api_key: %w; write `%s`", err, options.Form("api_key"))
	}
	err = options.Block(d, options.Table{"expires_at": func(d *caddyfile.Dispenser) error { return options.Time(d, &key.ExpiresAt) }})
	p.APIKeys = append(p.APIKeys, key)
	return err
}

func (p *Project) parseFunction(d *caddyfile.Dispenser, seen map[string]bool) error {
	var f projects.FunctionConfig
	if err := options.String(d, &f.Slug); err != nil {
		return err
	}
	if len(f.Slug) > projects.MaxSlug {
		return d.Errf("function %.64s...: a slug has at most %d characters", f.Slug, projects.MaxSlug)
	}
	if f.Slug != projects.Wildcard && !projects.ValidSlug(f.Slug) || projects.Reserved(f.Slug) {
		return d.Errf("function %q: a slug is made of letters, digits, _ and -, is not _internal, or is * for any other", f.Slug)
	}
	if seen[f.Slug] {
		return d.Errf("function %s: given twice, keep one", f.Slug)
	}
	seen[f.Slug] = true
	err := options.Block(d, options.Table{
		"id":      func(d *caddyfile.Dispenser) error { return options.String(d, &f.ID) },
		"version": func(d *caddyfile.Dispenser) error { return options.Number(d, &f.Version) },
		"verify_jwt": func(d *caddyfile.Dispenser) error {
			f.VerifyJWT = new(bool)
			return options.OnOff(d, f.VerifyJWT)
		},
		"websocket_token":    func(d *caddyfile.Dispenser) error { return options.OneOf(d, &f.WebSocketToken, "query", "subprotocol") },
		"event_source_token": func(d *caddyfile.Dispenser) error { return options.OneOf(d, &f.EventSourceToken, "query") },
		"expose":             func(d *caddyfile.Dispenser) error { return parseExpose(d, &f.Expose) },
		"cors":               func(d *caddyfile.Dispenser) error { return options.OneOf(d, &f.CORS, "auto", "function") },
		"html":               func(d *caddyfile.Dispenser) error { return options.OneOf(d, &f.HTML, "text/plain", "keep") },
		"status": func(d *caddyfile.Dispenser) error {
			return options.OneOf(d, &f.Status, "ACTIVE", "REMOVED", "THROTTLED")
		},
		"wall_clock": func(d *caddyfile.Dispenser) error { return options.Duration(d, &f.WallClock) },
		"placement":  nil, "replay": nil,
	})
	p.Functions = append(p.Functions, f)
	return err
}

// warnOfNoCredentials warns of a project whose functions require a token although no
// key is configured to verify it.
func (p *Project) warnOfNoCredentials(at *caddyfile.Dispenser) {
	verified := slices.ContainsFunc(p.Functions, func(f projects.FunctionConfig) bool { return f.VerifyJWT == nil || *f.VerifyJWT })
	tokens := p.JWT != nil && (p.JWT.Secret != "" || len(p.JWT.Secrets)+len(p.JWT.JWKS) > 0 || p.JWT.JWKSFile != "" || p.JWT.JWKSURL != "")
	if verified && !tokens && len(p.LaterKeys)+len(p.APIKeys) == 0 {
		options.Warn(at.File(), at.Line(), "project default: it has neither jwt_secret, jwks nor api_key, so every call of a function with verify_jwt on is 401; "+
			"write `jwt_secret {env.JWT_SECRET}`, or `verify_jwt off` in the functions that anyone may call")
	}
}

// parseStripeCustomer reads the id of a customer at Stripe.
func parseStripeCustomer(d *caddyfile.Dispenser, into *string) error {
	if err := options.String(d, into); err != nil {
		return err
	}
	if !projects.ValidStripeCustomer(*into) {
		return d.Errf("stripe_customer %q: must be the id of a customer at Stripe; write `%s`", *into, options.Form("stripe_customer"))
	}
	return nil
}
