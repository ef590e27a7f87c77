package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/regions/spelling"
	"github.com/edgegate/edgegate/routing/projects"
)

// Plan changes or adds a plan.
type Plan struct {
	// How many functions a project may have, 0 for any number. Default: the
	// built-in plan's.
	Functions *int `json:"functions,omitempty"`

	// How long an invocation may run. Default: the built-in plan's.
	WallClock caddy.Duration `json:"wall_clock,omitempty"`

	// Invocations a cycle. Default: the built-in plan's.
	Quota *int64 `json:"quota,omitempty"`

	// The price of invocations beyond the quota. Default: the built-in plan's; without
	// a price they are refused.
	Overage *projects.Overage `json:"overage,omitempty"`

	// Whether invocations beyond the quota are refused, unless the organization says
	// otherwise. Default: the built-in plan's.
	SpendCap *bool `json:"spend_cap,omitempty"`

	// The weight by which a full region is divided between projects. Default: 1, at
	// most 1000.
	Weight int64 `json:"weight,omitempty"`

	// How invocations are answered that cannot be recorded because the disk is full or
	// fails, or that need a grant of a hard quota while the store is unreachable:
	// `closed` (default) answers them 503; `open` serves them and counts them later.
	MeterUnavailable string `json:"meter_unavailable,omitempty"`
}

// The values of Plan.MeterUnavailable.
const (
	meterClosed = "closed"
	meterOpen   = "open"
)

// plans returns the built-in plans, changed and extended by those of the configuration.
func (a *App) plans() map[string]projects.Plan {
	plans := projects.BuiltinPlans()
	for name, plan := range plans {
		if plan.Overage != nil { // 2 of whatever the currency is, which may have no decimals
			plan.Overage = &projects.Overage{Price: strings.TrimSuffix(plan.Overage.Price, ".00"), Package: plan.Overage.Package}
			plans[name] = plan
		}
	}
	for name, p := range a.Plans {
		plan := plans[name]
		plan.Name = name
		if p.Functions != nil {
			plan.Functions = *p.Functions
		}
		if p.WallClock > 0 {
			plan.WallClock = time.Duration(p.WallClock)
		}
		if p.Quota != nil {
			plan.Quota = p.Quota
		}
		if p.Overage != nil {
			plan.Overage = p.Overage
		}
		if p.SpendCap != nil {
			plan.SpendCap = *p.SpendCap
		}
		plan.Weight = p.Weight
		plan.Unmetered = p.MeterUnavailable == meterOpen
		plans[name] = plan
	}
	return plans
}

// checkPlans returns an error if a value of a plan is out of range.
func (a *App) checkPlans() error {
	for _, name := range slices.Sorted(maps.Keys(a.Plans)) {
		if err := a.Plans[name].check(); err != nil {
			return fmt.Errorf("plan %s: %w", name, err)
		}
	}
	return nil
}

func (p *Plan) check() error {
	allowed := []string{meterClosed, meterOpen}
	switch {
	case p.Functions != nil && *p.Functions < 0:
		return fmt.Errorf("functions %d: must be a whole number, from 0", *p.Functions)
	case p.WallClock < 0:
		return errors.New("wall_clock: must not be negative")
	case p.Quota != nil && (*p.Quota < 0 || *p.Quota > projects.MaxQuota):
		return fmt.Errorf("quota %d: must be a whole number of invocations, from 0 to %d", *p.Quota, projects.MaxQuota)
	case p.Weight < 0 || p.Weight > projects.MaxWeight:
		return fmt.Errorf("weight: must be from 1 to %d", projects.MaxWeight)
	case p.MeterUnavailable != "" && !slices.Contains(allowed, p.MeterUnavailable):
		return fmt.Errorf("meter_unavailable %q: allowed are %s%s",
			p.MeterUnavailable, strings.Join(allowed, ", "), spelling.DidYouMean(p.MeterUnavailable, allowed))
	}
	return nil
}

// parsePlan reads
//
//	plan <name> {
//		functions <number>
//		wall_clock <duration>
//		quota <number>
//		overage <price> per <number>
//		spend_cap on|off
//		weight <number>
//		meter_unavailable closed|open
//	}
func (a *App) parsePlan(d *caddyfile.Dispenser, prices *[]pricedLine) error {
	var name string
	if err := options.String(d, &name); err != nil {
		return err
	}
	if _, twice := a.Plans[name]; twice {
		return d.Errf("plan %s: given twice, put its options into one block", name)
	}
	plan := new(Plan)
	if a.Plans == nil {
		a.Plans = make(map[string]*Plan)
	}
	a.Plans[name] = plan
	return options.Block(d, options.Table{
		"functions": func(d *caddyfile.Dispenser) error {
			plan.Functions = new(int)
			return options.Number(d, plan.Functions)
		},
		"wall_clock": func(d *caddyfile.Dispenser) error { return options.Duration(d, &plan.WallClock) },
		"quota":      func(d *caddyfile.Dispenser) error { return parseQuota(d, &plan.Quota) },
		"overage": func(d *caddyfile.Dispenser) error {
			at := *d
			if err := parseOverage(d, &plan.Overage); err != nil {
				return err
			}
			*prices = append(*prices, pricedLine{at, plan.Overage})
			return nil
		},
		"spend_cap": func(d *caddyfile.Dispenser) error {
			plan.SpendCap = new(bool)
			return options.OnOff(d, plan.SpendCap)
		},
		"weight": func(d *caddyfile.Dispenser) error { return options.Count(d, &plan.Weight, projects.MaxWeight) },
		"meter_unavailable": func(d *caddyfile.Dispenser) error {
			return options.OneOf(d, &plan.MeterUnavailable, meterClosed, meterOpen)
		},
	})
}

// parseQuota reads a number of invocations.
func parseQuota(d *caddyfile.Dispenser, into **int64) error {
	var text string
	if err := options.String(d, &text); err != nil {
		return err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > projects.MaxQuota {
		return d.Errf("quota %q: must be a whole number of invocations, from 0 to %d", text, projects.MaxQuota)
	}
	*into = &n
	return nil
}

// priceForm matches an amount of money; the currency decides how many decimals it may
// have.
var priceForm = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,9})?$`)

// parseOverage reads a price and the number of invocations that it is for.
func parseOverage(d *caddyfile.Dispenser, into **projects.Overage) error {
	args, err := options.PlainArguments(d, 3, 3)
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(args[2], 10, 64)
	if !priceForm.MatchString(args[0]) || args[1] != "per" || err != nil || n <= 0 {
		return d.Errf("overage %s: must be a price and a number of invocations; write `%s`", strings.Join(args, " "), options.Form("overage"))
	}
	*into = &projects.Overage{Price: args[0], Package: n}
	return nil
}

// currency returns the currency of all prices.
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

// checkPrices returns an error if a price has more decimals than its currency.
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
	if !priceForm.MatchString(o.Price) || o.Package <= 0 {
		return fmt.Errorf("overage %s per %d: must be a price and a number of invocations; write `%s`", o.Price, o.Package, options.Form("overage"))
	}
	if _, err := usage.Minor(o.Price, a.currency()); err != nil {
		return fmt.Errorf("overage %s per %d: %w", o.Price, o.Package, err)
	}
	return nil
}

// pricedLine is a price with its line of the Caddyfile. It is checked after the whole
// file was read, as the currency may follow later.
type pricedLine struct {
	at      caddyfile.Dispenser
	overage *projects.Overage
}

// priceOf returns the price of an organization's invocations.
func (a *App) priceOf(o *projects.Organization) usage.Price {
	t := billing.Tariff{Currency: a.currency()}
	t.Included, t.Hard = o.Allowance()
	if o.Plan != nil {
		t.Plan = o.Plan.Name
		if over := o.Plan.Overage; over != nil {
			t.Package, t.PackagePrice = over.Package, over.Price
		}
	}
	price, _ := t.Price() // the amount was checked with the configuration
	return price
}
