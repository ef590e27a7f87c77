package billing

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

func TestAdjustOrder(t *testing.T) {
	whole := AdjustOrder{Organization: "acme", Units: -1, Project: "p", Function: "f", Region: "eu", Reason: "outage | of eu", Operator: "ada"}
	if err := whole.Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*AdjustOrder){
		"organization: is missing":         func(o *AdjustOrder) { o.Organization = "" },
		"reason: is missing":               func(o *AdjustOrder) { o.Reason = " \t" },
		"operator: is missing":             func(o *AdjustOrder) { o.Operator = "" },
		"region: must not have a |":        func(o *AdjustOrder) { o.Region = "eu|us" },
		"reason: must have at most":        func(o *AdjustOrder) { o.Reason = strings.Repeat("x", maxText+1) },
		"units: must not be 0":             func(o *AdjustOrder) { o.Units = 0 },
		"units: must be at most 429496729": func(o *AdjustOrder) { o.Units = math.MaxUint32 + 1 },
		"or deducted; make several":        func(o *AdjustOrder) { o.Units = -math.MaxUint32 - 1 },
	} {
		order := whole
		change(&order)
		if err := order.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) && !strings.Contains(err.Error(), want) {
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

// order deducts one call of acme's.
func order() AdjustOrder {
	return AdjustOrder{
		Organization: "acme",
		Units:        -1,
		Project:      "p",
		Function:     "f",
		Region:       "eu",
		Reason:       " outage ",
		Operator:     "ada",
	}
}

// What is adjusted is billed, and no more is deducted than is.
func TestAdjust(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.call(5, called)
	earlier := f.clock.now().Add(-time.Hour)
	for _, tt := range []struct {
		units, before, after int64
		at                   *time.Time
	}{{-2, 5, 3, nil}, {4, 3, 7, nil}, {-7, 7, 0, &earlier}} {
		o := order()
		o.Units, o.At = tt.units, tt.at
		made, err := f.Adjust(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if *made.Before != tt.before || *made.After != tt.after || made.Period.ID != "2026-11" {
			t.Errorf("%d and %d in %+v, want %d and %d", *made.Before, *made.After, made.Period, tt.before, tt.after)
		}
		a := made.Adjustments[0]
		if len(made.Adjustments) != 1 || a.Units != tt.units || a.Reason != "outage" || a.Record == 0 || a.Gateway != f.Ledger().Instance() {
			t.Errorf("%+v", made.Adjustments)
		}
	}
	if _, err := f.Adjust(t.Context(), order()); err == nil || !strings.Contains(err.Error(), "is billed 0 invocations in 2026-11: no more than those can be deducted") {
		t.Error(err)
	}
	o := order()
	o.Reason = ""
	if _, err := f.Adjust(t.Context(), o); err == nil {
		t.Error("there is no reason")
	}
	f.change(func(p *plan) { p.missing = true })
	if _, err := f.Adjust(t.Context(), order()); !errors.Is(err, ErrNoPrices) {
		t.Error(err)
	}
}

// An adjustment is for something that is configured, or was used.
func TestAdjustKnows(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays), account("", soft, pays))
	gone := called
	gone.Subject.Organization, gone.Subject.Project, gone.Region = "gone", "old", "us"
	f.call(1, gone)
	for name, tt := range map[string]struct {
		change func(*AdjustOrder)
		what   string // that is not known; "" for none
	}{
		"configured":            {func(*AdjustOrder) {}, ""},
		"used before":           {func(o *AdjustOrder) { o.Organization, o.Project, o.Region = "gone", "old", "us" }, ""},
		"of nobody":             {func(o *AdjustOrder) { o.Organization = "acne" }, "organization"},
		"another's project":     {func(o *AdjustOrder) { o.Project = "old" }, "project"},
		"not a function of it":  {func(o *AdjustOrder) { o.Function = "h" }, "function"},
		"not called before":     {func(o *AdjustOrder) { o.Organization, o.Project, o.Function = "gone", "old", "g" }, "function"},
		"not a region":          {func(o *AdjustOrder) { o.Region = "asia" }, "region"},
		"a region that is used": {func(o *AdjustOrder) { o.Region = "us" }, ""},
	} {
		o := order()
		o.Units = 1
		tt.change(&o)
		_, err := f.Adjust(t.Context(), o)
		unknown, _ := errors.AsType[*UnknownError](err)
		switch {
		case tt.what == "" && err != nil, tt.what != "" && unknown == nil:
			t.Errorf("%s: %v", name, err)
		case unknown != nil && (unknown.What != tt.what || len(unknown.Known) == 0 || !strings.HasPrefix(err.Error(), tt.what+` "`)):
			t.Errorf("%s: %+v", name, unknown)
		}
	}
}

// The hour of an adjustment is neither to come nor forgotten, and the organization one that is known.
func TestAdjustBounds(t *testing.T) {
	f := newFixture(t, account("acme", soft, pays))
	f.call(3, called)
	now := f.open.ledger.Now()
	for name, tt := range map[string]struct {
		at   time.Time
		want string
	}{
		"now":                  {now, ""},
		"399 days ago":         {now.AddDate(0, 0, -399), "is billed 0 invocations"}, // nothing to deduct then: it went on
		"400 days and a while": {now.Add(-400*24*time.Hour - time.Minute), "is more than 400 days ago; the oldest that can be adjusted is 2025-10-1"},
		"in an hour":           {now.Add(time.Hour), "is in the future, it is 2026-11-18T14:3"},
		"in another year":      {now.AddDate(1, 0, 0), "at 2027-11-18T14:3"},
	} {
		o := order()
		o.Units, o.At = -1, &tt.at
		_, err := f.Adjust(t.Context(), o)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	o := order()
	o.Organization = "acne"
	var unknown *UnknownError
	if _, err := f.Adjust(t.Context(), o); !errors.As(err, &unknown) || !slices.Contains(unknown.Known, "acme") {
		t.Error(err)
	}
	if _, err := f.Adjustments(Query{Organization: "acne"}); !errors.As(err, &unknown) || !slices.Contains(unknown.Known, "acme") {
		t.Error(err)
	}
	if list, err := f.Adjustments(Query{Organization: "acme"}); err != nil || len(list.Adjustments) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}
