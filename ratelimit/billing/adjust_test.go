package billing

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

func TestAdjustOrder(t *testing.T) {
	whole := AdjustOrder{Organization: "acme", Units: -1, Project: "p", Function: "f", Region: "eu", Reason: "outage | of eu", Operator: "ada"}
	if err := whole.Check(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*AdjustOrder){
		"organization: is missing":         func(o *AdjustOrder) { o.Organization = "" },
		"reason: is missing":               func(o *AdjustOrder) { o.Reason = " \t" },
		"operator: is missing":             func(o *AdjustOrder) { o.Operator = "" },
		"region: must not have a |":        func(o *AdjustOrder) { o.Region = "eu|us" },
		"reason: must have at most":        func(o *AdjustOrder) { o.Reason = strings.Repeat("x", maxReason+1) },
		"units: must not be 0":             func(o *AdjustOrder) { o.Units = 0 },
		"units: must be at most 429496729": func(o *AdjustOrder) { o.Units = math.MaxUint32 + 1 },
		"or deducted; make several":        func(o *AdjustOrder) { o.Units = -math.MaxUint32 - 1 },
	} {
		order := whole
		change(&order)
		if err := order.Check(); err == nil || !strings.HasPrefix(err.Error(), want) && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", order, err, want)
		}
	}
}

// An hour belongs to the period that it was billed in, also after the organization got another cycle.
func TestAccountsKnowTheCycle(t *testing.T) {
	at := time.Date(2026, 11, 3, 14, 0, 0, 0, time.UTC)
	anchored := metering.Cycle{Anchor: time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)}
	used := Totals{{Organization: "acme", Period: "2026-11", Project: "p"}: 7, {Organization: "acme", Period: "2026-11", Project: "q"}: 5, {Organization: "other", Period: "20261005+UTC"}: 1}
	if n := used.Billed("acme", "2026-11"); n != 12 {
		t.Errorf("%d are billed", n)
	}
	for name, tt := range map[string]struct {
		organization string
		has          metering.Cycle
		want         string
	}{
		"as it is":             {"acme", metering.Cycle{}, "2026-11"},
		"of before":            {"acme", anchored, "2026-11"},
		"of nothing before":    {"new", anchored, "20261005+UTC"},
		"of its own, anchored": {"other", anchored, "20261005+UTC"},
	} {
		if got := used.Cycle(tt.organization, at, tt.has).At(at).ID; got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// Sums of one line that an organization has under two cycles are one source, and old hours are billed that people adjusted.
func TestHourly(t *testing.T) {
	now := time.Date(2026, 11, 28, 14, 0, 0, 0, time.UTC)
	of := func(cycle metering.Cycle, ago time.Duration, n metering.Sums) metering.Usage {
		return metering.Usage{
			Subject: metering.Subject{Organization: "acme", Project: "p", Function: "f", Cycle: cycle}, Instance: "one", Region: "eu",
			Span: metering.Hourly, Start: now.Add(-ago), Sums: n,
		}
	}
	first := metering.Cycle{Anchor: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)} // the same periods by another name
	sums := hourlySums([]metering.Usage{
		of(metering.Cycle{}, time.Hour, metering.Sums{Invocations: 3, Completed: 2, First: 9}), of(first, time.Hour, metering.Sums{Invocations: 4, Voided: 1, First: 5}),
		of(metering.Cycle{}, 100*time.Hour, metering.Sums{Invocations: 1}), of(metering.Cycle{}, 101*time.Hour, metering.Sums{Invocations: 1, Deducted: 1}),
	}, now.Add(-updateHours), make(Totals))
	if len(sums) != 2 || len(sums[0].Sources) != 1 {
		t.Fatalf("%+v", sums)
	}
	if s := sums[0].Sources[0]; s.Invocations != 7 || s.Completed != 2 || s.Voided != 1 || s.First != 5 {
		t.Errorf("%+v", s)
	}
	if s := sums[1].Sources[0]; s.Invocations != 1 || s.Deducted != 1 {
		t.Errorf("%+v", s)
	}
}
