package projects

import (
	"strings"
	"time"
)

// Plan has the limits of an organization.
type Plan struct {
	Name      string
	Functions int           // how many a project may have (contract 7.6); 0: any number
	WallClock time.Duration // how long an invocation may run (contract 6.2); 0: no limit
	Quota     *int64        // invocations a cycle (contract 7.3); nil: any number
	Overage   *Overage      // what more of them cost; nil: there are none
	SpendCap  bool          // there are none unless the organization says so
	Weight    int64         // how much of a full region each project gets beside others (contract 9.6); 0: 1
	Unmetered bool          // invocations that cannot be recorded, or need a grant while no authority answers, go on
}

// Overage is the price of invocations beyond a quota, in packages of which each
// that is begun is paid.
type Overage struct {
	Price   string `json:"price"`   // of a package, a decimal number such as 2.00
	Package int64  `json:"package"` // invocations
}

// BuiltinPlans returns the four plans of contract 6.2, 7.3 and 7.6 by name.
func BuiltinPlans() map[string]Plan {
	const free, paid = 150 * time.Second, 400 * time.Second
	small, large := int64(500_000), int64(2_000_000)
	price := &Overage{Price: "2.00", Package: 1_000_000}
	plans := make(map[string]Plan)
	for _, p := range []Plan{
		{
			Name:      "free",
			Functions: 100,
			WallClock: free,
			Quota:     &small,
		},
		{
			Name:      "pro",
			Functions: 500,
			WallClock: paid,
			Quota:     &large,
			Overage:   price,
			SpendCap:  true,
		},
		{
			Name:      "team",
			Functions: 1000,
			WallClock: paid,
			Quota:     &large,
			Overage:   price,
		},
		{Name: "enterprise", WallClock: paid},
	} {
		plans[p.Name] = p
	}
	return plans
}

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
