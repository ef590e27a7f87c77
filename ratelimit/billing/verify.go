package billing

import "github.com/edgegate/edgegate/ratelimit/metering"

// VerifyAnswer is what the admin API answers to `edgegate usage verify`.
type VerifyAnswer struct {
	Findings []metering.Finding `json:"findings"`
	Records  uint64             `json:"records"` // how many were read
	OK       bool               `json:"ok"`      // nothing was found
}

// Verify reads all files of the ledger, and says which are damaged. Calls do not wait
// for it.
func (e *Engine) Verify() (VerifyAnswer, error) {
	o := e.opened.Load()
	if o == nil {
		return VerifyAnswer{}, ErrNotOpen
	}
	found, records, err := o.ledger.Verify()
	return VerifyAnswer{Findings: append([]metering.Finding{}, found...), Records: records, OK: len(found) == 0}, err
}
