package billing

import "time"

// QuotaAnswer says how far quotas are used: the answer of `edgegate quota show`, `quota
// set` and `quota release`.
type QuotaAnswer struct {
	// Organizations has those of the projects in force, by id.
	Organizations []OrganizationQuota `json:"organizations"`

	// Partial says why Used has only what this gateway counted, or what else is not known;
	// left out otherwise.
	Partial string `json:"partial,omitempty"`

	// Released is what an order released; left out of other answers.
	Released *Release `json:"released,omitempty"`
}

// Release says what a gateway held that will never come back, and others can use now.
type Release struct {
	// Gateway is its id.
	Gateway string `json:"gateway"`

	// Quotas are those of which it held something, in periods that go on; empty if it held
	// nothing.
	Quotas []ReleasedUnits `json:"quotas"`
}

// ReleasedUnits are invocations of a quota that were released.
type ReleasedUnits struct {
	// Organization is the id of whose quota it is, and Period that of the billing period.
	Organization string `json:"organization"`
	Period       string `json:"period"`

	// Units is the number of invocations.
	Units int64 `json:"units"`
}

// QuotaState says how far a quota is used.
type QuotaState string

// The states of a quota, the best first.
const (
	QuotaOK         QuotaState = "ok"
	QuotaNear       QuotaState = "near"       // 80 % or more are used
	QuotaOver       QuotaState = "over"       // all of it is used, and invocations go on
	QuotaRestricted QuotaState = "restricted" // invocations are answered 402
)

// OrganizationQuota is the quota of one organization in its current period.
type OrganizationQuota struct {
	// ID is the organization's.
	ID string `json:"id"`

	// Plan is the name of its plan; empty without one.
	Plan string `json:"plan"`

	// Period is the current billing period.
	Period Period `json:"period"`

	// Limit is the number of invocations of the period after which they are refused, if
	// the limit is hard; null without a limit.
	Limit *int64 `json:"limit"`

	// Included is the number of invocations of the period that the price includes; null
	// if it includes all. An order changes Limit and not Included.
	Included *int64 `json:"included"`

	// Used counts the invocations of all gateways in the period.
	Used uint64 `json:"used"`

	// Remaining is the part of Limit that is not used, at least 0; null without a
	// limit.
	Remaining *int64 `json:"remaining"`

	// State says how far the quota is used.
	State QuotaState `json:"state"`

	// Hard says that invocations are refused beyond the limit and its grace.
	Hard bool `json:"hard"`

	// Set says that the limit was set by an order, not by the configuration.
	Set bool `json:"set"`

	// Held has what gateways that are not there hold of the limit, so that nobody else
	// can use it; left out if nothing is held.
	Held []HeldUnits `json:"held,omitempty"`
}

// HeldUnits are invocations that a gateway was granted, which is not there and has not
// made them, as far as the store knows.
type HeldUnits struct {
	// Gateway is its id.
	Gateway string `json:"gateway"`

	// Units is the number of invocations.
	Units int64 `json:"units"`

	// Seen is when it was last heard of, by the clock of the store; left out if it ended,
	// or if the store has forgotten it.
	Seen *time.Time `json:"seen,omitempty"`

	// Why says in words why they are held, and until when.
	Why string `json:"why"`

	// Command is the command that makes up for them, if the gateway will never come back.
	Command string `json:"command"`
}

// QuotaOrder sets a limit in place of the configured one, or releases the grants of a
// gateway: the order of `edgegate quota set` and `quota release`.
type QuotaOrder struct {
	// Organization is the id of the organization whose limit is set.
	Organization string `json:"organization"`

	// Limit is the new number of invocations of each period, at least 0; null for the
	// configured one again.
	Limit *int64 `json:"limit"`

	// Release is the id of a gateway that will never come back, whose grants are given
	// back. With it the other fields are ignored.
	Release string `json:"release"`
}
