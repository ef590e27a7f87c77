package gateway

import (
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing/auth"
)

// The answers and orders of the admin API that are about requests. Those about money
// are in package billing. The command line decodes the same types: names, order and
// types of their fields are a contract that golden files keep.

// TotalsTrailer is the HTTP trailer of an export that has its usage.Totals as JSON.
const TotalsTrailer = "Edgegate-Totals"

// RegionsAnswer lists the regions as this gateway sees them: the answer of `edgegate
// regions`.
type RegionsAnswer struct {
	// Regions has them in the order of the configuration.
	Regions []RegionStatus `json:"regions"`
}

// ProjectsAnswer lists the projects in force: the answer of `edgegate projects list`.
type ProjectsAnswer struct {
	// Source is config, file or redis.
	Source string `json:"source"`

	// Location is the file, or the servers without passwords; left out for config.
	Location string `json:"location,omitempty"`

	// LoadedAt is when the projects in force were loaded; null before the first.
	LoadedAt *time.Time `json:"loaded_at"`

	// Error is why the latest version is not in force; null if it is.
	Error *string `json:"error"`

	// Projects has the projects in force.
	Projects []ProjectSummary `json:"projects"`
}

// ProjectSummary is one project of a list.
type ProjectSummary struct {
	// Ref is the project's.
	Ref string `json:"ref"`

	// Organization is the id of its organization; empty without one.
	Organization string `json:"organization"`

	// Plan is the name of the organization's plan; empty without one.
	Plan string `json:"plan"`

	// Domains are its own, without those below the apex.
	Domains []string `json:"domains"`

	// Functions counts those that can be called.
	Functions int `json:"functions"`

	// LeftOut counts those beyond what the plan allows.
	LeftOut int `json:"left_out"`

	// Regions are those that it may run in; empty for all.
	Regions []string `json:"regions"`
}

// TokenQuestion asks whether a token is accepted: the question of `edgegate token
// inspect`.
type TokenQuestion struct {
	// Token is a JWT, without Bearer.
	Token string `json:"token"`

	// Project is the ref of the project whose keys judge the token. Default: the only
	// project, or the one that the token's ref claim names.
	Project string `json:"project"`
}

// TokenAnswer says what a token holds and which checks it passes: the answer of
// `edgegate token inspect`.
type TokenAnswer struct {
	// Project is the ref of the project whose keys judged the token.
	Project string `json:"project"`

	auth.Inspection

	// Checks replaces those of the Inspection, with check for name.
	Checks []TokenCheck `json:"checks"`
}

// TokenCheck is one check of a token.
type TokenCheck struct {
	// Check is the name of the check.
	Check string `json:"check"`

	// OK says that the token passed.
	OK bool `json:"ok"`

	// Skipped says that an earlier check failed, so that this one was not made.
	Skipped bool `json:"skipped,omitempty"`

	// Detail says in words what was found.
	Detail string `json:"detail"`
}

// DrainOrder drains a region or takes it back into use: the order of `edgegate drain`
// and `undrain`.
type DrainOrder struct {
	// Region is the name of the region.
	Region string `json:"region"`

	// Over is how long the drain takes, such as 5m, at most 24h. Default: 5m. It means
	// nothing to undrain.
	Over string `json:"over"`

	// DryRun answers what would happen and does nothing.
	DryRun bool `json:"dry_run"`

	// LastResort keeps the region in use while every other one is down.
	LastResort bool `json:"last_resort"`
}

// DrainAnswer says what an order does to a region: the answer of `edgegate drain` and
// `undrain`.
type DrainAnswer struct {
	// Region is the name of the region.
	Region string `json:"region"`

	// State is that of the region after the order.
	State regions.State `json:"state"`

	// DryRun says that nothing was done.
	DryRun bool `json:"dry_run"`

	// Ends is when nothing runs in the region any more; null for undrain.
	Ends *time.Time `json:"ends"`

	// InFlight counts the requests that run in the region now.
	InFlight int64 `json:"in_flight"`

	// WebSockets counts those among them.
	WebSockets int `json:"websockets"`

	// Takers are the regions that automatic requests may go to, the nearest first.
	Takers []string `json:"takers"`

	// Warnings say which requests will be refused.
	Warnings []string `json:"warnings"`
}

// DrainsAnswer lists the drains in force: the answer to GET of the drain endpoint.
type DrainsAnswer struct {
	// Drains has them in the order of the regions.
	Drains []RegionDrain `json:"drains"`
}

// RegionDrain is the drain of one region.
type RegionDrain struct {
	// Region is the name of the region.
	Region string `json:"region"`

	// State is that of the region now.
	State regions.State `json:"state"`

	StatusDrain
}
