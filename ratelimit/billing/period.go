package billing

import (
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// Period is a billing period in an answer.
type Period struct {
	// ID names the period: 2026-11 for a calendar month in UTC, or
	// 20261105+Europe/Paris for one with another start or time zone.
	ID string `json:"id"`

	// Start is the first moment of the period, in UTC.
	Start time.Time `json:"start"`

	// End is the first moment after the period, in UTC.
	End time.Time `json:"end"`
}

// periodOf returns a period of the ledger as answers have it.
func periodOf(p metering.Period) Period { return Period{ID: p.ID, Start: p.Start, End: p.End} }
