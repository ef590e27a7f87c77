package gateway

import (
	"time"

	"github.com/edgegate/edgegate/caddymodule/audit"
	"github.com/edgegate/edgegate/caddymodule/logs"
	"github.com/edgegate/edgegate/ratelimit/billing"
)

// auditLedger judges what every call depends on before it is sent: that it can be
// recorded, and that somebody can be asked for a unit of a hard quota.
func (a *App) auditLedger(now time.Time) []audit.Finding {
	var findings []audit.Finding
	state, err := a.engine.LedgerState(now)
	if state == billing.StateDown {
		findings = append(findings, audit.Finding{
			Severity: audit.High,
			Check:    "ledger_down",
			Subject:  a.engine.Dir(),
			Message:  "invocations cannot be recorded, and are answered 503: " + logs.StoreCause(err),
			Remedy:   "make room on the disk or mend it; it is tried again by itself. `meter_unavailable open` in a plan lets its calls go on meanwhile",
		})
	}
	if state == billing.StateDegraded {
		findings = append(findings, audit.Finding{
			Severity: audit.High,
			Check:    "ledger_degraded",
			Subject:  a.engine.Dir(),
			Message:  "invocations are recorded in the file in use, but not for long, or not safely: " + logs.StoreCause(err),
			Remedy:   "make room on the disk or mend it, before calls are answered 503",
		})
	}
	if state, err := a.engine.QuotaState(now); state == billing.StateDown {
		findings = append(findings, audit.Finding{
			Severity: audit.High,
			Check:    "quotas_down",
			Subject:  "quotas",
			Message:  "calls of organizations with a hard quota are answered 503, since nobody can be asked whether something is left: " + logs.StoreCause(err),
			Remedy:   "see what is wrong with the store: `edgegate status`",
		})
	}
	return findings
}
