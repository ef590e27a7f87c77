package gateway

import (
	"context"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// dayUsage is what was called on a day, in the time zone of the period.
type dayUsage struct {
	Date        string `json:"date"`
	Invocations int64  `json:"invocations"`
}

// addDays adds the days of each period up to now, from the lines of bills: those
// have the hours of all gateways.
func (a *App) addDays(ctx context.Context, answer *usageAnswer) error {
	if _, err := a.engine.Update(ctx); err != nil {
		return err
	}
	asked := make(map[usageKey]bool)
	for _, o := range answer.Organizations {
		asked[usageKey{o.ID, o.Period.ID}] = true
	}
	days, err := a.engine.Lines().Days(func(organization, period string) bool { return asked[usageKey{organization, period}] })
	if err != nil {
		return err
	}
	type date struct {
		usageKey
		date string
	}
	called := make(map[date]int64)
	for _, d := range days {
		called[date{usageKey{d.Organization, d.Period}, d.Date}] += d.Invocations
	}
	now := a.engine.Ledger().Now()
	for i := range answer.Organizations {
		o := &answer.Organizations[i]
		o.Daily = []dayUsage{}
		for _, day := range datesOf(o.Period, now) {
			o.Daily = append(o.Daily, dayUsage{day, called[date{usageKey{o.ID, o.Period.ID}, day}]})
		}
	}
	return nil
}

// datesOf are the days of a period up to now, in its time zone.
func datesOf(p periodAnswer, now time.Time) (dates []string) {
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
