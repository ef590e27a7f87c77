package gateway

import (
	"fmt"
	"strings"
	_ "time/tzdata" // `time_zone` must work where the system has no zone files, as in many containers

	"go.uber.org/zap"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// warnOfZones says which time zones of the ledger are not known.
func warnOfZones(ledger *metering.Ledger, logger *zap.Logger) {
	for _, z := range ledger.UnknownZones() {
		logger.Warn("the ledger has a time zone that is not known here: what was counted by it is kept and not billed",
			zap.String("time_zone", z.Zone), zap.Strings("organizations", z.Organizations))
	}
}

// auditZones finds what is not billed for want of a time zone.
func (a *App) auditZones() []Finding {
	opened := a.books.open.Load()
	if opened == nil {
		return nil
	}
	var findings []Finding
	for _, z := range opened.ledger.UnknownZones() {
		findings = append(findings, Finding{
			Severity: Medium, Check: "ledger_time_zone", Subject: z.Zone,
			Message: fmt.Sprintf("the ledger has this time zone, which is not known here: what %s used by it is kept and not billed", strings.Join(z.Organizations, ", ")),
			Remedy:  "install the system's zone files (tzdata), or update this program, and start it again",
		})
	}
	return findings
}
