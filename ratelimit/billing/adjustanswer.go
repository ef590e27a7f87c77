package billing

import (
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// AdjustAnswer has adjustments: the answer of `edgegate usage adjust`.
type AdjustAnswer struct {
	// Adjustments has the one that was just made, or those that were asked for in the
	// order in which they were made.
	Adjustments []Adjustment `json:"adjustments"`

	// Period is the billing period of the adjustment that was just made; left out in a
	// list, as are Before and After.
	Period *Period `json:"period,omitempty"`

	// Before is what the organization was billed in Period before the adjustment, in
	// invocations.
	Before *int64 `json:"before,omitempty"`

	// After is what the organization is billed in Period now, in invocations.
	After *int64 `json:"after,omitempty"`
}

// Adjustment is one adjustment in the ledger.
type Adjustment struct {
	// Organization, Project, Function and Region name the line that was adjusted.
	Organization string `json:"organization"`
	Project      string `json:"project"`
	Function     string `json:"function"`
	Region       string `json:"region"`

	// At is a moment in the hour that was adjusted.
	At time.Time `json:"at"`

	// Units is the number of invocations that were added; negative for deducted ones.
	Units int64 `json:"units"`

	// Reason and Operator are as they were ordered.
	Reason   string `json:"reason"`
	Operator string `json:"operator"`

	// Made is when the adjustment was recorded.
	Made time.Time `json:"made"`

	// Gateway is the id of the gateway whose ledger has the record.
	Gateway string `json:"gateway"`

	// Record is the number of the record in that ledger.
	Record uint64 `json:"record"`
}

// adjustmentOf returns an adjustment of the ledger as answers have it.
func adjustmentOf(a metering.Adjustment) Adjustment {
	return Adjustment{
		Organization: a.Organization,
		Project:      a.Project,
		Function:     a.Function,
		Region:       a.Region,
		At:           a.At,
		Units:        a.Units,
		Reason:       a.Reason,
		Operator:     a.Operator,
		Made:         a.Made,
		Gateway:      a.Instance,
		Record:       a.Seq,
	}
}
