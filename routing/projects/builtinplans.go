package projects

import "time"

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
