package gateway

import (
	"fmt"
	"strings"
)

// auditZones finds what is not billed for want of a time zone.
func (a *App) auditZones() []Finding {
	ledger := a.engine.Ledger()
	if ledger == nil {
		return nil
	}
	var findings []Finding
	for _, z := range ledger.UnknownZones() {
		findings = append(findings, Finding{
			Severity: Medium, Check: "ledger_time_zone", Subject: z.Zone,
			Message: fmt.Sprintf("the ledger has this time zone, which is not known here: what %s used by it is kept and not billed", strings.Join(z.Organizations, ", ")),
			Remedy:  "install the system's zone files (tzdata), or update this program, and start it again",
		})
	}
	return findings
}
