package projects

import (
	"strings"
	"time"
)

// MaxQuota is the highest quota of an organization or a plan: quota.MaxLimit.
const MaxQuota = 1<<53 - 1

// Organization pays for projects. An Organization is immutable. What is
// not set is the plan's to say.
type Organization struct {
	ID         string
	Plan       *Plan     // nil: none, and so no limits
	SpendCap   *bool     // whether invocations stop at the quota
	CycleStart time.Time // any start of a billing cycle; zero: none given
	Quota      *int64    // invocations a cycle
	Grace      time.Duration
	TimeZone   *time.Location // never nil

	StripeCustomer string // "": none
}

// Allowance returns how many invocations an organization may make in a cycle,
// negative for any number, and whether they stop there: a quota without a price
// for more is hard, and so is one with a spend cap (contract 7.3).
func (o *Organization) Allowance() (quota int64, hard bool) {
	quota, hard = -1, true
	if o.Plan != nil {
		if o.Plan.Quota != nil {
			quota = *o.Plan.Quota
		}
		if o.Plan.Overage != nil {
			hard = o.Plan.SpendCap
			if o.SpendCap != nil {
				hard = *o.SpendCap
			}
		}
	}
	if o.Quota != nil {
		quota = *o.Quota
	}
	return quota, hard && quota >= 0
}

// MaxWeight is the largest Plan.Weight.
const MaxWeight = 1000

// Weight returns how much of a full region the project gets beside others; at
// least 1.
func (p *Project) Weight() int64 {
	if p.Organization == nil || p.Organization.Plan == nil {
		return 1
	}
	return max(p.Organization.Plan.Weight, 1)
}

// maxID is the longest id of an organization or a function, in bytes.
const maxID = 64

// ValidOrganizationID reports whether id can be one.
func ValidOrganizationID(id string) bool {
	for i := 0; i < len(id); i++ {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return id != "" && len(id) <= maxID
}

// ValidStripeCustomer reports whether id has the form of a Stripe customer's.
func ValidStripeCustomer(id string) bool {
	rest, ok := strings.CutPrefix(id, "cus_")
	for i := 0; i < len(rest); i++ {
		if c := rest[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return ok && rest != "" && len(id) <= maxID
}
