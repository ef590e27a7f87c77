package audit

import (
	"errors"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

func TestLedger(t *testing.T) {
	why := errors.New("disk full")
	for check, in := range map[string]Ledger{
		"ledger_down":     {Directory: "/var/lib/edgegate", Down: why},
		"ledger_degraded": {Directory: "/var/lib/edgegate", Degraded: why},
		"ledger_copied":   {Directory: "/var/lib/edgegate", Copied: why},
		"quotas_down":     {Directory: "/var/lib/edgegate", QuotasDown: why},
		"no_bills":        {Directory: "/var/lib/edgegate", NoBills: why},
	} {
		if found := bySeverity(t, ofLedger(&in)); found[check] != High || len(found) != 1 {
			t.Errorf("%s: %v", check, found)
		}
	}
	in := Ledger{UnknownZones: []metering.UnknownZone{{Zone: "Mars/Olympus", Organizations: []string{"acme", "umbrella"}}}}
	found := ofZones(&in)
	if len(found) != 1 || found[0].Check != "ledger_time_zone" || found[0].Subject != "Mars/Olympus" || found[0].Severity != Medium {
		t.Errorf("%+v", found)
	}
	if found := append(ofLedger(new(Ledger)), ofZones(new(Ledger))...); len(found) != 0 {
		t.Errorf("of a good one: %+v", found)
	}
}
