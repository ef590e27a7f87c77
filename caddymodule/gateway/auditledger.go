package gateway

import (
	"time"

	"github.com/edgegate/edgegate/regions"
)

// auditLedger judges what every call depends on before it is sent: that it can be
// recorded, and that somebody can be asked for a unit of a hard quota.
func (a *App) auditLedger(now time.Time) []Finding {
	opened := a.books.open.Load()
	if opened == nil {
		return nil
	}
	var findings []Finding
	state, err := opened.ledgerState(now)
	if state == regions.StateDown {
		findings = append(findings, Finding{
			Severity: High, Check: "ledger_down", Subject: a.books.dir,
			Message: "invocations cannot be recorded, and are answered 503: " + storeCause(err),
			Remedy:  "make room on the disk or mend it; it is tried again by itself. `meter_unavailable open` in a plan lets its calls go on meanwhile",
		})
	}
	if state == regions.StateDegraded {
		findings = append(findings, Finding{
			Severity: High, Check: "ledger_degraded", Subject: a.books.dir,
			Message: "invocations are recorded in the file in use, but not for long, or not safely: " + storeCause(err),
			Remedy:  "make room on the disk or mend it, before calls are answered 503",
		})
	}
	if err := opened.ungranted.lately(now); err != nil {
		findings = append(findings, Finding{
			Severity: High, Check: "quotas_down", Subject: "quotas",
			Message: "calls of organizations with a hard quota are answered 503, since nobody can be asked whether something is left: " + storeCause(err),
			Remedy:  "see what is wrong with the store: `edgegate status`",
		})
	}
	return findings
}
