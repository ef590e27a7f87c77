package billing

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// AdjustOrder adds invocations to what an organization is billed, or deducts them: the
// order of `edgegate usage adjust`. All fields but At are required. Texts have at most
// 1000 bytes, and all but Reason no | in them.
type AdjustOrder struct {
	// Organization is the id of the organization whose bill is adjusted.
	Organization string `json:"organization"`

	// Units is the number of invocations to add; with a minus, to deduct. It is not 0
	// and its magnitude is at most 4294967295.
	Units int64 `json:"units"`

	// Project, Function and Region name the line item that is adjusted. Each is in the
	// catalogue, or something was counted of it before.
	Project  string `json:"project"`
	Function string `json:"function"`
	Region   string `json:"region"`

	// Reason says why. The ledger keeps it.
	Reason string `json:"reason"`

	// Operator is who gives the order. The ledger keeps it.
	Operator string `json:"operator"`

	// At is a moment in the hour that is adjusted; null for now.
	At *time.Time `json:"at"`
}

// maxText bounds each text of an order, in bytes.
const maxText = 1000

// Validate returns the first error of an order that shows without the ledger and the
// catalogue.
func (o *AdjustOrder) Validate() error {
	for _, field := range []struct{ name, value string }{
		{"organization", o.Organization},
		{"project", o.Project},
		{"function", o.Function},
		{"region", o.Region},
		{"reason", strings.TrimSpace(o.Reason)},
		{"operator", strings.TrimSpace(o.Operator)},
	} {
		switch {
		case field.value == "":
			return fmt.Errorf("%s: is missing", field.name)
		case len(field.value) > maxText:
			return fmt.Errorf("%s: must have at most %d bytes", field.name, maxText)
		case strings.Contains(field.value, "|") && field.name != "reason":
			return fmt.Errorf("%s: must not have a | in it", field.name) // it separates the names of sums in Redis
		}
	}
	switch {
	case o.Units == 0:
		return errors.New("units: must not be 0")
	case o.Units > math.MaxUint32 || o.Units < -math.MaxUint32:
		return fmt.Errorf("units: must be at most %d, added or deducted; make several adjustments", uint32(math.MaxUint32))
	}
	return nil
}

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
