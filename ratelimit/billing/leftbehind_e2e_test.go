//go:build e2e

package billing

import (
	"fmt"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/quota"
)

// A gateway that left while it ran an older build has hours without billing periods in Redis, for ever. They stay in the
// period in which they were counted, in the same line items, whatever becomes of the cycle, also for a gateway that
// never saw another.
func TestHoursOfGatewaysThatLeftKeepTheirPeriods(t *testing.T) {
	f := newFleet(t)
	one, two := f.gateways[0], f.gateways[1]
	f.share(one)
	conn := one.open.shared.Load().conn
	now := time.Now().UTC()
	anchor := now.Add(-49 * time.Hour).Truncate(time.Hour)
	first := metering.Cycle{Anchor: anchor.Add(-48 * time.Hour)}
	hour := anchor.Add(time.Hour) // within the period of each cycle below
	name := func(span, of string) string {
		return fmt.Sprintf("%s|%s|acme|p|f|eu|invocations", span, of)
	}
	key := fmt.Sprintf("gw:{q:%02d}:c:%s", metering.Shard("acme"), "000000000001")
	for _, pair := range [][2]string{
		{name("h", hour.Format("2006010215")), "40"}, {name("m", first.At(hour).ID), "40"}, {"_h", "80"},
	} {
		if err := conn.HashSet(t.Context(), key, pair[0], pair[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.HashSet(t.Context(), "gw:instances", "000000000001", "left"); err != nil {
		t.Fatal(err)
	}
	f.calls = 40
	known := map[string]line(nil)
	for i, cycle := range []metering.Cycle{first, {Anchor: anchor}, {}} {
		for _, g := range f.gateways {
			g.change(func(p *plan) {
				p.accounts = []Account{account("acme", quota.Allowance{Quota: -1, Cycle: cycle}, pays)}
			})
		}
		if i == 2 {
			f.share(two)
			f.check("a gateway joined that knew one cycle only")
		}
		now, billed := f.lines(one), int64(0)
		for id, l := range now {
			if billed += l.quantity; l.period != first.At(hour).ID {
				t.Errorf("cycle %d: the line item %s is %+v", i, id, l)
			}
			if before, there := known[id]; i > 0 && (!there || before != l) {
				t.Errorf("cycle %d: the line item %s was %+v and is %+v", i, id, before, l)
			}
		}
		if billed != 40 || len(now) != 1 {
			t.Errorf("cycle %d: %d are billed in %+v", i, billed, now)
		}
		known = now
	}
}
