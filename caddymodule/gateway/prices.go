package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/regions/spelling"
	"github.com/edgegate/edgegate/routing/projects"
)

// currency is the one of all prices.
func (a *App) currency() string { return cmp.Or(a.Currency, usage.DefaultCurrency) }

// parseCurrency reads the code of a currency.
func (a *App) parseCurrency(d *caddyfile.Dispenser) error {
	if err := options.String(d, &a.Currency); err != nil {
		return err
	}
	if err := a.checkCurrency(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (a *App) checkCurrency() error {
	all, code := usage.Currencies(), a.currency()
	if slices.Contains(all, code) {
		return nil
	}
	return fmt.Errorf("currency %q: must be a code of ISO 4217 such as EUR%s", code, spelling.DidYouMean(code, all))
}

// checkPrices says which prices of plans are none of the currency.
func (a *App) checkPrices() error {
	errs := []error{a.checkCurrency()}
	for _, name := range slices.Sorted(maps.Keys(a.Plans)) {
		if p := a.Plans[name]; p != nil && p.Overage != nil {
			if err := a.checkPrice(p.Overage); err != nil {
				errs = append(errs, fmt.Errorf("plan %s: %w", name, err))
			}
		}
	}
	return errors.Join(errs...)
}

func (a *App) checkPrice(o *projects.Overage) error {
	if !price.MatchString(o.Price) || o.Package <= 0 {
		return fmt.Errorf("overage %s per %d: must be a price and a number of invocations; write `%s`", o.Price, o.Package, options.Form("overage"))
	}
	if _, err := usage.Minor(o.Price, a.currency()); err != nil {
		return fmt.Errorf("overage %s per %d: %w", o.Price, o.Package, err)
	}
	return nil
}

// priced is a price of the Caddyfile, and where it stands: the currency may come
// after it.
type priced struct {
	at      caddyfile.Dispenser
	overage *projects.Overage
}

// priceOf are the terms that an organization's invocations are billed by.
func (a *App) priceOf(o *projects.Organization) usage.Price {
	quota, hard := o.Allowance()
	t := usage.Price{Included: max(-1, quota), Currency: a.currency()}
	if o.Plan == nil {
		return t
	}
	t.Plan = o.Plan.Name
	if over := o.Plan.Overage; over != nil && !hard && quota >= 0 {
		t.Package = over.Package
		t.Minor, _ = usage.Minor(over.Price, t.Currency) // the configuration was checked
	}
	return t
}
