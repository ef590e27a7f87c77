package billing

import (
	"context"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// addDays adds the days of each period up to now. They are summed from the line items,
// which have the hours of all gateways.
func (e *Engine) addDays(ctx context.Context, answer *UsageAnswer) error {
	if _, err := e.Update(ctx); err != nil {
		return err
	}
	o, _, err := e.inForce()
	if err != nil {
		return err
	}
	asked := make(map[accountPeriod]bool)
	for _, u := range answer.Organizations {
		asked[accountPeriod{u.ID, u.Period.ID}] = true
	}
	days, err := o.lines.Days(func(organization, period string) bool { return asked[accountPeriod{organization, period}] })
	if err != nil {
		return err
	}
	type day struct {
		accountPeriod
		date string
	}
	invocations := make(map[day]int64)
	for _, d := range days {
		invocations[day{accountPeriod{d.Organization, d.Period}, d.Date}] += d.Invocations
	}
	now := o.ledger.Now()
	for i := range answer.Organizations {
		u := &answer.Organizations[i]
		u.Daily = []DayUsage{}
		for _, date := range datesOf(u.Period, now) {
			u.Daily = append(u.Daily, DayUsage{Date: date, Invocations: invocations[day{accountPeriod{u.ID, u.Period.ID}, date}]})
		}
	}
	return nil
}

// datesOf returns the days of a period up to now, in the period's time zone.
func datesOf(p Period, now time.Time) (dates []string) {
	zone, end := time.UTC, p.End
	if c, _, ok := metering.CycleOf(p.ID); ok && c.Zone != nil {
		zone = c.Zone
	}
	if now.Before(end) {
		end = now.Add(1)
	}
	year, month, day := p.Start.In(zone).Date()
	last := end.Add(-1).In(zone).Format(time.DateOnly)
	// At noon, which no change of the clock skips.
	for at := time.Date(year, month, day, 12, 0, 0, 0, zone); at.Format(time.DateOnly) <= last; at = at.AddDate(0, 0, 1) {
		dates = append(dates, at.Format(time.DateOnly))
	}
	return dates
}
