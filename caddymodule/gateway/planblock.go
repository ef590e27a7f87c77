package gateway

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/routing/projects"
)

// quotaValue reads a number of invocations.
func quotaValue(d *caddyfile.Dispenser, into **int64) error {
	var text string
	if err := options.String(d, &text); err != nil {
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
	args, err := options.PlainArguments(d, 3, 3)
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(args[2], 10, 64)
	if !price.MatchString(args[0]) || args[1] != "per" || err != nil || n <= 0 {
		return d.Errf("overage %s: must be a price and a number of invocations; write `%s`", strings.Join(args, " "), options.Form("overage"))
	}
	*into = &projects.Overage{Price: args[0], Package: n}
	return nil
}

// stripeCustomer reads who somebody is at Stripe.
func stripeCustomer(d *caddyfile.Dispenser, into *string) error {
	if err := options.String(d, into); err != nil {
		return err
	}
	if !projects.ValidStripeCustomer(*into) {
		return d.Errf("stripe_customer %q: must be the id of a customer at Stripe; write `%s`", *into, options.Form("stripe_customer"))
	}
	return nil
}
