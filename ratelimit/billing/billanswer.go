package billing

import (
	"time"

	"github.com/edgegate/edgegate/ratelimit/usage"
)

// BillAnswer says what organizations have to pay: the answer of `edgegate usage bill`.
type BillAnswer struct {
	// Organizations has one element per organization, period and currency, by period,
	// then by organization.
	Organizations []OrganizationBill `json:"organizations"`
}

// OrganizationBill is what one organization has to pay for one period so far. If the
// currency was changed within the period, there is one bill for each currency.
type OrganizationBill struct {
	// ID is the organization's; empty for projects without an organization.
	ID string `json:"id"`

	// Plan is the name of its plan in the last hour with usage; empty without one.
	Plan string `json:"plan"`

	// Period is the billing period.
	Period Period `json:"period"`

	// State is provisional as long as any line of the bill is, then final.
	State usage.State `json:"state"`

	// Included is the number of invocations that the plan includes in the period; -1
	// without a limit.
	Included int64 `json:"included"`

	// Invocations counts what is billed, adjustments included.
	Invocations int64 `json:"invocations"`

	// Over is the part of Invocations beyond Included that is sold: 0 while a plan sells
	// nothing. It is what a meter with the price of the plan adds up to.
	Over int64 `json:"over"`

	// Packages is the number of packages that were begun while they were sold. Each is
	// paid in full.
	Packages int64 `json:"packages"`

	// AmountMinor is the price of Packages in the minor unit of Currency, such as
	// cents.
	AmountMinor int64 `json:"amount_minor"`

	// Amount is AmountMinor as a decimal number in Currency, such as 4.00.
	Amount string `json:"amount"`

	// Currency is a code of ISO 4217.
	Currency string `json:"currency"`

	// Terms has the parts of the period with one price each, in order. The bill is their
	// sum.
	Terms []BillTerm `json:"terms"`
}

// BillTerm is the part of a bill under one price.
type BillTerm struct {
	// From is when the first line item of the term begins.
	From time.Time `json:"from"`

	// Plan is the name of the plan.
	Plan string `json:"plan"`

	// PlanRev has 8 hex digits that differ between prices of a plan.
	PlanRev string `json:"plan_rev"`

	// Included is the number of invocations that the plan includes in the period; -1
	// without a limit.
	Included int64 `json:"included"`

	// Package is the number of invocations in a package; 0 if nothing is sold.
	Package int64 `json:"package"`

	// Price is that of a package, as a decimal number in the currency of the bill.
	Price string `json:"price"`

	// Invocations, Packages and AmountMinor are parts of those of the bill.
	Invocations int64 `json:"invocations"`
	Packages    int64 `json:"packages"`
	AmountMinor int64 `json:"amount_minor"`

	// Amount is AmountMinor as a decimal number in the currency of the bill.
	Amount string `json:"amount"`
}
