package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/routing/projects"
)

// UnmarshalCaddyfile reads the block of a project, which the dispenser stands
// in front of:
//
//	project default {
//		domain <host...>
//		regions <name...>
//		jwt_secret <secret>
//		api_key publishable|secret <key> [<name>]
//		max_body <size>
//		wall_clock <duration>
//		cors {
//			origin <origin...>
//			credentials on|off
//		}
//		function <slug>|* {
//			id <uuid>
//			version <number>
//			verify_jwt on|off
//			cors auto|function
//			html text/plain|keep
//			status ACTIVE|REMOVED
//			wall_clock <duration>
//		}
//	}
func (p *Project) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return block(d, options{
		"domain":          p.parseDomain,
		"regions":         func(d *caddyfile.Dispenser) error { return someArgs(d, &p.Regions) },
		"jwt_secret":      p.parseSecret,
		"api_key":         p.parseAPIKey,
		"max_body":        func(d *caddyfile.Dispenser) error { return size(d, &p.MaxBody) },
		"wall_clock":      func(d *caddyfile.Dispenser) error { return duration(d, &p.WallClock) },
		"cors":            func(d *caddyfile.Dispenser) error { return parseCORS(d, &p.CORS) },
		"function":        p.parseFunction,
		"jwks":            nil,
		"plan":            nil,
		"organization":    nil,
		"quota":           nil,
		"grace":           nil,
		"time_zone":       nil,
		"spend_cap":       nil,
		"cycle_start":     nil,
		"allow_eddsa":     nil,
		"websocket_token": nil,
	})
}

func (p *Project) parseDomain(d *caddyfile.Dispenser) error {
	if err := someArgs(d, &p.Domains); err != nil {
		return err
	}
	if _, err := projects.New(projects.Config{Ref: projects.DefaultRef, Domains: p.Domains}); err != nil {
		return d.Errf("%s", oneLine(err))
	}
	return nil
}

func (p *Project) parseSecret(d *caddyfile.Dispenser) error {
	args, err := arguments(d, 1, 1)
	if err != nil {
		return err
	}
	secret := args[0]
	// What is in the environment is judged when the configuration is loaded.
	if !envPlaceholder.MatchString(secret) {
		resolved, err := resolveSecret(secret)
		if err == nil {
			err = checkSecret(resolved)
		}
		if err != nil {
			return d.Errf("jwt_secret: %w", err)
		}
	}
	if p.JWT == nil {
		p.JWT = new(JWT)
	}
	if p.JWT.Secret == "" {
		p.JWT.Secret = secret
	} else {
		p.JWT.Secrets = append(p.JWT.Secrets, secret)
	}
	return nil
}

func (p *Project) parseAPIKey(d *caddyfile.Dispenser) error {
	args, err := arguments(d, 2, 3)
	if err != nil {
		return err
	}
	key := &APIKey{Type: args[0], Key: args[1]}
	if len(args) == 3 {
		key.Name = args[2]
	}
	if envPlaceholder.MatchString(key.Key) {
		_, err = key.keyType()
	} else {
		_, err = key.build()
	}
	if err != nil {
		return d.Errf("api_key: %w; write `%s`", err, forms["api_key"])
	}
	p.APIKeys = append(p.APIKeys, key)
	return nil
}

func (p *Project) parseFunction(d *caddyfile.Dispenser) error {
	f := new(Function)
	if err := oneArg(d, &f.Slug); err != nil {
		return err
	}
	if f.Slug != projects.Wildcard && !projects.ValidSlug(f.Slug) || projects.Reserved(f.Slug) {
		return d.Errf("function %q: a slug is made of letters, digits, _ and -, is not _internal, or is * for any other", f.Slug)
	}
	for _, other := range p.Functions {
		if other.Slug == f.Slug {
			return d.Errf("function %s: given twice, keep one", f.Slug)
		}
	}
	p.Functions = append(p.Functions, f)
	return block(d, options{
		"id":      func(d *caddyfile.Dispenser) error { return oneArg(d, &f.ID) },
		"version": func(d *caddyfile.Dispenser) error { return number(d, &f.Version) },
		"verify_jwt": func(d *caddyfile.Dispenser) error {
			f.VerifyJWT = new(bool)
			return onOff(d, f.VerifyJWT)
		},
		"cors":            func(d *caddyfile.Dispenser) error { return oneOf(d, &f.CORS, "auto", "function") },
		"html":            func(d *caddyfile.Dispenser) error { return oneOf(d, &f.HTML, "text/plain", "keep") },
		"status":          func(d *caddyfile.Dispenser) error { return oneOf(d, &f.Status, "ACTIVE", "REMOVED") },
		"wall_clock":      func(d *caddyfile.Dispenser) error { return duration(d, &f.WallClock) },
		"websocket_token": nil,
	})
}
