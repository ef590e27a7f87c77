package audit

import (
	"errors"
	"fmt"
	"strings"

	"github.com/edgegate/edgegate/caddymodule/logs"
	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// ofLedger judges what every call depends on before it is sent: that it can be
// recorded, and that a unit of a hard quota can be granted.
func ofLedger(in *Ledger) []Finding {
	var findings []Finding
	if in.Down != nil {
		findings = append(findings, Finding{
			Severity: High,
			Check:    "ledger_down",
			Subject:  in.Directory,
			Message:  "invocations cannot be recorded, and are answered 503: " + logs.StoreCause(in.Down),
			Remedy:   remedyOf(in.Down, "make room on the disk or mend it; it is tried again by itself") + ". `meter_unavailable open` in a plan lets its calls go on meanwhile",
		})
	}
	if in.Degraded != nil {
		findings = append(findings, Finding{
			Severity: High,
			Check:    "ledger_degraded",
			Subject:  in.Directory,
			Message:  "invocations are recorded in the file in use, but not for long, or not safely: " + logs.StoreCause(in.Degraded),
			Remedy:   remedyOf(in.Degraded, "make room on the disk or mend it") + ", before calls are answered 503",
		})
	}
	if in.Copied != nil {
		findings = append(findings, Finding{
			Severity: High,
			Check:    "ledger_copied",
			Subject:  in.Directory,
			Message:  logs.StoreCause(in.Copied),
			Remedy:   "start this gateway again: it goes on under a new id. docs/counting.md, copies of a directory",
		})
	}
	if in.QuotasDown != nil {
		findings = append(findings, Finding{
			Severity: High,
			Check:    "quotas_down",
			Subject:  "quotas",
			Message:  "calls of organizations with a hard quota are answered 503, since nobody can be asked whether something is left: " + logs.StoreCause(in.QuotasDown),
			Remedy:   remedyOf(in.QuotasDown, "see what is wrong with the store: `edgegate status`"),
		})
	}
	if in.LimitsUnknown != nil {
		findings = append(findings, Finding{
			Severity: High,
			Check:    "quotas_degraded",
			Subject:  "quotas",
			Message:  "limits that this process knows stay in force; one that started since knows none: " + logs.StoreCause(in.LimitsUnknown),
			Remedy:   remedyOf(in.LimitsUnknown, "see what is wrong with the store: `edgegate status`"),
		})
	}
	if in.NoBills != nil {
		findings = append(findings, Finding{
			Severity: High,
			Check:    "no_bills",
			Subject:  in.Directory,
			Message:  logs.StoreCause(in.NoBills),
			Remedy:   "`edgegate usage verify` lists all that is damaged; stop the gateway, copy its directory, and run `edgegate usage recover DIRECTORY`. Nothing that is counted meanwhile is missing on the bills",
		})
	}
	return findings
}

// remedyOf returns the remedy that an error of the ledger names, otherwise another one.
func remedyOf(err error, otherwise string) string {
	if errors.As(err, new(*durable.DamageError)) {
		return "`edgegate usage verify` lists all that is damaged; stop the gateway, copy its directory, and run `edgegate usage recover DIRECTORY`"
	}
	for _, known := range []error{metering.ErrGone, metering.ErrReplaced, metering.ErrRemoved, metering.ErrCut, metering.ErrReadOnly} {
		if errors.Is(err, known) {
			_, remedy, _ := strings.Cut(known.Error(), ": ")
			remedy, _, _ = strings.Cut(remedy, ";") // what follows is no remedy
			return remedy
		}
	}
	return otherwise
}

// ofZones finds the invocations that are not billed because their time zone is not
// known.
func ofZones(in *Ledger) []Finding {
	findings := make([]Finding, 0, len(in.UnknownZones))
	for _, z := range in.UnknownZones {
		findings = append(findings, Finding{
			Severity: Medium,
			Check:    "ledger_time_zone",
			Subject:  z.Zone,
			Message:  fmt.Sprintf("the ledger has this time zone, which is not known here: what %s used by it is kept and not billed", strings.Join(z.Organizations, ", ")),
			Remedy:   "install the system's zone files (tzdata), or update this program, and start it again",
		})
	}
	return findings
}
