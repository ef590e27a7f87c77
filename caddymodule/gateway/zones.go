package gateway

import (
	"fmt"
	"strings"

	"github.com/edgegate/edgegate/caddymodule/audit"
)

// auditZones finds what is not billed for want of a time zone.
func (a *App) auditZones() []audit.Finding {
	ledger := a.engine.Ledger()
	if ledger == nil {
		return nil
	}
	var findings []audit.Finding
	for _, z := range ledger.UnknownZones() {
		findings = append(findings, audit.Finding{
			Severity: audit.Medium,
			Check:    "ledger_time_zone",
			Subject:  z.Zone,
			Message:  fmt.Sprintf("the ledger has this time zone, which is not known here: what %s used by it is kept and not billed", strings.Join(z.Organizations, ", ")),
			Remedy:   "install the system's zone files (tzdata), or update this program, and start it again",
		})
	}
	return findings
}
