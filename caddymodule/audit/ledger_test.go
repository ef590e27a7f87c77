package audit

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

func TestLedger(t *testing.T) {
	why := errors.New("disk full")
	for check, in := range map[string]Ledger{
		"ledger_down":     {Directory: "/var/lib/edgegate", Down: why},
		"ledger_degraded": {Directory: "/var/lib/edgegate", Degraded: why},
		"ledger_copied":   {Directory: "/var/lib/edgegate", Copied: why},
		"quotas_down":     {Directory: "/var/lib/edgegate", QuotasDown: why},
		"quotas_degraded": {Directory: "/var/lib/edgegate", LimitsUnknown: why},
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

// The remedy is that of the cause, whatever finding the cause is in.
func TestLedgerRemedies(t *testing.T) {
	for _, tt := range []struct {
		cause error
		want  string
	}{
		{metering.ErrDiskFull, "make room on the disk"},
		{metering.ErrGone, "put it back, or stop the gateway and restore a copy"},
		{metering.ErrReplaced, "put the right one back"},
		{metering.ErrRemoved, "usage recover DIRECTORY"},
		{metering.ErrCut, "usage recover DIRECTORY"},
		{metering.ErrReadOnly, "make it writable"},
		{&durable.DamageError{File: "quotas.db", What: "cut"}, "usage recover DIRECTORY"},
	} {
		cause := fmt.Errorf("writing: %w", tt.cause)
		for _, in := range []Ledger{{Down: cause}, {Degraded: cause}, {QuotasDown: cause}} {
			for _, f := range ofLedger(&in) {
				again := tt.cause != metering.ErrDiskFull && strings.Contains(f.Remedy, "room")
				if f.Check != "quotas_down" && !strings.Contains(f.Remedy, tt.want) || again {
					t.Errorf("%v: %s: the remedy is %q", tt.cause, f.Check, f.Remedy)
				}
			}
		}
		if f := ofLedger(&Ledger{QuotasDown: cause}); tt.cause != metering.ErrDiskFull && !strings.Contains(f[0].Remedy, tt.want) {
			t.Errorf("%v: %s: the remedy is %q", tt.cause, f[0].Check, f[0].Remedy)
		}
	}
}
