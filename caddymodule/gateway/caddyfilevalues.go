package gateway

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/edgegate/edgegate/regions/spelling"
	"github.com/edgegate/edgegate/routing/projects"
)

// forms shows how each option that has arguments is written.
var forms = map[string]string{ //nolint:gosec // G101: these are examples, not credentials
	"apex":            "apex example.com",
	"location":        "location eu-central-1` or `location 50.1 8.7",
	"nearest":         "nearest gateway` or `nearest client",
	"max_spill":       "max_spill 150ms",
	"max_detour":      "max_detour 30ms",
	"capacity":        "capacity 2000",
	"header":          "header CF-IPCountry",
	"debug_secret":    "debug_secret {env.DEBUG_SECRET}",
	"mmdb":            "mmdb /var/lib/geo/country.mmdb",
	"health_uri":      "health_uri /ready",
	"ca":              "ca /etc/edgegate/ca.pem",
	"certificate":     "certificate /etc/edgegate/gateway.pem /etc/edgegate/gateway-key.pem",
	"server_name":     "server_name runtime.internal",
	"retry_status":    "retry_status 502 503",
	"retry_sent":      "retry_sent on|off",
	"retry_body":      "retry_body 256KiB",
	"region":          "region us-east-1 { ... }",
	"backend":         "backend http://10.1.0.10:9000",
	"coordinates":     "coordinates 52.5 13.4",
	"bias":            "bias 10ms",
	"idle_timeout":    "idle_timeout 150s",
	"max_body":        "max_body 100MB",
	"memory":          "memory replay|tokens|limits 64MiB",
	"wall_clock":      "wall_clock 400s",
	"project":         "project default { ... }",
	"domain":          "domain api.example.org",
	"regions":         "regions eu-central-1 eu-west-1",
	"jwt_secret":      "jwt_secret {env.JWT_SECRET}",
	"api_key":         "api_key publishable|secret KEY [NAME]",
	"origin":          "origin https://app.example.org",
	"credentials":     "credentials on|off",
	"function":        "function NAME` or `function *",
	"id":              "id UUID",
	"version":         "version 3",
	"verify_jwt":      "verify_jwt on|off",
	"cors":            "cors auto|function",
	"html":            "html text/plain|keep",
	"status":          "status ACTIVE|REMOVED|THROTTLED",
	"plan":            "plan pro",
	"currency":        "currency EUR",
	"jwks":            "jwks https://auth.example.com/auth/v1/.well-known/jwks.json",
	"jwks_private":    "jwks_private on|off",
	"jwt_issuer":      "jwt_issuer https://auth.example.com/auth/v1",
	"jwt_audience":    "jwt_audience authenticated",
	"jwt_role":        "jwt_role authenticated service_role",
	"jwt_leeway":      "jwt_leeway 5s",
	"allow_eddsa":     "allow_eddsa on|off",
	"expires_at":      "expires_at 2027-01-31T00:00:00Z",
	"projects":        "projects file /etc/edgegate/projects.json` or `projects redis",
	"export":          "export file /var/lib/edgegate/usage`, `export stripe { api_key {env.STRIPE_KEY} ... }` or `export webhook https://billing.example.com/usage { ... }",
	"store":           "store embedded [/var/lib/edgegate]` or `store redis redis://127.0.0.1:6379 [/var/lib/edgegate]",
	"rate_limit":      "rate_limit project|function|client_ip|subject 200/s [burst 400] [local|shared|strict] [shadow]",
	"sync":            "sync none|group|strict",
	"quota":           "quota 2000000",
	"overage":         "overage 2.00 per 1000000",
	"spend_cap":       "spend_cap on|off",
	"grace":           "grace 24h",
	"cycle_start":     "cycle_start 2026-11-05T00:00:00Z",
	"time_zone":       "time_zone Europe/Berlin",
	"organization":    "organization acme",
	"file":            exportFileForm,
	"format":          "format csv|jsonl|parquet|focus",
	"meter":           "meter edge_invocations",
	"overage_meter":   "overage_meter edge_invocations_overage|off",
	"url":             "url https://api.stripe.com",
	"preset":          "preset openmeter",
	"batch":           "batch 100",
	"name":            "name billing",
	"stripe_customer": "stripe_customer cus_NciAYcXfLnqBoz",
	"functions":       "functions 500",

	"in_flight":      "in_flight project|function|client_ip 500",
	"capacity_share": "capacity_share 80%",
	"websockets":     "websockets 8000",
	"weight":         "weight 2",

	"websocket_token":    "websocket_token query|subprotocol",
	"event_source_token": "event_source_token query",
	"expose":             "expose x-total-count",
	"wrap":               "wrap console",
}

// arguments reads the arguments of the current option: at least atLeast, at
// most atMost, none empty. The error does not repeat them, they may be secrets.
func arguments(d *caddyfile.Dispenser, atLeast, atMost int) ([]string, error) {
	name, args := d.Val(), d.RemainingArgs()
	switch n := len(args); {
	case n < atLeast || n > atMost:
		return nil, d.Errf("%s: wrong number of arguments (%d)%s; write `%s`", name, n, unsetVariable(d.File(), d.Line()), forms[name])
	case slices.Contains(args, ""):
		return nil, d.Errf("%s: must not be empty; write `%s`", name, forms[name])
	}
	return args, nil
}

// plainArguments is arguments for options that are no secrets. In those
// nothing would fill in a placeholder later.
func plainArguments(d *caddyfile.Dispenser, atLeast, atMost int) ([]string, error) {
	name := d.Val()
	args, err := arguments(d, atLeast, atMost)
	for _, arg := range args {
		if found := envPlaceholder.FindStringSubmatch(arg); found != nil {
			return nil, d.Errf("%s: %s is filled in only in keys, secrets, tokens, jwks and the URLs of Redis and webhooks; write {$%s}, which is filled in when the file is read",
				name, found[0], found[1])
		}
	}
	return args, err
}

// oneArg reads the only argument of the current option.
func oneArg(d *caddyfile.Dispenser, into *string) error {
	args, err := plainArguments(d, 1, 1)
	if err == nil {
		*into = args[0]
	}
	return err
}

// someArgs appends the arguments of the current option, at least one.
func someArgs(d *caddyfile.Dispenser, into *[]string) error {
	args, err := plainArguments(d, 1, math.MaxInt)
	*into = append(*into, args...)
	return err
}

// oneOf reads an argument that must be one of the allowed words.
func oneOf(d *caddyfile.Dispenser, into *string, allowed ...string) error {
	name := d.Val()
	var value string
	if err := oneArg(d, &value); err != nil {
		return err
	}
	if !slices.Contains(allowed, value) {
		return d.Errf("%s %q: allowed are %s%s", name, value, strings.Join(allowed, ", "), spelling.DidYouMean(value, allowed))
	}
	*into = value
	return nil
}

// onOff reads an argument that must be `on` or `off`.
func onOff(d *caddyfile.Dispenser, into *bool) error {
	var value string
	if err := oneOf(d, &value, "on", "off"); err != nil {
		return err
	}
	*into = value == "on"
	return nil
}

// duration reads a positive duration.
func duration[T ~int64](d *caddyfile.Dispenser, into *T) error {
	name := d.Val()
	var text string
	if err := oneArg(d, &text); err != nil {
		return err
	}
	value, err := caddy.ParseDuration(text)
	if err != nil || value <= 0 {
		return d.Errf("%s %q: must be a positive duration such as 150s", name, text)
	}
	*into = T(value)
	return nil
}

// size reads a number of bytes such as 100MB.
func size[T ~int64](d *caddyfile.Dispenser, into *T) error {
	name := d.Val()
	var text string
	if err := oneArg(d, &text); err != nil {
		return err
	}
	value, err := humanize.ParseBytes(text)
	if err != nil || value == 0 || value > 1<<62 {
		return d.Errf("%s %q: must be a size such as 100MB", name, text)
	}
	*into = T(value)
	return nil
}

// coordinates reads a latitude and a longitude in degrees.
func coordinates(d *caddyfile.Dispenser, name string, args []string) (lat, lon float64, err error) {
	lat, errLat := strconv.ParseFloat(args[0], 64)
	lon, errLon := strconv.ParseFloat(args[1], 64)
	// The negated form refuses NaN as well.
	if errLat != nil || errLon != nil || !(lat >= -90 && lat <= 90) || !(lon >= -180 && lon <= 180) {
		return 0, 0, d.Errf("%s %s: must be a latitude from -90 to 90 and a longitude from -180 to 180, such as 52.5 13.4",
			name, strings.Join(args, " "))
	}
	return lat, lon, nil
}

// number reads a whole number from 0.
func number(d *caddyfile.Dispenser, into *int) error {
	name := d.Val()
	var text string
	if err := oneArg(d, &text); err != nil {
		return err
	}
	n, err := parseNumber(text)
	if err != nil {
		return d.Errf("%s %q: must be a whole number from 0", name, text)
	}
	*into = n
	return nil
}

// quotaValue reads a number of invocations.
func quotaValue(d *caddyfile.Dispenser, into **int64) error {
	var text string
	if err := oneArg(d, &text); err != nil {
		return err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return d.Errf("quota %q: must be a whole number of invocations, from 0", text)
	}
	*into = &n
	return nil
}

// price is an amount of money; how many places it may have is for the currency
// to say.
var price = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,9})?$`)

// overage reads a price and what it is for.
func overage(d *caddyfile.Dispenser, into **projects.Overage) error {
	args, err := plainArguments(d, 3, 3)
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(args[2], 10, 64)
	if !price.MatchString(args[0]) || args[1] != "per" || err != nil || n <= 0 {
		return d.Errf("overage %s: must be a price and a number of invocations; write `%s`", strings.Join(args, " "), forms["overage"])
	}
	*into = &projects.Overage{Price: args[0], Package: n}
	return nil
}

// instant reads a point in time.
func instant(d *caddyfile.Dispenser, into **time.Time) error {
	name := d.Val()
	var text string
	if err := oneArg(d, &text); err != nil {
		return err
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return d.Errf("%s %q: must be a time such as 2027-01-31T00:00:00Z", name, text)
	}
	*into = &at
	return nil
}

// zone reads the name of a time zone.
func zone(d *caddyfile.Dispenser, into *string) error {
	if err := oneArg(d, into); err != nil {
		return err
	}
	if _, err := time.LoadLocation(*into); err != nil || *into == "Local" {
		return d.Errf("time_zone %q: must be an IANA time zone such as Europe/Berlin", *into)
	}
	return nil
}

// stripeCustomer reads who somebody is at Stripe.
func stripeCustomer(d *caddyfile.Dispenser, into *string) error {
	if err := oneArg(d, into); err != nil {
		return err
	}
	if !projects.ValidStripeCustomer(*into) {
		return d.Errf("stripe_customer %q: must be the id of a customer at Stripe; write `%s`", *into, forms["stripe_customer"])
	}
	return nil
}

func parseNumber(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err
}

// oneLine joins the lines of errors.Join, so that the place that follows
// belongs to all of them.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
