package billing

// UsageAnswer says how many invocations were counted in billing periods: the answer of
// `edgegate usage show`.
type UsageAnswer struct {
	// Organizations has one element per organization and period, by id, then by the
	// start of the period.
	Organizations []OrganizationUsage `json:"organizations"`

	// Partial says why this is only what this gateway counted, without days; left out
	// otherwise.
	Partial string `json:"partial,omitempty"`
}

// OrganizationUsage is what one organization used in one period.
type OrganizationUsage struct {
	// ID is the organization's; empty for projects without an organization.
	ID string `json:"id"`

	// Period is the billing period.
	Period Period `json:"period"`

	// Invocations counts those that were recorded, without adjustments.
	Invocations uint64 `json:"invocations"`

	// Adjusted is what operators added to the bill, less what they deducted. What is
	// billed is Invocations and Adjusted.
	Adjusted int64 `json:"adjusted"`

	// Unfinished counts the Invocations without a record of their end: they still run,
	// or their gateway ended first.
	Unfinished uint64 `json:"unfinished"`

	// Refused counts by status code the requests that this gateway answered without an
	// invocation. Those of unknown projects are with the organization "".
	Refused map[string]uint64 `json:"refused"`

	// Projects has the projects with any usage, by ref.
	Projects []ProjectUsage `json:"projects"`

	// Daily has one element per day up to now; left out unless it was asked for.
	Daily []DayUsage `json:"daily,omitempty"`
}

// ProjectUsage is what the functions of one project used.
type ProjectUsage struct {
	// Ref is the project's.
	Ref string `json:"ref"`

	// Invocations is the sum of those of Functions.
	Invocations uint64 `json:"invocations"`

	// Functions has one element per function and region, by slug, then by region.
	Functions []FunctionUsage `json:"functions"`
}

// FunctionUsage is what one function used in one region.
type FunctionUsage struct {
	// Slug is the function's; * for names beyond those that a wildcard counts apart.
	Slug string `json:"slug"`

	// Region is where the invocations were first sent to.
	Region string `json:"region"`

	// Invocations counts those that were recorded, without adjustments.
	Invocations uint64 `json:"invocations"`

	// Adjusted is what operators added to the bill, less what they deducted.
	Adjusted int64 `json:"adjusted"`
}

// DayUsage is what an organization used on one day.
type DayUsage struct {
	// Date is the day in the time zone of the period, as in 2026-11-05.
	Date string `json:"date"`

	// Invocations counts those of all gateways that began on the day, without
	// adjustments.
	Invocations int64 `json:"invocations"`
}
