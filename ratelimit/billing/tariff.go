package billing

import "github.com/edgegate/edgegate/ratelimit/usage"

// Tariff is the part of a plan that the price of invocations follows from.
type Tariff struct {
	// Plan is the name of the plan. Default: none, and so no price.
	Plan string

	// Included is the number of invocations of a billing period that cost nothing;
	// negative: all of them.
	Included int64

	// Hard says that invocations beyond the included ones are refused. Then none are
	// sold.
	Hard bool

	// Package is how many invocations beyond the included ones are sold together.
	// Default: none are sold.
	Package int64

	// PackagePrice is the price of a package as a decimal number, such as 2.50.
	PackagePrice string

	// Currency is a code of ISO 4217.
	Currency string
}

// Price returns the price of invocations. Those beyond the included ones are sold only
// where they are not refused. The error says that PackagePrice is no amount of the
// currency.
func (t *Tariff) Price() (usage.Price, error) {
	p := usage.Price{Plan: t.Plan, Included: max(-1, t.Included), Currency: t.Currency}
	if t.Package == 0 || t.Hard || t.Included < 0 {
		return p, nil
	}
	minor, err := usage.Minor(t.PackagePrice, t.Currency)
	if err != nil {
		return p, err
	}
	p.Package, p.Minor = t.Package, minor
	return p, nil
}
