package projects

import (
	"time"
)

// Plan is what an organization may use.
type Plan struct {
	Name      string
	Functions int           // how many a project may have (BEHAVIOUR.md 7.6); 0: any number
	WallClock time.Duration // how long an invocation may run (BEHAVIOUR.md 6.2); 0: no limit
}

// BuiltinPlans returns the four plans of BEHAVIOUR.md 6.2 and 7.6 by name.
func BuiltinPlans() map[string]Plan {
	const free, paid = 150 * time.Second, 400 * time.Second
	plans := make(map[string]Plan)
	for _, p := range []Plan{
		{Name: "free", Functions: 100, WallClock: free},
		{Name: "pro", Functions: 500, WallClock: paid},
		{Name: "team", Functions: 1000, WallClock: paid},
		{Name: "enterprise", WallClock: paid},
	} {
		plans[p.Name] = p
	}
	return plans
}

// Organization is who pays for projects. An Organization is immutable. What is
// not set is the plan's to say.
type Organization struct {
	ID         string
	Plan       *Plan     // nil: none, and so no limits
	SpendCap   *bool     // whether invocations stop at the quota
	CycleStart time.Time // any start of a billing cycle; zero: none given
	Quota      *int64    // invocations a cycle
	Grace      time.Duration
	TimeZone   *time.Location // never nil
}

// maxID is how long an organization's or a function's id may be, in bytes.
const maxID = 64

func validOrganizationID(id string) bool {
	for i := 0; i < len(id); i++ {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return id != "" && len(id) <= maxID
}
