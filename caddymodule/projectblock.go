package caddymodule

import (
	"strconv"

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
		"domain":          func(d *caddyfile.Dispenser) error { return someArgs(d, &p.Domains) },
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

func (p *Project) parseSecret(d *caddyfile.Dispenser) error {
	var secret string
	if err := oneArg(d, &secret); err != nil {
		return err
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
	args := d.RemainingArgs()
	if len(args) < 2 || len(args) > 3 {
		return d.ArgErr()
	}
	if args[0] != "publishable" && args[0] != "secret" {
		return d.Errf("api_key %q: allowed are publishable, secret%s", args[0], didYouMean(args[0], []string{"publishable", "secret"}))
	}
	key := &APIKey{Type: args[0], Key: args[1]}
	if len(args) == 3 {
		key.Name = args[2]
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
			return d.Errf("function %s: given twice", f.Slug)
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
		"status":          f.parseStatus,
		"wall_clock":      func(d *caddyfile.Dispenser) error { return duration(d, &f.WallClock) },
		"websocket_token": nil,
	})
}

func (f *Function) parseStatus(d *caddyfile.Dispenser) error {
	if err := oneOf(d, &f.Status, "ACTIVE", "REMOVED", "THROTTLED"); err != nil {
		return err
	}
	if f.Status == "THROTTLED" {
		return d.Errf("status THROTTLED: not in this build")
	}
	return nil
}

// number reads a whole number from 0.
func number(d *caddyfile.Dispenser, into *int) error {
	var text string
	if err := oneArg(d, &text); err != nil {
		return err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return d.Errf("version %q: must be a number from 0", text)
	}
	*into = n
	return nil
}

// someArgs appends the arguments of the current option, at least one.
func someArgs(d *caddyfile.Dispenser, into *[]string) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.ArgErr()
	}
	*into = append(*into, args...)
	return nil
}
